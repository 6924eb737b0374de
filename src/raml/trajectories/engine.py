"""What every sampling engine takes and gives: prompts as token ids in, completions as token ids out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One completion to write: sample number `sample` of question `question_id`."""

    question_id: str
    prompt_ids: tuple[int, ...]
    sample: int


@dataclass(frozen=True)
class Completion:
    """`token_ids` up to and including the stop token, if it was reached (`finished`)."""

    token_ids: list[int]
    finished: bool


class Engine(Protocol):
    """A model with its sampling parameters."""

    def sample(self, requests: Sequence[Request], seed: int) -> list[Completion]:
        """One completion per request, in order.

        The randomness of a completion depends on (`seed`, question id, sample number) alone.

        Raises:
            InputError: a prompt is empty or does not fit the model's context together with its completion.
        """
        ...
