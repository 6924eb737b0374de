"""The oracle of each question family, and distinct solutions of one question."""

import random

from transformers import PreTrainedTokenizerBase

from raml.answers.format import MARKER, THINK_END
from raml.config import Oracle
from raml.questions.verify import family_of
from raml.trajectories.oracles import rows, sorting, trees
from raml.trajectories.oracles.solution import OracleStyle, Solution
from raml.trajectories.tokenizer import EOS, token_ids

WRITERS = {
    "rows": rows.write,
    "rows_top": rows.write,
    "rows_sort": rows.write,
    "path": trees.write,
    "path_back": trees.write,
    "number_sorting": sorting.write,
}

PATIENCE = 100  # draws in a row without a new solution after which there are taken to be no more


def write_solution(family: str, prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle) -> Solution:
    """One solution of `prompt`.

    Raises:
        ConfigError: unknown family.
    """
    return WRITERS[family_of(family).name](prompt, style, rng, settings)


def distinct_solutions(
    family: str, prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle
) -> list[Solution]:
    """Up to `settings.variants_per_question` solutions with different signatures, in random order."""
    found: dict[object, Solution] = {}
    misses = 0
    while len(found) < settings.variants_per_question and misses < PATIENCE:
        solution = write_solution(family, prompt, style, rng, settings)
        misses = misses + 1 if solution.signature in found else 0
        found.setdefault(solution.signature, solution)
    return list(found.values())


def completion(
    tokenizer: PreTrainedTokenizerBase, solution: Solution, *, close_thinking: bool = True
) -> tuple[list[int], list[bool]]:
    """Token ids and loss mask of `THINKING </think> MARKER ANSWER } <eos>` (`</think>` left out on request)."""
    closing = [THINK_END] if close_thinking else []
    ending = [*closing, MARKER, *solution.answer.split(), "}", EOS]
    return token_ids(tokenizer, [*solution.thinking, *ending]), [*solution.imitate, *[True] * len(ending)]
