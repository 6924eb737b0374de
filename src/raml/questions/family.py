"""What a question family is: a generator over difficulty levels and an independent verifier."""

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Draft:
    """A question as its generator makes it, before it has an id and a split."""

    prompt: str
    answer: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A kind of question.

    `levels` are difficulty levels from easy to hard; level 0 is for pretraining drills only.
    `verify(question, answer)` decides from the prompt alone, without the generator's answer.
    `asked(prompt)` is the same for prompts that name the same things in another order: they are one question.
    """

    name: str
    domain: str
    source: str
    answer_type: str
    levels: tuple[int, ...]
    generate: Callable[[int, random.Random], Draft]
    verify: Callable[[Mapping[str, Any], str], bool]
    asked: Callable[[str], str]


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from `parts`, the same in every process and far from its neighbours' seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
