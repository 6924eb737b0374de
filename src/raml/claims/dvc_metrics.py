"""Scores and verdicts as nested mappings, of which `dvc metrics` shows the differences; lists it does not show."""

from typing import Any, Final

import polars as pl

from raml.claims.result import ClaimResult
from raml.schemas import MetricTable

METRICS: Final = r"^(Pass|mG-Pass|Avg)@\d+$"


def metric_rows(effects: pl.DataFrame, quantities: pl.DataFrame) -> pl.DataFrame:
    """Rows of `MetricTable`: every model's scores on each benchmark, as shares of 1.

    Args:
        effects: rows of `claims.effects.EffectTable`.
        quantities: rows of `QuantityTable`, for the benchmarks' kinds.
    """
    kinds = dict(quantities.filter(pl.col("domain") != "").select("benchmark", "domain").unique().iter_rows())
    plain = pl.col("baseline").is_null() & ~pl.col("model").str.contains("/", literal=True)
    rows = effects.filter(
        plain,
        pl.col("quantity").str.contains(METRICS),
        pl.col("over").is_in(list(kinds)),
        pl.col("lower").is_not_null(),
    )
    table = rows.select(
        "model",
        pl.col("over").alias("benchmark"),
        pl.col("over").replace_strict(kinds, return_dtype=pl.String).alias("kind"),
        pl.col("quantity").alias("metric"),
        pl.col("estimate").alias("value"),
        "lower",
        "upper",
        pl.col("questions").alias("n_questions"),
        pl.col("n").alias("n_samples"),
    )
    return MetricTable.cast(table.sort("model", "benchmark", "metric"))


def nested(table: pl.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """The values of a metric table as {model: {benchmark: {metric: value}}}."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for model, benchmark, metric, value in table.select("model", "benchmark", "metric", "value").iter_rows():
        result.setdefault(model, {}).setdefault(benchmark, {})[metric] = value
    return result


def numbers(claim: ClaimResult) -> dict[str, Any]:
    """Verdicts and p-values by name, and each deciding effect's estimate and interval, as far as there are any."""
    told = claim.model_dump(include={"verdict", "verdict_holm", "p", "p_holm"}, exclude_none=True)
    ends = {
        one.name: {"estimate": one.estimate, "lower": one.interval[0], "upper": one.interval[1]}
        for one in claim.effects
        if one.interval
    }
    return told | ({"effects": ends} if ends else {})
