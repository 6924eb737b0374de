"""Pairs of a correct and a wrong trajectory of the same question, for preference optimisation."""

from math import lcm
from typing import Any

import polars as pl

from raml.errors import DataError

Pair = dict[str, list[int]]


def preference_pairs(correct: pl.DataFrame, wrong: pl.DataFrame, pairs_per_question: int, where: str) -> list[Pair]:
    """Token ids of up to `pairs_per_question` different pairs of each question: prompt, chosen, rejected.

    As many different trajectories as possible take part, each as often as the others of its question and kind.
    Both tables are taken in their order, so the same tables give the same pairs.

    Args:
        correct: trajectories (`schemas.Trajectory`) that answer their question correctly, chosen.
        wrong: those that do not, rejected.
        pairs_per_question: at most; a question with a correct and b wrong ones has a x b pairs.
        where: the tables' names, for errors.

    Raises:
        DataError: no question has both, or the two were not written for the same prompt.
    """
    rejected = dict(_by_question(wrong))
    pairs: list[Pair] = []
    for question, chosen in _by_question(correct):
        for first, second in spread(len(chosen), len(rejected.get(question, [])), pairs_per_question):
            one, other = chosen[first], rejected[question][second]
            if one["prompt_ids"] != other["prompt_ids"]:
                raise DataError(f"{where}: the trajectories of {question} were not written for the same prompt")
            pairs.append(
                {
                    "prompt_ids": one["prompt_ids"],
                    "chosen_ids": one["token_ids"],
                    "rejected_ids": other["token_ids"],
                }
            )
    if not pairs:
        raise DataError(
            f"{where}: no question has both a correct and a wrong trajectory, so there are no pairs; "
            "write both for the same questions"
        )
    return pairs


def spread(n_chosen: int, n_rejected: int, n_pairs: int) -> list[tuple[int, int]]:
    """Up to `n_pairs` different pairs of indices; every prefix uses all indices equally often, within one."""
    if not n_chosen * n_rejected:
        return []
    # Both indices advance together; once both are back at 0 the second one is moved on by one.
    period = lcm(n_chosen, n_rejected)
    return [
        (index % n_chosen, (index + index // period) % n_rejected)
        for index in range(min(n_pairs, n_chosen * n_rejected))
    ]


def _by_question(trajectories: pl.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    columns = trajectories.select("question_id", "prompt_ids", "token_ids")
    return [
        (group["question_id"][0], group.rows(named=True))
        for group in columns.partition_by("question_id", maintain_order=True)
    ]
