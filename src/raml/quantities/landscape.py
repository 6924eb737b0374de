"""Quantities of landscapes: where on its question's landscape a trajectory's curve starts and ends (Figure 2)."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raml.errors import DataError
from raml.quantities.table import by_question, empty

QUESTION: Final = ["seed", "model", "question_id"]
TRAJECTORY: Final = [*QUESTION, "trajectory_id"]


def landscape_quantities(curves: pl.DataFrame, landscape: pl.DataFrame) -> pl.DataFrame:
    """By outcome the descent and what it is made of; of the landscapes themselves centre, lowest and highest NLL.

    Args:
        curves: rows of `schemas.ProbeCurve`; those of other models, seeds and questions are left out.
        landscape: rows of `schemas.LandscapePoint`, of one model.

    Raises:
        DataError: landscapes of several models, or a curve that does not begin at position 0.
    """
    if landscape["model"].n_unique() > 1:
        raise DataError(f"the landscapes must be of one model, found {', '.join(sorted(landscape['model'].unique()))}")
    followed = descents(curves, landscape)
    names = ("descent", "lower than start", "lower than end", "reached", "ends below")
    parts = [empty()]
    for outcome in ("correct", "incorrect"):
        rows = followed.filter(pl.col("correct") == (outcome == "correct"))
        parts.append(by_question(rows, {f"{name}/{outcome}": name.replace(" ", "_") for name in names}))
    nll = pl.col("nll")
    levels = {
        "centre": nll.filter((pl.col("x") == 0) & (pl.col("y") == 0)).first(),
        "lowest": nll.min(),
        "highest": nll.max(),
    }
    found = landscape.group_by(*QUESTION, "benchmark").agg(level.alias(name) for name, level in levels.items())
    return pl.concat([*parts, by_question(found, {f"landscape/{name}": name for name in levels})])


def descents(curves: pl.DataFrame, landscape: pl.DataFrame) -> pl.DataFrame:
    """Where on its question's landscape every thinking-mode curve starts and ends.

    Curve and landscape are both the answer NLL, the one changed by the trajectory and the other by random changes of
    the weights; the landscape's centre is the curve's start. So the descent also depends on how high the weights
    themselves lie among their random changes.

    Args:
        curves: rows of `schemas.ProbeCurve`.
        landscape: rows of `schemas.LandscapePoint`.

    Returns:
        A row a curve: `seed`, `model`, `question_id`, `trajectory_id`, `benchmark`, `correct`, `lower_than_start` and
        `lower_than_end` (shares of the grid's points that lie strictly lower), `descent` = the former less the latter,
        `reached` (share of the probed positions whose NLL lies between the landscape's lowest and highest point) and
        `ends_below` (1 if the end lies below the lowest one, else 0).

    Raises:
        DataError: a curve does not begin at position 0.
    """
    thinking = curves.filter(pl.col("mode") == "thinking").sort(*TRAJECTORY, "position")
    grids = landscape.sort("nll").group_by(QUESTION).agg(pl.col("nll").alias("grid"))
    followed = (
        thinking.group_by(TRAJECTORY, maintain_order=True)
        .agg(pl.col("benchmark", "correct", "position").first(), pl.col("nll"))
        .join(grids, on=QUESTION, maintain_order="left")
    )
    late = followed.filter(pl.col("position") != 0)
    if not late.is_empty():
        raise DataError(f"the curve of {late['trajectory_id'][0]} lacks position 0; probe again")
    pairs = [(np.asarray(grid), np.asarray(nll)) for grid, nll in followed.select("grid", "nll").iter_rows()]
    measured = {
        "lower_than_start": [_share_lower(grid, nll[0]) for grid, nll in pairs],
        "lower_than_end": [_share_lower(grid, nll[-1]) for grid, nll in pairs],
        "reached": [float(np.mean((nll >= grid[0]) & (nll <= grid[-1]))) for grid, nll in pairs],
        "ends_below": [float(nll[-1] < grid[0]) for grid, nll in pairs],
    }
    columns = [pl.Series(name, values, dtype=pl.Float64) for name, values in measured.items()]
    table = followed.drop("nll", "grid", "position").with_columns(columns)
    return table.with_columns(descent=pl.col("lower_than_start") - pl.col("lower_than_end"))


def _share_lower(grid: NDArray[np.float64], level: float) -> float:
    """The share of the ascending `grid` that lies strictly lower than `level`."""
    return float(np.searchsorted(grid, level, side="left") / len(grid))
