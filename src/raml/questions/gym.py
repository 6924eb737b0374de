"""Families of reasoning-gym, with its generator and its verifier.

    up 12 4 30 7 ?    ->  4 7 12 30      (`number_sorting`, ascending; `down` is descending)

The English question is rewritten into the micro tokenizer's words. reasoning-gym seeds item i with
`seed + i`, so neighbouring seeds overlap: every question here is item 0 of a data set with a seed
of its own, drawn from 2^62.
"""

import json
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from raml.questions.family import Draft, Family

LARGEST = 30
COUNTS = {0: 2, 1: 3, 2: 4, 3: 5}  # level -> numbers to sort


def generate(level: int, rng: random.Random) -> Draft:
    """Item 0 of a `number_sorting` data set; repeated numbers are drawn again."""
    from reasoning_gym.algorithmic.number_sorting import NumberSortingDataset

    while True:
        entry = NumberSortingDataset(_settings(COUNTS[level], rng.getrandbits(62)))[0]
        numbers = [int(float(number)) for number in entry["metadata"]["original_numbers"]]
        if len(set(numbers)) == len(numbers):
            break
    direction = entry["metadata"]["direction"]
    word = {"ascending": "up", "descending": "down"}[direction]
    answer = " ".join(str(int(float(number))) for number in entry["metadata"]["sorted_numbers"])
    kept = {"answer": entry["answer"], "metadata": {"direction": direction}}
    return Draft(f"{word} {' '.join(map(str, numbers))} ?", answer, {"entry": kept})


def verify(question: Mapping[str, Any], answer: str) -> bool:
    """reasoning-gym's verifier, and the same numbers: its verifier accepts values that are off by one."""
    numbers = question["prompt"].split()[1:-1]
    if sorted(answer.split()) != sorted(numbers):
        return False
    entry = json.loads(question["metadata"])["entry"]
    return float(_scorer().score_answer(json.dumps(answer.split()), entry)) == 1.0


def asked(prompt: str) -> str:
    """The prompt with its numbers sorted."""
    direction, *numbers, _ = prompt.split()
    return " ".join([direction, *sorted(numbers, key=int)])


def _settings(count: int, seed: int) -> Any:
    from reasoning_gym.algorithmic.number_sorting import NumberSortingConfig

    return NumberSortingConfig(
        min_numbers=count, max_numbers=count, min_decimals=0, max_decimals=0,
        min_value=0, max_value=LARGEST, seed=seed, size=1,
    )  # fmt: skip


@cache
def _scorer() -> Any:
    from reasoning_gym.algorithmic.number_sorting import NumberSortingDataset

    return NumberSortingDataset(_settings(3, 0))


NUMBER_SORTING = Family(
    name="number_sorting",
    domain="ordering",
    source="reasoning-gym",
    answer_type="integers",
    levels=tuple(COUNTS),
    generate=generate,
    verify=verify,
    asked=asked,
)
