"""The files that the viewer of trajectories reads on demand. Light, so that the workflow can list them."""

from collections.abc import Iterable, Mapping
from typing import Final

QUESTIONS_PER_PART: Final = 24


def part_name(seed: int, model: str, benchmark: str, number: int) -> str:
    """The stem of the file that has the trajectories of `QUESTIONS_PER_PART` questions, `number` from 0."""
    return f"seed{seed}-{model}-{benchmark}-{number}"


def part_names(seeds: Iterable[int], models: Iterable[str], benchmarks: Mapping[str, int]) -> list[str]:
    """All files of a scale; `benchmarks` are the probed ones, each with its number of questions."""
    return [
        part_name(seed, model, benchmark, number)
        for seed in seeds
        for model in models
        for benchmark, size in benchmarks.items()
        for number in range(-(-size // QUESTIONS_PER_PART))
    ]
