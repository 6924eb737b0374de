"""The long table of quantities: its schema, what each quantity is, and how rows are put into its form.

A quantity's name is a base name of `QUANTITIES`, after an `@` its k or the share of the trajectory read, and after
slashes what it is restricted to: `Pass@8`, `rho/correct`, `cosine/output/correct/quarter 1`. A model's name may
carry a variant after a slash: `sft_long/no_thinking`, `sft_long/summary`, `sft_long/shuffled`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

import dataframely as dy
import polars as pl

CELL: Final = ["model", "seed", "benchmark", "question_id"]
NO_QUESTION: Final = ""
"""The question of a number that pools all tokens or prompts of a seed."""


class QuantityTable(dy.Schema):
    """A row is a quantity of one seed and one question; `n` counts what it averages (samples, trajectories, tokens)."""

    quantity = dy.String(primary_key=True, min_length=1)
    model = dy.String(primary_key=True, min_length=1)
    baseline = dy.String(nullable=True)  # what the number itself compares the model with
    benchmark = dy.String(primary_key=True)
    domain = dy.String()
    seed = dy.Int64(primary_key=True)
    question_id = dy.String(primary_key=True)
    value = dy.Float64()
    weight = dy.Float64(min=0)  # of the question in a mean: 1, but for rank trends
    n = dy.Int64(min=0)


@dataclass(frozen=True)
class Quantity:
    """What a quantity is, its unit, the values that it can take, and the measurement tables that it comes from."""

    text: str
    unit: str
    lowest: float
    highest: float
    tables: tuple[str, ...]
    baseline: str | None = None


SHARE, NATS, TRAJECTORY = "share", "nats per answer token", "share of the trajectory"

QUANTITIES: Final[Mapping[str, Quantity]] = {
    "Pass": Quantity("Pass@k", SHARE, 0, 1, ("evaluations",)),
    "mG-Pass": Quantity("mG-Pass@k", SHARE, 0, 1, ("evaluations",)),
    "Avg": Quantity("Avg@n", SHARE, 0, 1, ("evaluations",)),
    "cut off": Quantity("samples without an end within the token limit", SHARE, 0, 1, ("evaluations",)),
    "trend": Quantity("rank trend", "Spearman's rho", -1, 1, ("evaluations",)),
    "slope": Quantity("slope per doubling", "share per doubling", -1, 1, ("evaluations",)),
    "solutions": Quantity("training questions with as many different solutions", SHARE, 0, 1, ("trajectories",)),
    "seen": Quantity("different solutions that a question is trained on", "solutions", 0, inf, ("trajectories",)),
    "tokens": Quantity("tokens of an answer", "tokens", 0, inf, ("answers",)),
    "thinking tokens": Quantity("tokens of thinking", "tokens", 0, inf, ("answers",)),
    "leaked": Quantity("texts that hold the gold answer", SHARE, 0, 1, ("answers",)),
    "rho": Quantity("rho of NLL and position", "Spearman's rho", -1, 1, ("curves",)),
    "start NLL": Quantity("NLL before thinking", NATS, 0, inf, ("curves",)),
    "end NLL": Quantity("NLL at the end", NATS, 0, inf, ("curves",)),
    "NLL": Quantity("NLL along the trajectory", NATS, 0, inf, ("curves",)),
    "NLL change": Quantity("change of the NLL", NATS, -inf, inf, ("curves",)),
    "half fall": Quantity("first half-way crossing", TRAJECTORY, 0, 1, ("curves",)),
    "last half fall": Quantity("last half-way crossing", TRAJECTORY, 0, 1, ("curves",)),
    "superiority": Quantity("AUC less one half", "AUC less one half", -0.5, 0.5, ("roles",), "other tokens"),
    "relative change": Quantity("relative change of the NLL", "relative change", 0, inf, ("roles",)),
    "signed change": Quantity("change of the NLL at the token", NATS, -inf, inf, ("roles",)),
    "next change": Quantity("change of the NLL at the next token", NATS, -inf, inf, ("roles",)),
    "pooled change": Quantity("relative change, all tokens pooled", "relative change", 0, inf, ("roles",)),
    "pooled signed change": Quantity("signed change, all tokens pooled", NATS, -inf, inf, ("roles",)),
    "descent": Quantity("descent on the landscape", "share of the grid", -1, 1, ("curves", "landscape")),
    "lower than start": Quantity(
        "grid points lower than the start", "share of the grid", 0, 1, ("curves", "landscape")
    ),
    "lower than end": Quantity("grid points lower than the end", "share of the grid", 0, 1, ("curves", "landscape")),
    "reached": Quantity("positions at a level of the landscape", SHARE, 0, 1, ("curves", "landscape")),
    "ends below": Quantity("trajectories that end below the landscape", SHARE, 0, 1, ("curves", "landscape")),
    "landscape": Quantity("NLL of the landscape", NATS, 0, inf, ("curves", "landscape")),
    "logit difference": Quantity("largest difference of a logit", "logits", 0, inf, ("updates",), "reading it"),
    "NLL difference": Quantity("difference of the NLL", NATS, 0, inf, ("updates",), "reading it"),
    "exact": Quantity("prefixes with a logit difference below 0.001", SHARE, 0, 1, ("updates",), "reading it"),
    "cosine": Quantity("cosine with the negative gradient", "cosine", -1, 1, ("updates",)),
    "relative norm": Quantity("norm of the update", "share of the weights' norm", 0, inf, ("updates",)),
    "first order": Quantity("change of the NLL to first order", NATS, -inf, inf, ("updates",)),
    "actual": Quantity("actual change of the NLL", NATS, -inf, inf, ("updates",)),
    "agreement": Quantity("prefixes whose signs agree", SHARE, 0, 1, ("updates",)),
    "block error": Quantity("relative error of a block's output", "relative error", 0, inf, ("blocks",)),
    "block norm": Quantity("relative change of a block's weights", "relative norm", 0, inf, ("blocks",)),
    "outer loss": Quantity("outer loss", NATS, 0, inf, ("outer",)),
    "loss without": Quantity("NLL after an empty trajectory", NATS, 0, inf, ("outer",)),
    "reading": Quantity("fall of the NLL by reading", NATS, -inf, inf, ("outer",)),
    "right": Quantity("correct trajectories", SHARE, 0, 1, ("outer",)),
}


def base_name(quantity: str) -> str:
    """`Pass` of `Pass@8`, `rho` of `rho/correct`: the name in `QUANTITIES`."""
    return quantity.split("/")[0].split("@")[0]


def tables_of(quantity: str, model: str) -> tuple[str, ...]:
    """The measurement tables that a quantity of a model comes from; scores of a way to answer have one of their own.

    Raises:
        KeyError: the quantity is one that nobody makes.
    """
    tables = QUANTITIES[base_name(quantity)].tables
    return ("answers",) if tables == ("evaluations",) and "/" in model else tables


def by_question(table: pl.DataFrame, values: Mapping[str, str | pl.Expr], n: pl.Expr | None = None) -> pl.DataFrame:
    """Rows of quantities: the mean of each of `values` over the rows of a seed's question; nulls are left out.

    Args:
        table: columns `model`, `seed`, `benchmark`, `question_id` and those that `values` read.
        values: by quantity a column or an expression.
        n: what counts as averaged; by default the rows with a value.

    Returns:
        Columns of `QuantityTable` but for `domain` and `baseline`.
    """
    columns = {name: pl.col(value) if isinstance(value, str) else value for name, value in values.items()}
    parts = [
        table.select(*CELL, value=column.cast(pl.Float64), n=pl.lit(1, pl.Int64) if n is None else n)
        .drop_nulls("value")
        .group_by(CELL)
        .agg(pl.col("value").mean(), pl.col("n").sum().cast(pl.Int64))
        .with_columns(quantity=pl.lit(name), weight=pl.lit(1.0))
        for name, column in columns.items()
    ]
    return pl.concat(parts) if parts else empty()


def empty() -> pl.DataFrame:
    """No rows, in the columns of `by_question`."""
    texts = dict.fromkeys(("model", "benchmark", "question_id", "quantity"), pl.String)
    numbers = {"seed": pl.Int64, "value": pl.Float64, "n": pl.Int64, "weight": pl.Float64}
    columns = [*CELL, "value", "n", "quantity", "weight"]
    return pl.DataFrame(schema={name: (texts | numbers)[name] for name in columns})


def complete(rows: pl.DataFrame, domains: Mapping[str, str]) -> pl.DataFrame:
    """`rows` with domain and baseline, in the table's order.

    Args:
        rows: as `by_question` makes them.
        domains: of each benchmark.
    """
    baselines = {name: one.baseline for name, one in QUANTITIES.items() if one.baseline}
    base = pl.col("quantity").str.extract(r"^([^/@]+)")
    table = rows.with_columns(
        domain=pl.col("benchmark").replace_strict(domains, default="", return_dtype=pl.String),
        baseline=base.replace_strict(baselines, default=None, return_dtype=pl.String),
    )
    return QuantityTable.cast(table.select(QuantityTable.column_names())).sort("quantity", *CELL)
