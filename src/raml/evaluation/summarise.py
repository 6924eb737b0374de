"""The metric table: evaluations in, each model's score on each benchmark with its interval out.

    python -m raml.evaluation.summarise --scale S --config '<evaluation>' \
        --evaluations E --metrics tables/metrics.parquet --metrics-json tables/metrics.json

The JSON is `{model: {benchmark: {metric: value}}}`, for `dvc metrics show` and `dvc metrics diff`.
"""

from typing import Any

import polars as pl

from raml.config import Evaluation as Settings
from raml.evaluation.intervals import Bootstrap, cells
from raml.evaluation.metrics import avg_at_n, mg_pass_at_k, pass_at_k
from raml.schemas import Evaluation, MetricTable
from raml.step import Step, run
from raml.storage import read_table, write_json, write_table


def main(step: Step[Settings]) -> None:
    """Write the table of metrics and its nested JSON."""
    table = summarise(read_table(step.files["evaluations"], Evaluation), step.config, step.seed)
    write_table(table, MetricTable, step.files["metrics"], step.provenance())
    write_json(nested(table), step.files["metrics_json"])


def summarise(evaluations: pl.DataFrame, settings: Settings, seed: int) -> pl.DataFrame:
    """Rows of `MetricTable`, as shares of 1; `n_samples` counts all samples behind a row, seeds together.

    Interval ends are cut to [0, 1], where the metrics lie.
    """
    bootstrap = Bootstrap(seed, settings.bootstrap_resamples, settings.confidence)
    n, c = evaluations["n"].to_numpy(), evaluations["c"].to_numpy()
    metrics = {
        f"Pass@{settings.k}": pass_at_k(n, c, settings.k),
        f"mG-Pass@{settings.k}": mg_pass_at_k(n, c, settings.k),
        f"Avg@{settings.n}": avg_at_n(n, c),
    }
    table = evaluations.with_columns(pl.Series(name, values) for name, values in metrics.items())
    rows: list[dict[str, Any]] = []
    for (model, benchmark, kind), group in table.group_by("model", "benchmark", "kind"):
        for metric in metrics:
            score = bootstrap.mean(cells(group, metric), str(model), str(benchmark), metric).within(0, 1)
            rows.append(
                {
                    "model": model,
                    "benchmark": benchmark,
                    "kind": kind,
                    "metric": metric,
                    "value": score.estimate,
                    "lower": score.lower,
                    "upper": score.upper,
                    "n_questions": group["question_id"].n_unique(),
                    "n_samples": int(group["n"].sum()),
                }
            )
    return MetricTable.cast(pl.DataFrame(rows, schema=MetricTable.column_names()).sort("model", "benchmark", "metric"))


def nested(table: pl.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """The values of a metric table as {model: {benchmark: {metric: value}}}."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for model, benchmark, metric, value in table.select("model", "benchmark", "metric", "value").iter_rows():
        result.setdefault(model, {}).setdefault(benchmark, {})[metric] = value
    return result


if __name__ == "__main__":
    run(main, Settings, inputs=["evaluations"], outputs=["metrics", "metrics_json"])
