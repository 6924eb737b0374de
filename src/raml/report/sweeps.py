"""What the exhibits of sweeps (figs 8 and 9) share: scores by model and benchmark, and their slope over doses."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from raml.claims.decision import interval_or_none
from raml.evaluation.intervals import CELL, Bootstrap, Interval, cells
from raml.report.exhibit import ONE_QUESTION, Cell
from raml.report.scores import KINDS, lead_cell, pooled_score, score_cell
from raml.runs import Series

POOLED: Final = "pooled"
PLACE: Final = "benchmark"
STEP: Final = 10  # per cent that y axes begin and end at multiples of


@dataclass(frozen=True)
class Score:
    """A model's score at one place, as a share of 1: over all questions and seeds, and of each seed by itself.

    The interval is None with fewer than two questions.
    """

    interval: Interval | None
    seeds: Mapping[int, float]

    @property
    def mean(self) -> float:
        """The mean over seeds, each of its questions."""
        return self.interval.estimate if self.interval else float(np.mean(list(self.seeds.values())))


Scores = Mapping[tuple[str, str, str], Score]
"""By model, place (a benchmark, or `POOLED`) and metric; what was not evaluated is missing."""


def places(evaluations: pl.DataFrame) -> list[str]:
    """Benchmarks by kind, then name, and after them `POOLED` if there are several."""
    kinds = dict(evaluations.select(PLACE, "kind").unique().iter_rows())
    order = list(KINDS)
    names = sorted(kinds, key=lambda name: (order.index(kinds[name]), name))
    return [*names, POOLED] if len(names) > 1 else names


def listed(shown: Sequence[str]) -> str:
    """The benchmarks of `places` in running text, with what `POOLED` means if it is among them."""
    names = ", ".join(place for place in shown if place != POOLED) or "no benchmark"
    return f"{names} ({POOLED}: all of these questions, each counting once)" if POOLED in shown else names


def at(evaluations: pl.DataFrame, place: str, left_out: Collection[str] = ()) -> pl.DataFrame:
    """The rows of a place; benchmarks that are `left_out` are not among the pooled ones."""
    return evaluations.filter(~pl.col(PLACE).is_in(left_out) if place == POOLED else pl.col(PLACE) == place)


def measure(
    evaluations: pl.DataFrame,
    models: Sequence[str],
    metrics: Sequence[str],
    bootstrap: Bootstrap,
    left_out: Collection[str] = (),
) -> dict[tuple[str, str, str], Score]:
    """`Scores` of `models`; each question counts once, also where benchmarks are pooled.

    Args:
        evaluations: from `raml.report.scores.read_evaluations`.
        models: whose scores.
        metrics: columns of `evaluations`.
        bootstrap: how intervals are made.
        left_out: benchmarks that do not count where they are pooled.
    """
    found: dict[tuple[str, str, str], Score] = {}
    for place in places(evaluations):
        for model in dict.fromkeys(models):
            rows = at(evaluations, place, left_out).filter(model=model)
            if rows.is_empty():
                continue
            for metric in metrics:
                by_seed = rows.group_by("seed").agg(pl.col(metric).mean()).sort("seed")
                interval = pooled_score(rows, model, metric, bootstrap, place)
                found[model, place, metric] = Score(interval, dict(by_seed.iter_rows()))
    return found


def doubling_slope(
    evaluations: pl.DataFrame,
    series: Series,
    name: str,
    place: str,
    metric: str,
    bootstrap: Bootstrap,
    left_out: Collection[str] = (),
) -> Interval | None:
    """Change of the score with each doubling of the dose: the mean of each seed's question's least-squares slope.

    None if fewer than two doses or two questions were evaluated; questions that one of the models lacks are left out.
    Where benchmarks are pooled it is the slope, with the interval, that `raml.claims.trend` states.

    Args:
        evaluations: from `raml.report.scores.read_evaluations`.
        series: models by dose.
        name: of the series, which seeds the interval with the place and the metric.
        place: a benchmark or `POOLED`.
        metric: a column of `evaluations`.
        bootstrap: how intervals are made.
        left_out: as in `measure`.
    """
    evaluations = at(evaluations, place, left_out)
    known = [model in evaluations["model"] for model in series.models]
    doses = {
        model: float(np.log2(dose))
        for model, dose, is_known in zip(series.models, series.doses, known, strict=True)
        if is_known
    }
    if len(doses) < 2:
        return None
    mean = float(np.mean(list(doses.values())))
    spread = sum((dose - mean) ** 2 for dose in doses.values())
    weights = {model: (dose - mean) / spread for model, dose in doses.items()}
    slopes = (
        evaluations.filter(pl.col("model").is_in(list(doses)))
        .with_columns(slope=pl.col(metric) * pl.col("model").replace_strict(weights, return_dtype=pl.Float64))
        .group_by(CELL)
        .agg(pl.col("slope").sum(), pl.col("model").n_unique().alias("models"))
        .filter(pl.col("models") == len(doses))
    )
    labels = ["trend", name, metric, "slope", *([] if place == POOLED else [place])]
    return interval_or_none(cells(slopes, "slope"), bootstrap, *labels)


def y_range(scores: Scores) -> tuple[float, float]:
    """The ends of the y axis in per cent: the multiples of `STEP` around all scores and intervals."""
    values = [value for score in scores.values() for value in score.seeds.values()]
    intervals = [score.interval for score in scores.values() if score.interval]
    values += [end for interval in intervals for end in (interval.lower, interval.upper)]
    if not values:
        return 0.0, 100.0
    lower, upper = math.floor(100 * min(values) / STEP) * STEP, math.ceil(100 * max(values) / STEP) * STEP
    return float(lower), float(max(upper, lower + STEP))


def cell(score: Score | None) -> Cell:
    """A score with its interval in per cent; says so if it was not run, or is of one question."""
    return score_cell(score.interval, missing=ONE_QUESTION) if score else score_cell(None)


def slope_cell(slope: Interval | None, *, complete: bool) -> Cell:
    """A slope in percentage points with its sign and interval; if there is none, `complete`: for lack of questions."""
    return lead_cell(slope, missing=ONE_QUESTION) if complete else lead_cell(slope)
