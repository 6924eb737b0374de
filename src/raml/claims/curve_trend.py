"""The test `curve_trend`: does the answer NLL fall along trajectories, or does it not?"""

import numpy as np
import polars as pl

from raml.claims.decision import Decision, Side, as_json, interval_or_none, judge
from raml.claims.registry import CurveTrend
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap, cells, paired_cells

CURVE = ["seed", "model", "trajectory_id"]
SHARES = {"quarter": 0.25, "half": 0.5, "three_quarters": 0.75}


def trajectory_trends(curves: pl.DataFrame) -> pl.DataFrame:
    """Trend of every thinking-mode curve; neither smoothed nor cleared of small values.

    Args:
        curves: rows of `schemas.ProbeCurve`, any number of seeds.

    Returns:
        One row a curve: `seed`, `model`, `trajectory_id`, `question_id`, `correct`, `positions` (number of
        probed ones), `rho` (Spearman's correlation of NLL and position, ties by average rank; 0 for a
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
        pl.col("question_id", "correct").first(),
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


def decide(test: CurveTrend, curves: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the mean over questions of Spearman's rho between the NLL and the position.

    The paper claims a falling curve and not merely a lower end, hence rho. How far the NLL falls, and by
    when, is in the details, and so is the difference to the other kind of trajectories of the same questions.

    Args:
        test: which curves, which direction and where the line lies.
        curves: rows of `schemas.ProbeCurve`, all seeds, correct and incorrect.
        bootstrap: how intervals are made.

    Raises:
        DataError: as in `trajectory_trends`.
    """
    trends = trajectory_trends(curves)
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
    details: dict[str, object] = {
        "model": meant["model"][0] if meant.height else None,
        "minimal_effect": test.minimal_effect,
        "curves_left_out_as_too_short": trends.filter(is_meant).height - meant.height,
        **_fall(meant, bootstrap, test.trajectories),
        "difference_to_the_other_trajectories": _difference(meant, others, bootstrap, test.trajectories),
    }
    return Decision(verdict, f"mean rho {reason}", rho, "Spearman's rho", n, details)


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
