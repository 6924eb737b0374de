"""The test `curve_trend`: does the answer NLL fall along trajectories, or does it not?"""

import numpy as np
import polars as pl

from raml.claims.by_benchmark import BenchmarkEffect, benchmark_effects, judge_benchmarks
from raml.claims.decision import Decision, as_json, interval_or_none, judge, one_condition
from raml.claims.result import Side
from raml.claims.sections import CurveTrend
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells

CURVE = ["seed", "model", "trajectory_id"]
SHARES = {"quarter": 0.25, "half": 0.5, "three_quarters": 0.75}
SHARES_IN_WORDS = {"quarter": "a quarter", "half": "half", "three_quarters": "three quarters"}


def trajectory_trends(curves: pl.DataFrame) -> pl.DataFrame:
    """Trend of every thinking-mode curve; neither smoothed nor cleared of small values.

    Args:
        curves: rows of `schemas.ProbeCurve`, any number of seeds.

    Returns:
        One row a curve: `seed`, `model`, `trajectory_id`, `question_id`, `benchmark`, `correct`, `positions`
        (number of probed ones), `rho` (Spearman's correlation of NLL and position, ties by average rank; 0 for a
        constant curve), and in nats per answer token `start`, `end` (first and last probed position),
        `change` = end - start, and `quarter`, `half`, `three_quarters` (first probed position at or past
        that share of the trajectory).

    Raises:
        DataError: a curve does not begin at position 0, or the curves are of several models.
    """
    thinking = curves.filter(pl.col("mode") == "thinking").sort(*CURVE, "position")
    if thinking["model"].n_unique() > 1:
        raise DataError(f"the curves must be of one model, found {', '.join(sorted(thinking['model'].unique()))}")
    nll, position = pl.col("nll"), pl.col("position")
    passed = {
        name: nll.filter(position >= share * position.max()).first().alias(name) for name, share in SHARES.items()
    }
    trends = thinking.group_by(CURVE, maintain_order=True).agg(
        pl.col("question_id", "benchmark", "correct").first(),
        position.first().alias("first_position"),
        pl.len().alias("positions"),
        pl.corr(position, nll, method="spearman").fill_nan(0.0).fill_null(0.0).alias("rho"),
        nll.first().alias("start"),
        nll.last().alias("end"),
        *passed.values(),
    )
    late = trends.filter(pl.col("first_position") != 0)
    if not late.is_empty():
        raise DataError(f"the curve of {late['trajectory_id'][0]} lacks position 0; probe again")
    return trends.drop("first_position").with_columns(change=pl.col("end") - pl.col("start"))


def benchmark_trends(trends: pl.DataFrame, bootstrap: Bootstrap, label: str) -> list[BenchmarkEffect]:
    """The mean rho on each benchmark by itself, in order of their names.

    Args:
        trends: rows of `trajectory_trends`, of one kind of trajectories.
        bootstrap: how intervals are made.
        label: what seeds them: `correct` or `incorrect`.
    """
    return benchmark_effects(trends, "rho", bootstrap, label, "rho")


def decide(test: CurveTrend, curves: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the mean over questions of Spearman's rho between the NLL and the position.

    The paper claims a falling curve and not merely a lower end, hence rho. How far the NLL falls, and by
    when, is in the details, and so are the difference to the other kind of trajectories of the same questions
    and what the same line says of each benchmark by itself. The reason names benchmarks that the line puts
    on the other side than all together, and says if the mean curve rises before it falls.

    Args:
        test: which curves, which direction and where the line lies.
        curves: rows of `schemas.ProbeCurve`, of any models, all seeds, correct and incorrect.
        bootstrap: how intervals are made.

    Raises:
        DataError: as in `trajectory_trends`.
    """
    of_the_model = curves.filter(model=test.model)
    if of_the_model.is_empty():
        return not_probed(test.model, "Spearman's rho")
    trends = trajectory_trends(of_the_model)
    is_meant = pl.col("correct") == (test.trajectories == "correct")
    long_enough = trends.filter(pl.col("positions") >= test.min_positions)
    meant, others = long_enough.filter(is_meant), long_enough.filter(~is_meant)
    n = {
        "questions": meant["question_id"].n_unique(),
        "trajectories": meant.height,
        "seeds": meant["seed"].n_unique(),
        "positions": int(meant["positions"].sum()),
    }
    rho = interval_or_none(cells(meant, "rho"), bootstrap, test.trajectories, "rho")
    claimed: Side = "below" if test.direction == "falls" else "above"
    verdict, reason = judge(rho, claimed, -test.minimal_effect, n["questions"], test.min_questions)
    benchmarks, clauses = judge_benchmarks(
        "rho",
        benchmark_trends(meant, bootstrap, test.trajectories),
        rho,
        claimed,
        -test.minimal_effect,
        test.min_questions,
    )
    reasons = [f"mean rho {reason}", *clauses]
    on_the_way = _changes_on_the_way(meant, bootstrap, test.trajectories)
    if rho and float(np.nanmean(cells(meant, "change"))) < 0:
        reasons += _rises_first(on_the_way)
    details: dict[str, object] = {
        "model": test.model,
        "minimal_effect": test.minimal_effect,
        "benchmarks": benchmarks,
        "curves_left_out_as_too_short": trends.filter(is_meant).height - meant.height,
        **_fall(meant, bootstrap, test.trajectories),
        "nll_change_by": {share: as_json(change) for share, change in on_the_way.items()},
        "difference_to_the_other_trajectories": _difference(meant, others, bootstrap, test.trajectories),
    }
    evidence = one_condition(rho, verdict, claimed, -test.minimal_effect, n["questions"], test.min_questions)
    return Decision(verdict, "; ".join(reasons), rho, "Spearman's rho", n, details, evidence)


def not_probed(model: str, unit: str) -> Decision:
    """The decision on a claim about a model without curves."""
    return Decision("not_run", f"this scale has no answer-NLL curves of {model}", None, unit, {}, {})


def _changes_on_the_way(trends: pl.DataFrame, bootstrap: Bootstrap, label: str) -> dict[str, Interval | None]:
    """The mean NLL after each share of the trajectory less that at its start."""
    changes = trends.with_columns(pl.col(share) - pl.col("start") for share in SHARES)
    return {share: interval_or_none(cells(changes, share), bootstrap, label, "change by", share) for share in SHARES}


def _rises_first(changes: dict[str, Interval | None]) -> list[str]:
    """A clause if the mean of curves that end lower is above its start on the way, by more than chance."""
    above = [share for share, change in changes.items() if change and change.lower > 0]
    if not above:
        return []
    return [f"the mean curve first rises and after {SHARES_IN_WORDS[above[-1]]} of the trajectory is above its start"]


def _fall(trends: pl.DataFrame, bootstrap: Bootstrap, label: str) -> dict[str, object]:
    """NLL at both ends and its change with intervals, and the share of the mean fall reached on the way."""
    ends = {
        f"nll_{value}": as_json(interval_or_none(cells(trends, value), bootstrap, label, value))
        for value in ("start", "end", "change")
    }
    by_question = trends.group_by("question_id").agg(pl.col("start", "end", *SHARES).mean()).sort("question_id")
    if by_question.is_empty():
        return {**ends, "share_of_the_fall_by": None, "share_of_trajectories_that_end_lower": None}
    mean = {name: float(np.mean(by_question[name].to_numpy())) for name in ("start", "end", *SHARES)}
    fall = mean["start"] - mean["end"]
    return {
        **ends,
        "share_of_the_fall_by": {name: (mean["start"] - mean[name]) / fall for name in SHARES} if fall > 0 else None,
        "share_of_trajectories_that_end_lower": float(np.mean(trends["change"].to_numpy() < 0)),
    }


def _difference(meant: pl.DataFrame, others: pl.DataFrame, bootstrap: Bootstrap, label: str) -> dict[str, object]:
    """`meant` less `others`, paired by seed and question where both exist."""
    differences = {value: paired_cells(meant, others, value) for value in ("rho", "change", "end")}
    return {
        "questions": differences["rho"].shape[1],
        **{
            "rho" if value == "rho" else f"nll_{value}": as_json(
                interval_or_none(difference, bootstrap, label, "difference", value)
            )
            for value, difference in differences.items()
        },
    }
