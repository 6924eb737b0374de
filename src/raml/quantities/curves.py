"""Quantities of answer-NLL curves, by the outcome of the trajectory; neither smoothed nor cleared of zeros.

How fast a curve falls is measured by when it *first* reaches the level half way between its ends. Noise along the
curve makes that earlier: a linear fall by 1 nat over 50 tokens gets there after 0.48 of them on average with white
noise of 0.05 nats, and after 0.21 with 0.3 nats. Noise makes the *last* crossing of that level later (0.54 and 0.82),
so both are quantities; a difference in roughness alone pulls them apart.
"""

from typing import Final

import numpy as np
import polars as pl

from raml.errors import DataError
from raml.quantities.table import by_question, empty

CURVE: Final = ["seed", "model", "trajectory_id", "mode"]
GRID: Final = np.linspace(0, 1, 21)
"""Shares of the trajectory at which curves are averaged."""
MIN_POSITIONS: Final = 5
"""Curves with fewer probed positions are left out: rho takes only a few values there."""
COLUMNS: Final = {
    "rho": "rho",
    "start NLL": "start",
    "end NLL": "end",
    "NLL change": "change",
    "half fall": "half_fall",
    "last half fall": "last_half_fall",
}


def curve_quantities(curves: pl.DataFrame) -> pl.DataFrame:
    """Trend, ends, half-way crossings and levels of all curves; no-thinking ones have the model `<model>/no_thinking`.

    Args:
        curves: rows of `schemas.ProbeCurve`, any models and seeds.

    Raises:
        DataError: a curve does not begin at position 0.
    """
    table = curve_table(curves).filter(pl.col("positions") >= MIN_POSITIONS)
    parts = [empty()]
    for outcome in ("correct", "incorrect"):
        rows = table.filter(pl.col("correct") == (outcome == "correct"))
        columns: dict[str, str | pl.Expr] = {f"{name}/{outcome}": column for name, column in COLUMNS.items()}
        columns |= {f"NLL@{share:.2f}/{outcome}": pl.col("levels").list.get(place) for place, share in enumerate(GRID)}
        parts.append(by_question(rows, columns))
    return pl.concat(parts)


def curve_table(curves: pl.DataFrame) -> pl.DataFrame:
    """A row a curve, `model` with its variant.

    Args:
        curves: rows of `schemas.ProbeCurve`.

    Returns:
        `seed`, `model`, `trajectory_id`, `mode`, `question_id`, `benchmark`, `correct`, `positions` (probed), `rho`
        (Spearman's correlation of NLL and position, ties by average rank; 0 for a constant curve), in nats per answer
        token `start`, `end` (first and last probed position) and `change` = end - start, `half_fall` (the share of the
        trajectory read at the first probed position where the NLL is at most the mean of `start` and `end`; 1 if the
        curve does not fall), `last_half_fall` (the same at the first position from which on it stays there), and
        `levels`, the NLL at `GRID`, linear between probed positions.

    Raises:
        DataError: a curve does not begin at position 0.
    """
    nll, position, length = pl.col("nll"), pl.col("position"), pl.col("length").first()
    falls = nll.last() < nll.first()
    is_above = nll > (nll.first() + nll.last()) / 2
    stays = is_above.cum_sum(reverse=True) == 0
    found = (
        curves.sort(*CURVE, "position")
        .group_by(CURVE, maintain_order=True)
        .agg(
            pl.col("question_id", "benchmark", "correct", "length").first(),
            position.first().alias("first_position"),
            pl.len().alias("positions"),
            pl.corr(position, nll, method="spearman").fill_nan(0.0).fill_null(0.0).alias("rho"),
            nll.first().alias("start"),
            nll.last().alias("end"),
            pl.when(falls).then(position.filter(~is_above).first() / length).otherwise(1.0).alias("half_fall"),
            pl.when(falls).then(position.filter(stays).first() / length).otherwise(1.0).alias("last_half_fall"),
            position.alias("read"),
            nll.alias("nll"),
        )
    )
    late = found.filter(pl.col("first_position") != 0)
    if not late.is_empty():
        raise DataError(f"the curve of {late['trajectory_id'][0]} lacks position 0; probe again")
    levels = [
        np.interp(GRID, np.asarray(row["read"]) / max(row["length"], 1), row["nll"]).tolist()
        for row in found.select("read", "length", "nll").iter_rows(named=True)
    ]
    variant = (
        pl.when(pl.col("mode") == "thinking")
        .then(pl.col("model"))
        .otherwise(pl.format("{}/{}", "model", pl.col("mode").cast(pl.String)))
    )
    return found.drop("first_position", "read", "nll", "length").with_columns(
        pl.Series("levels", levels, dtype=pl.List(pl.Float64)), model=variant, change=pl.col("end") - pl.col("start")
    )
