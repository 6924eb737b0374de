"""What every sampling engine takes and gives: prompts as token ids in, completions as token ids out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import raml
from raml.errors import InputError


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


@dataclass(frozen=True)
class Origin:
    """What made a completion: which engine, its version, and the precision of its arithmetic."""

    engine: str
    version: str
    dtype: str

    def columns(self) -> dict[str, str]:
        """As the columns of `schemas.Trajectory`."""
        return {"engine": self.engine, "engine_version": self.version, "dtype": self.dtype}


PROGRAM: Final = Origin("program", raml.__version__, "none")
"""Of trajectories that no model wrote."""


MODULES: Final = {"vllm": "raml.trajectories.vllm_engine", "server": "raml.trajectories.server_engine"}
"""Of the engines that only a scale which names them needs."""


class Engine(Protocol):
    """A model with its sampling parameters."""

    @property
    def origin(self) -> Origin:
        """What makes the completions."""
        ...

    def stream(
        self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """One completion for each of `requests` with its place among them, in any order, as they are finished.

        The randomness of a completion depends on (`seed`, question id, sample number) alone.

        Args:
            requests: what to complete.
            seed: of the randomness.
            max_tokens: length of these completions at most; None: as the sampling parameters say.

        Raises:
            InputError: a prompt is empty or does not fit the model's context together with its completion.
            RamlError: the engine stops before its work is done.
        """
        ...

    def sample(self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None) -> list[Completion]:
        """The completions of `stream`, in the order of `requests`."""
        ...


def in_order(found: Iterator[tuple[int, Completion]], requests: int) -> list[Completion]:
    """What a stream of `requests` completions gives, by their places."""
    completions = dict(found)
    return [completions[place] for place in range(requests)]


def check_prompts(requests: Sequence[Request], *, max_tokens: int, context: int | None) -> None:
    """Make sure that each prompt and `max_tokens` further tokens fit a model's context, which may be unlimited.

    Raises:
        InputError: one does not, or is empty.
    """
    for request in requests:
        if not request.prompt_ids:
            raise InputError(f"question {request.question_id} has an empty prompt")
        needed = len(request.prompt_ids) + max_tokens
        if context is not None and needed > context:
            raise InputError(
                f"question {request.question_id}: {len(request.prompt_ids)} prompt tokens + {max_tokens} to be written "
                f"= {needed} exceed the model's context of {context}; lower sampling.max_tokens"
            )
