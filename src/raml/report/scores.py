"""Scores of models on benchmarks as exhibits show them: the metric table, pooled scores, what the paper prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from raml.claims import leads
from raml.claims.decision import interval_or_none
from raml.config import BenchmarkKind
from raml.config import Evaluation as Settings
from raml.config.reading import read_yaml
from raml.errors import ConfigError, DataError
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.report.exhibit import NONE, Cell, Column
from raml.report.numbers import MINUS, percent, seed_spread
from raml.report.style import MODEL_LABELS
from raml.schemas import Evaluation, MetricTable
from raml.storage import read_table

KINDS: Final[Mapping[BenchmarkKind, str]] = {
    "in_domain": "in domain",
    "in_domain_hard": "in domain, hard",
    "within_domain": "same domain",
    "other_domain": "other domain",
}
TRAINED_ON: Final[Sequence[BenchmarkKind]] = ("in_domain", "in_domain_hard")
PAPER_MODEL: Final = "Qwen2.5-7B"
PAPER_METRICS: Final[Mapping[str, str]] = {"P8": "Pass@8", "mG8": "mG-Pass@8"}
NOT_RUN: Final = Cell(text="not run yet")

Reported = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Measured:
    """Rows of the metric table by (model, benchmark, metric), and the orders to show them in."""

    metrics: list[str]
    models: list[str]
    benchmarks: list[str]
    kinds: Mapping[str, BenchmarkKind]
    questions: Mapping[str, int]
    seeds: int
    points: Mapping[tuple[str, str, str], Interval]

    def of(self, model: str, metric: str) -> list[Interval | None]:
        """A model's scores on the benchmarks, in their order."""
        return [self.points.get((model, benchmark, metric)) for benchmark in self.benchmarks]


def metric_names(settings: Settings) -> list[str]:
    """The paper's two metrics."""
    return list(leads.metric_names(settings.k))


def read_metrics(path: Path, settings: Settings, kinds: Sequence[BenchmarkKind] = tuple(KINDS)) -> Measured:
    """The main models' metrics (the paper's two and Avg@n) on benchmarks of `kinds`, ordered by kind, then name.

    Raises:
        DataError: the file is unreadable, has no main model on such a benchmark, or lacks a metric of one.
    """
    shown = pl.col("model").is_in(list(MODEL_LABELS)) & pl.col("kind").is_in(list(kinds))
    rows = read_table(path, MetricTable).filter(shown).sort("benchmark").rows(named=True)
    if not rows:
        raise DataError(f"{path} has no scores of {', '.join(MODEL_LABELS)} on benchmarks of kind {', '.join(kinds)}")
    kind_of: dict[str, BenchmarkKind] = {row["benchmark"]: row["kind"] for row in rows}
    order, present = list(KINDS), {row["model"] for row in rows}
    measured = Measured(
        metrics=[*metric_names(settings), f"Avg@{settings.n}"],
        models=[model for model in MODEL_LABELS if model in present],
        benchmarks=sorted(kind_of, key=lambda name: (order.index(kind_of[name]), name)),
        kinds=kind_of,
        questions={row["benchmark"]: row["n_questions"] for row in rows},
        seeds=max(row["n_samples"] // (row["n_questions"] * settings.n) for row in rows),
        points={
            (row["model"], row["benchmark"], row["metric"]): Interval(row["value"], row["lower"], row["upper"])
            for row in rows
        },
    )
    for model in measured.models:
        for benchmark in measured.benchmarks:
            for metric in measured.metrics:
                if (model, benchmark, metric) not in measured.points:
                    raise DataError(f"{path} lacks {metric} of {model} on {benchmark}; rebuild the metrics")
    return measured


def read_evaluations(path: Path, settings: Settings, kinds: Sequence[BenchmarkKind] = tuple(KINDS)) -> pl.DataFrame:
    """Rows of `schemas.Evaluation` on benchmarks of `kinds` with each question's Pass@k and mG-Pass@k as columns.

    Raises:
        DataError: the file is unreadable, or has a question with fewer than k samples.
    """
    table = read_table(path, Evaluation)
    if (fewest := min(table["n"], default=settings.k)) < settings.k:
        raise DataError(f"{path} has a question with {fewest} samples, fewer than k = {settings.k}")
    return leads.with_metrics(table, kinds, settings.k)


def check_both(measured: Measured, evaluations: pl.DataFrame, paths: tuple[Path, Path]) -> None:
    """Refuse evaluations without a model or benchmark that the metric table has.

    Args:
        measured: from the first path.
        evaluations: from the second.
        paths: of both, for the message.

    Raises:
        DataError: there is one.
    """
    found = set(evaluations.select("model", "benchmark").unique().iter_rows())
    for model in measured.models:
        for benchmark in measured.benchmarks:
            if (model, benchmark) not in found:
                metrics, table = paths
                raise DataError(f"{table} lacks {model} on {benchmark}, which {metrics} has; rebuild the metrics")


def pooled_score(evaluations: pl.DataFrame, model: str, metric: str, bootstrap: Bootstrap, *of: str) -> Interval | None:
    """The mean over all questions of `evaluations`, each counting once; None if the model has fewer than two.

    Args:
        evaluations: from `read_evaluations`, those benchmarks that are to be pooled.
        model: whose score.
        metric: a column.
        bootstrap: how intervals are made.
        of: what is pooled, which seeds the interval; claims say `pooled`.
    """
    score = interval_or_none(cells(evaluations.filter(model=model), metric), bootstrap, model, *of, metric)
    return score and score.within(0, 1)


def bounded(difference: Interval | None) -> Interval | None:
    """A difference of two shares with its ends cut to the values that it can take."""
    return difference and difference.within(-1, 1)


def read_reported(path: Path, table: str) -> Reported:
    """A table of scores that the paper reports, in per cent, by technique, benchmark and metric.

    Raises:
        DataError: the file is missing, not YAML, or without the table.
    """
    try:
        found: Reported = read_yaml(path)[table]
        if not all(isinstance(row, dict) for row in found.values()):
            raise TypeError(f"{table} must map techniques to their numbers")
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} does not hold the paper's {table} ({' '.join(str(error).split())})") from None
    return found


def columns_beside(measured: Measured, reported: Reported, size: str) -> list[Column]:
    """Both metrics on our benchmarks, then on the paper's."""
    here, paper = f"Measured here, {size} parameters", f"Reported by the paper, {PAPER_MODEL}"
    return [
        *(Column(heading=metric, group=name, side=here) for name in measured.benchmarks for metric in _two(measured)),
        *(
            Column(heading=metric, group=name, side=paper, reported=True)
            for name in reported_benchmarks(reported)
            for metric in PAPER_METRICS.values()
        ),
    ]


def measured_cells(measured: Measured, model: str) -> list[Cell]:
    """Cells of `model` under our columns of `columns_beside`."""
    return [
        score_cell(measured.points.get((model, name, metric)))
        for name in measured.benchmarks
        for metric in _two(measured)
    ]


def reported_cells(reported: Reported, technique: str) -> list[Cell]:
    """Cells of `technique` under the paper's columns of `columns_beside`."""
    row = reported.get(technique, {})
    values = [row.get(name, {}).get(key) for name in reported_benchmarks(reported) for key in PAPER_METRICS]
    return [Cell(text=f"{value:.2f}") if isinstance(value, int | float) else NONE for value in values]


def reported_scores(reported: Reported, technique: str | None, metric: str) -> list[Interval | None]:
    """What the paper reports of a technique on each of its benchmarks, as shares of 1 without width."""
    key = next((key for key, name in PAPER_METRICS.items() if name == metric), None)
    values = [reported.get(technique or "", {}).get(name, {}).get(key) for name in reported_benchmarks(reported)]
    return [None if value is None else Interval(value / 100, value / 100, value / 100) for value in values]


def comparable(reported: Reported, metrics: Sequence[str]) -> Reported:
    """What the paper reports if it is in one of our metrics (another k makes other ones), else nothing."""
    return reported if set(PAPER_METRICS.values()) & set(metrics) else {}


def reported_benchmarks(reported: Reported) -> list[str]:
    """The paper's benchmarks, in its order."""
    return list(
        dict.fromkeys(name for row in reported.values() for name, cell in row.items() if isinstance(cell, dict))
    )


def read_direction(path: Path, figure: str) -> str:
    """What the paper says in words about a figure for which it gives no numbers.

    Raises:
        DataError: the file is missing, not YAML, or says nothing of the figure.
    """
    try:
        return str(read_yaml(path)[figure]["direction"])
    except (ConfigError, KeyError, TypeError) as error:
        raise DataError(f"{path} has no direction of {figure} ({' '.join(str(error).split())})") from None


def score_cell(score: Interval | None, missing: Cell = NOT_RUN) -> Cell:
    """A share of 1 with its interval, in per cent."""
    if score is None:
        return missing
    return Cell(text=percent(score.estimate), small=f"{percent(score.lower)} to {percent(score.upper)}")


def lead_cell(difference: Interval | None, missing: Cell = NOT_RUN) -> Cell:
    """A difference of shares with its interval, in percentage points with their sign."""
    if difference is None:
        return missing
    return Cell(text=points(difference.estimate), small=f"{points(difference.lower)} to {points(difference.upper)}")


def how_intervals_are_made(settings: Settings, level: str, difference: str, seeds: int) -> str:
    """A sentence on the intervals of a `level` (score, loss) and of a paired `difference` (lead, fall)."""
    return (
        f"The {settings.confidence:.0%} interval of a {level} is from {settings.bootstrap_resamples:,} bootstrap "
        f"resamples of questions, that of a {difference} from as many draws of Student's t over "
        f"questions{seed_spread(seeds)}."
    )


def points(share: float) -> str:
    """A difference of shares in percentage points with its sign: `+3.2`, `0.0`."""
    text = f"{100 * share:+z.1f}".replace("-", MINUS)
    return "0.0" if text == "+0.0" else text


def not_run(measured: Measured) -> list[str]:
    """A sentence for each main model without scores."""
    return [f"{label} has not been run yet." for model, label in MODEL_LABELS.items() if model not in measured.models]


def _two(measured: Measured) -> list[str]:
    return measured.metrics[:2]
