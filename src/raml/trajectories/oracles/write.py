"""The oracle of each question family, and distinct solutions of one question."""

import random
from bisect import bisect_right
from itertools import accumulate

from transformers import PreTrainedTokenizerBase

from raml.answers.format import MARKER, THINK_END
from raml.config import Oracle
from raml.questions.verify import family_of
from raml.trajectories.oracles import rows, sorting, spelling, sums, trees
from raml.trajectories.oracles.solution import OracleStyle, Solution
from raml.trajectories.tokenizer import EOS, is_word_level, token_ids

WRITERS = {
    "rows": rows.write,
    "rows_top": rows.write,
    "rows_sort": rows.write,
    "path": trees.write,
    "path_back": trees.write,
    "number_sorting": sorting.write,
    "chain_sum": sums.write,
    "leg_counting": sums.write,
    "word_problem": sums.write,
    "spell_backward": spelling.write,
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
    """Token ids and loss mask of a solution as a completion (`</think>` left out on request).

    Of the micro tokenizer the words of `THINKING </think> MARKER ANSWER } <eos>`, of any other the tokens of its text.
    """
    if not is_word_level(tokenizer):
        return _text_completion(tokenizer, solution, close_thinking=close_thinking)
    closing = [THINK_END] if close_thinking else []
    ending = [*closing, MARKER, *solution.answer.split(), "}", EOS]
    return token_ids(tokenizer, [*solution.thinking, *ending]), [*solution.imitate, *[True] * len(ending)]


def _text_completion(
    tokenizer: PreTrainedTokenizerBase, solution: Solution, *, close_thinking: bool
) -> tuple[list[int], list[bool]]:
    """A token that ends in a deliberately wrong attempt carries no loss; many begin with the blank before a word."""
    ends = list(accumulate(len(piece) + 1 for piece in solution.thinking))  # each with the blank after it
    closing = f"\n{THINK_END}" if close_thinking else ""
    text = f"{' '.join(solution.thinking)}{closing}{MARKER}{solution.answer}}}"
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    imitate = [*solution.imitate, True]  # the last: all after the thinking
    mask = [imitate[bisect_right(ends, end - 1)] for _, end in encoded["offset_mapping"]]
    return [*encoded["input_ids"], tokenizer.eos_token_id], [*mask, True]
