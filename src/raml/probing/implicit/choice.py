"""Which sampled trajectories are followed as weight updates."""

from collections.abc import Sequence
from itertools import groupby, zip_longest

from raml.probing.chosen import Chosen


def choose_questions(chosen: Sequence[Chosen], benchmarks: Sequence[str], n: int) -> list[list[Chosen]]:
    """Of the first `n` questions with a correct trajectory the first correct and the first incorrect one.

    Questions are taken from the benchmarks in turn, by id; a question without an incorrect trajectory gives one.

    Args:
        chosen: the trajectories of `raml.probing.chosen.choose_trajectories`, a question's in sample order.
        benchmarks: in the order in which they take turns.
        n: at most; fewer where there are not as many.
    """
    in_order = sorted(chosen, key=lambda one: (benchmarks.index(one.benchmark), one.question_id))
    by_benchmark: list[list[list[Chosen]]] = [[] for _ in benchmarks]
    for (benchmark, _), group in groupby(in_order, key=lambda one: (one.benchmark, one.question_id)):
        of_question = list(group)
        correct = [one for one in of_question if one.correct][:1]
        if correct:
            incorrect = [one for one in of_question if not one.correct][:1]
            by_benchmark[benchmarks.index(benchmark)].append(correct + incorrect)
    turns = [question for turn in zip_longest(*by_benchmark) for question in turn if question is not None]
    return turns[:n]
