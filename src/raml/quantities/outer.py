"""Quantities of the outer loop: the answer NLL after trajectories of held-out questions (Eq. 8, Table 1)."""

import polars as pl

from raml.quantities.table import by_question, empty


def outer_quantities(losses: pl.DataFrame) -> pl.DataFrame:
    """By the trajectories' source the outer loss, that after an empty trajectory, and the fall by reading; of own ones
    also by outcome, and how many are correct.

    Args:
        losses: rows of `schemas.OuterLoss`.
    """
    parts = [empty()]
    values: dict[str, str | pl.Expr] = {
        "outer loss": "nll",
        "loss without": "nll_without",
        "reading": pl.col("nll_without") - pl.col("nll"),
    }
    for source in ("oracle", "own"):
        rows = losses.filter(pl.col("source") == source)
        parts.append(by_question(rows, {f"{name}/{source}": value for name, value in values.items()}))
        parts.append(by_question(rows, {f"right/{source}": "correct"}))
    for outcome in ("correct", "incorrect"):
        rows = losses.filter(pl.col("source") == "own", pl.col("correct") == (outcome == "correct"))
        parts.append(by_question(rows, {f"outer loss/own/{outcome}": "nll"}))
    return pl.concat(parts)
