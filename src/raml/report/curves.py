"""Answer-NLL curves made ready to draw: which ones are shown, and the mean of all of them.

Symbols: G points of the relative-position grid, Q questions.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from raml.config import Evaluation, Probing, Section
from raml.evaluation.intervals import Bootstrap, Interval
from raml.schemas import ProbeCurve
from raml.storage import read_table

Array = np.ndarray[Any, np.dtype[np.float64]]

GRID: Array = np.linspace(0, 1, 21)
PANELS = 4
CURVES_PER_PANEL = 4

SELECTION_RULE = (
    f"Shown are, of the first training seed, {PANELS} questions, taken from the benchmarks in turn, by id, among "
    f"those that have at least {CURVES_PER_PANEL} such trajectories (where there are too few, those with the most), "
    f"and of each its first {CURVES_PER_PANEL} trajectories by sample number. The shape of a curve plays no part in "
    "the choice."
)


class Job(Section):
    """What the curve figures need to know of the configuration."""

    evaluation: Evaluation
    probing: Probing


@dataclass(frozen=True)
class Curve:
    """One trajectory's curve. `nll[j]`, in nats per answer token, belongs to `position[j]` tokens read."""

    seed: int
    question_id: str
    benchmark: str
    trajectory_id: str
    correct: bool
    length: int
    position: Array
    nll: Array
    token_ids: list[int | None]

    def at(self, relative: Array) -> Array:
        """The NLL at positions given as shares of the trajectory's length, linear between probed ones."""
        return np.interp(relative, self.position / max(self.length, 1), self.nll)


@dataclass(frozen=True)
class Summary:
    """The mean curve on `GRID` with its interval, each of shape [G], in nats per answer token."""

    mean: Array
    lower: Array
    upper: Array
    trajectories: int
    questions: int
    seeds: int


def read_points(paths: Sequence[Path], model: str, mode: str = "thinking") -> pl.DataFrame:
    """The rows of all curves of `model` in `mode`.

    Raises:
        DataError: a file is unreadable or of another schema (which also refuses an NLL that is not finite).
    """
    rows = pl.concat([read_table(path, ProbeCurve) for path in paths])
    return rows.filter((pl.col("mode") == mode) & (pl.col("model") == model))


def to_curves(points: pl.DataFrame) -> list[Curve]:
    """The curves of one model, by seed, question and sample, from their rows of `schemas.ProbeCurve`."""
    grouped = (
        points.sort("seed", "trajectory_id", "position")
        .group_by("seed", "trajectory_id", maintain_order=True)
        .agg(pl.col("question_id", "benchmark", "correct", "length").first(), pl.col("position", "nll", "token_id"))
    )
    curves = [
        Curve(
            seed=row["seed"],
            question_id=row["question_id"],
            benchmark=row["benchmark"],
            trajectory_id=row["trajectory_id"],
            correct=row["correct"],
            length=row["length"],
            position=np.asarray(row["position"], dtype=np.float64),
            nll=np.asarray(row["nll"], dtype=np.float64),
            token_ids=row["token_id"],
        )
        for row in grouped.iter_rows(named=True)
    ]
    return sorted(curves, key=lambda curve: (curve.seed, curve.question_id, _sample(curve.trajectory_id)))


def _sample(trajectory_id: str) -> tuple[int, str]:
    """Sort key by the sample number at the id's end: 2 comes before 10."""
    last = trajectory_id.rsplit("/", 1)[-1]
    return (int(last) if last.isdigit() else 0, trajectory_id)


def choose(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The curves to show, one list a panel, by `SELECTION_RULE`; empty if there are none."""
    if not curves:
        return []
    first_seed = min(curve.seed for curve in curves)
    by_question: dict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        if curve.seed == first_seed:
            by_question[curve.question_id].append(curve)
    turns: dict[str, int] = defaultdict(int)  # questions of a benchmark ranked so far
    ranked = []
    for question in sorted(by_question, key=lambda q: (-min(len(by_question[q]), CURVES_PER_PANEL), q)):
        benchmark = by_question[question][0].benchmark
        ranked.append((-min(len(by_question[question]), CURVES_PER_PANEL), turns[benchmark], question))
        turns[benchmark] += 1
    return [by_question[question][:CURVES_PER_PANEL] for question in sorted(q for *_, q in sorted(ranked)[:PANELS])]


def summarise(curves: Sequence[Curve], bootstrap: Bootstrap, label: str) -> Summary | None:
    """Mean curve over questions, with the package's interval at each point of the grid; None without curves.

    A question's trajectories are averaged first, so that every question counts once. Intervals are
    point by point, not a joint band, and need two questions: with one they collapse onto the mean.
    `label` seeds the resamples, which are the same at every point.
    """
    if not curves:
        return None
    values = _by_seed_and_question(curves)
    points = [_interval(column, bootstrap, label) for column in np.moveaxis(values, 2, 0)]
    return Summary(
        mean=np.array([point.estimate for point in points]),
        lower=np.array([point.lower for point in points]),
        upper=np.array([point.upper for point in points]),
        trajectories=len(curves),
        questions=values.shape[1],
        seeds=values.shape[0],
    )


def _interval(values: Array, bootstrap: Bootstrap, label: str) -> Interval:
    if values.shape[1] > 1:
        return bootstrap.mean(values, "curves", label)
    mean = float(np.nanmean(values))
    return Interval(mean, mean, mean)


def _by_seed_and_question(curves: Sequence[Curve]) -> Array:
    """Mean NLL of each training seed's and question's trajectories, shape [seeds, Q, G]; NaN where there are none."""
    seeds = sorted({curve.seed for curve in curves})
    questions = sorted({curve.question_id for curve in curves})
    row, column = ({key: i for i, key in enumerate(keys)} for keys in (seeds, questions))
    sums = np.zeros((len(seeds), len(questions), len(GRID)))
    counts = np.zeros((len(seeds), len(questions), 1))
    for curve in curves:
        cell = row[curve.seed], column[curve.question_id]
        sums[cell] += curve.at(GRID)
        counts[cell] += 1
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
