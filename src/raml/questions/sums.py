"""Sums in English, of numbers and products: two families of reasoning-gym and one of grade-school stories.

    chain_sum       State the final answer to the following arithmetic problem: 98 - 93 + 77 =        ->  82
    leg_counting    .. how many legs are there in total if you have 3 spiders, 11 tigers?             ->  68
    word_problem    Mia has 12 stickers. Mia buys 3 boxes of 5 stickers. Mia gives 7 stickers to a
                    friend. How many stickers does Mia have now?                                      ->  20

For pretrained models: the question is asked in a chat message, with the instruction below it. Terms can be added in
any order that starts with a positive one, each a different solution. reasoning-gym seeds item i of a data set with
`seed + i`; questions are items of random number, drawn from 2^62.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Final

from raml.answers.compare import same_answer
from raml.answers.format import INSTRUCTION, with_instruction
from raml.questions.family import Draft, Family

# level -> terms, digits of each
CHAINS: Final = {1: (3, 1), 2: (4, 1), 3: (4, 2)}
# level -> kinds of animals, most of one kind
LEGS: Final = {1: (2, 5), 2: (3, 9), 3: (4, 15)}
# level -> events after the first sentence, largest number
STORIES: Final = {1: (2, 9), 2: (3, 9), 3: (4, 12)}

NAMES: Final = ("Mia", "Ben", "Noor", "Tom", "Ada", "Raj", "Lena", "Omar")
THINGS: Final = ("stickers", "marbles", "pencils", "apples", "coins", "cards", "buttons", "shells")


@dataclass(frozen=True)
class Term:
    """`sign` times the product of `factors`, one or two; `said` is what the question calls it, if it has a name."""

    sign: int
    factors: tuple[int, ...]
    said: str | None = None

    @property
    def value(self) -> int:
        """Signed."""
        return self.sign * prod(self.factors)


def parse(prompt: str) -> list[Term]:
    """The terms of a question of any of the families, in its order."""
    asked_for = prompt.removesuffix(INSTRUCTION)
    if match := re.search(r"arithmetic problem: (.+) =", asked_for):
        return [
            Term(-1 if sign == "-" else 1, (int(number),)) for sign, number in re.findall(r"([+-]?) ?(\d+)", match[1])
        ]
    if match := re.search(r"if you have (.+)\?", asked_for):
        return [_animals(part) for part in match[1].split(", ")]
    return [
        Term(-1 if verb == "gives" else 1, (int(one),) if not other else (int(one), int(other)))
        for verb, one, other in re.findall(r"(has|buys|gives) (\d+)(?: boxes of| friends)? ?(\d+)?", asked_for)
    ]


def _animals(part: str) -> Term:
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    count, name = part.split(" ", 1)
    legs = ANIMALS[name if name in ANIMALS else name.removesuffix("s")]
    return Term(1, (int(count), legs), said=f"{part} have {legs} legs each.")


def total(prompt: str) -> int:
    """The value of a question's sum."""
    return sum(term.value for term in parse(prompt))


def verify(question: Mapping[str, Any], answer: str) -> bool:
    """The sum as an integer."""
    return same_answer(answer, str(total(question["prompt"])), "integer")


def asked(prompt: str) -> str:
    """What is summed, in any order."""
    return " ".join(
        sorted(f"{term.said or ''}{term.sign * term.factors[0]}*{term.factors[1:]}" for term in parse(prompt))
    )


def generate_chain(level: int, rng: random.Random) -> Draft:
    """An item of a `chain_sum` data set of reasoning-gym."""
    return _draft(_chains(level)[rng.getrandbits(62)]["question"])


def generate_legs(level: int, rng: random.Random) -> Draft:
    """An item of a `leg_counting` data set of reasoning-gym."""
    return _draft(_legs(level)[rng.getrandbits(62)]["question"].strip())


def generate_story(level: int, rng: random.Random) -> Draft:
    """Somebody has some things, buys and gives away; never more than there are."""
    events, largest = STORIES[level]
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    owned = rng.randint(2, largest)
    sentences = [f"{name} has {owned} {things}."]
    for _ in range(events):
        one, other = rng.randint(2, largest), rng.randint(2, largest)
        possible = {f"buys {one} more {things}": one, f"buys {one} boxes of {other} {things}": one * other}
        if one <= owned:
            possible[f"gives {one} {things} to a friend"] = -one
        if one * other <= owned:
            possible[f"gives {one} friends {other} {things} each"] = -one * other
        event = rng.choice(list(possible))
        owned += possible[event]
        sentences.append(f"{name} {event}.")
    return _draft(" ".join([*sentences, f"How many {things} does {name} have now?"]))


@cache
def _chains(level: int) -> Any:
    from reasoning_gym.arithmetic.chain_sum import ChainSumConfig, ChainSumDataset

    terms, digits = CHAINS[level]
    return ChainSumDataset(
        ChainSumConfig(min_terms=terms, max_terms=terms, min_digits=digits, max_digits=digits, seed=0, size=1)
    )


@cache
def _legs(level: int) -> Any:
    from reasoning_gym.arithmetic.leg_counting import LegCountingConfig, LegCountingDataset

    kinds, most = LEGS[level]
    return LegCountingDataset(
        LegCountingConfig(min_animals=kinds, max_animals=kinds, max_instances=most, seed=0, size=1)
    )


def _draft(question: str) -> Draft:
    prompt = with_instruction(question)
    return Draft(prompt, str(total(prompt)))


def _family(
    name: str, source: str, levels: Mapping[int, Any], generate: Callable[[int, random.Random], Draft]
) -> Family:
    return Family(
        name=name,
        domain="arithmetic",
        source=source,
        answer_type="integer",
        levels=tuple(levels),
        generate=generate,
        verify=verify,
        asked=asked,
    )


CHAIN_SUM = _family("chain_sum", "reasoning-gym", CHAINS, generate_chain)
LEG_COUNTING = _family("leg_counting", "reasoning-gym", LEGS, generate_legs)
WORD_PROBLEM = _family("word_problem", "raml", STORIES, generate_story)
