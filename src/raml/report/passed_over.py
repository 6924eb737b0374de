"""Which samples have no curve, and how many: what figures of curves say of the samples behind them."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import polars as pl

from raml.config import Probing
from raml.probing.chosen import PassedOver, choose_trajectories, trajectory_id
from raml.schemas import Trajectory
from raml.storage import read_table


def what_was_passed_over(
    samples: Sequence[Path], questions: pl.DataFrame, points: pl.DataFrame, probing: Probing, model: str
) -> str:
    """A sentence that counts the samples left out, all training seeds together.

    Args:
        samples: tables of `schemas.Trajectory`, one a training seed, all written by `model`.
        questions: rows of `schemas.Question`.
        points: rows of `schemas.ProbeCurve`, all curves of `model` in some mode.
        probing: how the followed ones were chosen.
        model: the probed model's name.

    Raises:
        DataError: a table is unreadable, or of another model.
        InputError: as in `raml.probing.chosen.choose_trajectories`.
    """
    followed = set(points.select("seed", "trajectory_id").iter_rows())
    counts = []
    too_long = 0
    for path in samples:
        table = read_table(path, Trajectory)
        chosen, passed_over = choose_trajectories(questions, table, probing, model)
        counts.append(passed_over)
        seeds = table["seed"].unique().to_list()  # one
        too_long += len({(seed, trajectory_id(one, model)) for seed in seeds for one in chosen} - followed)
    total = _sum(counts)
    return (
        f"Without a curve for these reasons are {total.empty:,} of the {total.ended:,} samples that ended with an "
        f"answer, which have no thinking ({total.empty_correct:,} of them correct); {total.unfinished:,} of the "
        f"{total.incorrect:,} incorrect samples, which did not end with an answer; and {too_long:,} that would "
        "have been followed but do not fit into the context."
    )


def _sum(counts: Iterable[PassedOver]) -> PassedOver:
    rows = list(counts)
    return PassedOver(**{field.name: sum(getattr(row, field.name) for row in rows) for field in fields(PassedOver)})
