"""Which samples have no curve, and how many: what figures of curves say of the samples behind them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import polars as pl

from raml.config import Probing
from raml.probing.chosen import PassedOver, choose_trajectories, trajectory_id
from raml.schemas import Trajectory
from raml.storage import read_table


def skipped(
    samples: Sequence[Path], questions: pl.DataFrame, points: Mapping[str, pl.DataFrame], probing: Probing
) -> dict[str, str]:
    """By probed model a sentence that counts the samples left out, all training seeds together.

    Args:
        samples: tables of `schemas.Trajectory`, each of one model and training seed.
        questions: rows of `schemas.Question`.
        points: rows of `schemas.ProbeCurve` by model.
        probing: how the followed ones were chosen.

    Raises:
        DataError: a table is unreadable, or of several models.
        InputError: as in `raml.probing.chosen.choose_trajectories`.
    """
    counts: dict[str, list[PassedOver]] = defaultdict(list)
    too_long: dict[str, int] = defaultdict(int)
    followed = {
        model: set(rows.filter(pl.col("mode") == "thinking").select("seed", "trajectory_id").unique().iter_rows())
        for model, rows in points.items()
    }
    for path in samples:
        table = read_table(path, Trajectory)
        if table.is_empty():
            continue
        model, seed = table["writer"][0], table["seed"][0]
        chosen, left_out = choose_trajectories(questions, table, probing, model)
        counts[model].append(left_out)
        too_long[model] += len({(seed, trajectory_id(one, model)) for one in chosen} - followed.get(model, set()))
    return {model: _sentence(rows, too_long[model]) for model, rows in counts.items()}


def _sentence(rows: Sequence[PassedOver], too_long: int) -> str:
    total = PassedOver(*map(sum, zip(*map(astuple, rows), strict=True)))
    return (
        f"Skipped: of {total.ended:,} samples that ended with an answer, {total.empty:,} had no thinking "
        f"({total.empty_correct:,} of them correct); of {total.incorrect:,} incorrect samples, {total.unfinished:,} "
        f"did not end with an answer; {too_long:,} did not fit the context."
    )
