"""`spell_backward` of reasoning-gym, for pretrained models.

Spell this word backward (example: sun -> nus): train     ->  niart
"""

import random
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from raml.answers.format import with_instruction
from raml.questions.family import Draft, Family

LETTERS: Final = {1: (3, 4), 2: (5, 6), 3: (7, 8)}  # level -> fewest and most


def word_of(prompt: str) -> str:
    """The word that is to be spelled."""
    match = re.search(r"-> nus\): (\w+)", prompt)
    assert match is not None  # of this family
    return match[1]


def generate(level: int, rng: random.Random) -> Draft:
    """An item of a `spell_backward` data set."""
    question = _words(level)[rng.getrandbits(62)]["question"]
    return Draft(with_instruction(question), word_of(question)[::-1])


@cache
def _words(level: int) -> Any:
    from reasoning_gym.algorithmic.spell_backward import SpellBackwardConfig, SpellBackwardDataset

    fewest, most = LETTERS[level]
    return SpellBackwardDataset(SpellBackwardConfig(min_word_len=fewest, max_word_len=most, seed=0, size=1))


def verify(question: Mapping[str, Any], answer: str) -> bool:
    """The word's letters from last to first, in any case, as reasoning-gym has it."""
    return answer.strip().lower() == word_of(question["prompt"])[::-1].lower()


def asked(prompt: str) -> str:
    """The word, in lower case."""
    return word_of(prompt).lower()


SPELL_BACKWARD = Family(
    name="spell_backward",
    domain="letters",
    source="reasoning-gym",
    answer_type="labels",
    levels=tuple(LETTERS),
    generate=generate,
    verify=verify,
    asked=asked,
)
