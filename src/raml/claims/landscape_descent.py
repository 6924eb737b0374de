"""The test `landscape_descent`: does a trajectory's curve lead from high ground of the landscape into a basin?"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raml.claims.by_benchmark import benchmark_effects, judge_benchmarks
from raml.claims.decision import Decision, as_json, interval_or_none, judge, one_condition
from raml.claims.sections import LandscapeDescent
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells

QUESTION = ["seed", "model", "question_id"]
TRAJECTORY = [*QUESTION, "trajectory_id"]
UNIT = "share of the grid"


def descents(curves: pl.DataFrame, landscape: pl.DataFrame) -> pl.DataFrame:
    """Where on its question's landscape every thinking-mode curve starts and ends.

    Args:
        curves: rows of `schemas.ProbeCurve`; those of other models, seeds and questions are left out.
        landscape: rows of `schemas.LandscapePoint`.

    Returns:
        One row a curve: `seed`, `model`, `question_id`, `trajectory_id`, `benchmark`, `correct`, `start` and `end`
        (NLL at the first and last probed position, nats per answer token), `lower_than_start` and `lower_than_end`
        (shares of the grid's points that lie strictly lower), `descent` = the former less the latter, `reached`
        (share of the probed positions whose NLL lies between the landscape's lowest and highest point) and `ends_below`
        (1 if the end lies below the lowest one, else 0).

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
    nll = [np.asarray(one, dtype=np.float64) for one in followed["nll"]]
    grid = [np.asarray(one, dtype=np.float64) for one in followed["grid"]]
    measured = {
        "start": [one[0] for one in nll],
        "end": [one[-1] for one in nll],
        "lower_than_start": [_share_lower(points, one[0]) for points, one in zip(grid, nll, strict=True)],
        "lower_than_end": [_share_lower(points, one[-1]) for points, one in zip(grid, nll, strict=True)],
        "reached": [
            float(np.mean((one >= points[0]) & (one <= points[-1]))) for points, one in zip(grid, nll, strict=True)
        ],
        "ends_below": [float(one[-1] < points[0]) for points, one in zip(grid, nll, strict=True)],
    }
    columns = [pl.Series(name, values, dtype=pl.Float64) for name, values in measured.items()]
    table = followed.drop("nll", "grid", "position").with_columns(columns)
    return table.with_columns(descent=pl.col("lower_than_start") - pl.col("lower_than_end"))


def _share_lower(grid: NDArray[np.float64], level: float) -> float:
    """The share of the ascending `grid` that lies strictly lower than `level`."""
    return float(np.searchsorted(grid, level, side="left") / len(grid))


def decide(test: LandscapeDescent, curves: pl.DataFrame, landscape: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the mean over questions of the descent of their correct trajectories.

    Curve and landscape are both the answer NLL, the one changed by the trajectory and the other by random changes
    of the weights; the landscape's centre is the curve's start. So the descent also depends on how high the weights
    themselves lie among their random changes: where the start is low already, no trajectory can descend far, and
    the reason says so. Both ends, the landscape's lowest and highest points and what incorrect trajectories of the
    same questions do are in the details.

    Args:
        test: where the line lies.
        curves: rows of `schemas.ProbeCurve`, of any models, all seeds, correct and incorrect.
        landscape: rows of `schemas.LandscapePoint`, of one model, all seeds.
        bootstrap: how intervals are made.

    Raises:
        DataError: a landscape of several models, or as in `descents`.
    """
    if landscape.is_empty():
        reason = "this scale has no landscapes: no probed question has a correct trajectory"
        return Decision("not_run", reason, None, UNIT, {}, {})
    if landscape["model"].n_unique() > 1:
        raise DataError(f"the landscapes must be of one model, found {', '.join(sorted(landscape['model'].unique()))}")
    followed = descents(curves, landscape)
    correct, incorrect = (followed.filter(pl.col("correct") == kind) for kind in (True, False))
    n = {
        "questions": correct["question_id"].n_unique(),
        "trajectories": correct.height,
        "seeds": correct["seed"].n_unique(),
        "grid_points": landscape.height,
    }
    descent = interval_or_none(cells(correct, "descent"), bootstrap, "landscape", "descent")
    verdict, reason = judge(descent, "above", test.minimal_effect, n["questions"], test.min_questions)
    effects = benchmark_effects(correct, "descent", bootstrap, "landscape", "descent")
    benchmarks, clauses = judge_benchmarks(
        "descent", effects, descent, "above", test.minimal_effect, test.min_questions
    )
    start = interval_or_none(cells(correct, "lower_than_start"), bootstrap, "landscape", "lower_than_start")
    details: dict[str, object] = {
        "model": landscape["model"][0],
        "minimal_effect": test.minimal_effect,
        "benchmarks": benchmarks,
        "share_of_the_grid_lower_than": {
            "start": as_json(start and start.within(0, 1)),
            "end": _mean(correct, "lower_than_end", bootstrap),
        },
        "nll": {name: _mean(correct, name, bootstrap) for name in ("start", "end")},
        "landscape_nll": _levels(landscape, bootstrap),
        "share_of_positions_within_the_landscape": _mean(correct, "reached", bootstrap),
        "share_that_ends_below_the_landscape": _mean(correct, "ends_below", bootstrap),
        "incorrect_trajectories_of_the_same_questions": _incorrect(correct, incorrect, bootstrap),
    }
    reasons = [f"mean descent {reason}", *clauses, *_starts_low(start, test.minimal_effect), *_ends_below(correct)]
    evidence = one_condition(descent, verdict, "above", test.minimal_effect, n["questions"], test.min_questions)
    return Decision(verdict, "; ".join(reasons), descent, UNIT, n, details, evidence)


def _starts_low(start: Interval | None, line: float) -> list[str]:
    """A clause if so little of the grid lies lower than the start that no curve could descend by `line`."""
    if start is None or start.upper >= line:
        return []
    return [f"only {start.estimate:.1%} of the grid lies lower than the start, so no trajectory could descend that far"]


def _ends_below(correct: pl.DataFrame) -> list[str]:
    """A clause if most curves, each question counting once, end below all of the landscape."""
    share = float(np.nanmean(cells(correct, "ends_below"))) if correct.height else 0.0
    return [f"{share:.0%} of the trajectories end below the landscape's lowest point"] if share > 0.5 else []


def _levels(landscape: pl.DataFrame, bootstrap: Bootstrap) -> dict[str, object]:
    """Mean over questions of the landscapes' centre, lowest and highest point, nats per answer token."""
    nll = pl.col("nll")
    at_centre = (pl.col("x") == 0) & (pl.col("y") == 0)
    levels = landscape.group_by(QUESTION, maintain_order=True).agg(
        nll.filter(at_centre).first().alias("centre"), nll.min().alias("lowest"), nll.max().alias("highest")
    )
    return {name: _mean(levels, name, bootstrap) for name in ("centre", "lowest", "highest")}


def _incorrect(correct: pl.DataFrame, incorrect: pl.DataFrame, bootstrap: Bootstrap) -> dict[str, object]:
    """The descent of incorrect trajectories, and that of correct ones less it, where a question has both."""
    own = incorrect.join(correct, on=QUESTION, how="semi")
    counterpart = correct.join(incorrect, on=QUESTION, how="semi")
    difference = paired_cells(counterpart, own, "descent")
    return {
        "questions": own["question_id"].n_unique(),
        "trajectories": own.height,
        "descent": _mean(own, "descent", bootstrap, "incorrect"),
        "descent_of_correct_ones": _mean(counterpart, "descent", bootstrap, "counterpart"),
        "correct_less_incorrect": as_json(interval_or_none(difference, bootstrap, "landscape", "difference")),
    }


def _mean(table: pl.DataFrame, value: str, bootstrap: Bootstrap, *labels: str) -> dict[str, float] | None:
    return as_json(interval_or_none(cells(table, value), bootstrap, "landscape", value, *labels))
