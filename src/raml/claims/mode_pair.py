"""The test `mode_pair`: do curves with the end-of-thinking delimiter fall faster, or settle higher, than without it?

How fast a curve falls is decided by when it *first* reaches the level half way between its ends. Noise along the
curve makes that earlier: a linear fall by 1 nat over 50 tokens gets there after 0.48 of them on average with white
noise of 0.05 nats, and after 0.21 with 0.3 nats. Noise makes the *last* crossing of that level later (0.54 and 0.82),
so both are reported; a difference in roughness alone pulls them apart.
"""

import polars as pl

from raml.claims.by_benchmark import benchmark_effects, judge_benchmarks
from raml.claims.curve_trend import CURVE, not_probed
from raml.claims.decision import Decision, as_json, interval_or_none, judge, one_condition
from raml.claims.sections import ModePair
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap, Interval, cells

QUANTITIES = {
    "half_fall": "share of the trajectory",
    "last_half_fall": "share of the trajectory",
    "end": "nats per answer token",
}
MODES = ("thinking", "no_thinking")


def curve_quantities(curves: pl.DataFrame) -> pl.DataFrame:
    """What the pairs are compared by, of every curve in either mode; neither smoothed nor cleared of zeros.

    Args:
        curves: rows of `schemas.ProbeCurve`, any models and seeds.

    Returns:
        One row a curve and mode: `seed`, `model`, `trajectory_id`, `mode`, `question_id`, `benchmark`, `correct`,
        `positions` (number of probed ones), `start` and `end` (NLL at the first and last probed position, nats per
        answer token), `falls` (whether it ends lower than it starts), `half_fall` (the share of the trajectory
        read at the first probed position where the NLL is at most the mean of `start` and `end`; 1 if the curve
        does not fall), and `last_half_fall` (the same at the first probed position from which on it stays there).

    Raises:
        DataError: a curve does not begin at position 0.
    """
    nll, position = pl.col("nll"), pl.col("position")
    length = pl.col("length").first()
    falls = nll.last() < nll.first()
    is_above = nll > (nll.first() + nll.last()) / 2
    stays = is_above.cum_sum(reverse=True) == 0
    found = (
        curves.sort(*CURVE, "mode", "position")
        .group_by(*CURVE, "mode", maintain_order=True)
        .agg(
            pl.col("question_id", "benchmark", "correct").first(),
            position.first().alias("first_position"),
            pl.len().alias("positions"),
            nll.first().alias("start"),
            nll.last().alias("end"),
            falls.alias("falls"),
            pl.when(falls).then(position.filter(~is_above).first() / length).otherwise(1.0).alias("half_fall"),
            pl.when(falls).then(position.filter(stays).first() / length).otherwise(1.0).alias("last_half_fall"),
        )
    )
    late = found.filter(pl.col("first_position") != 0)
    if not late.is_empty():
        raise DataError(f"the curve of {late['trajectory_id'][0]} lacks position 0; probe again")
    return found.drop("first_position")


def mode_pairs(curves: pl.DataFrame, min_positions: int) -> pl.DataFrame:
    """Both modes of each trajectory side by side.

    Args:
        curves: as in `curve_quantities`.
        min_positions: curves with fewer probed positions are left out.

    Returns:
        One row a trajectory that has both: `seed`, `model`, `trajectory_id`, `question_id`, `benchmark`, `correct`,
        `half_fall`, `last_half_fall`, `end`, `start` and `falls` in thinking mode, the same with the suffix
        `_no_thinking`, and each of `QUANTITIES` with the suffix `_difference`, no-thinking less thinking.

    Raises:
        DataError: as in `curve_quantities`.
    """
    quantities = curve_quantities(curves).filter(pl.col("positions") >= min_positions).drop("positions")
    thinking, no_thinking = (quantities.filter(pl.col("mode") == mode).drop("mode") for mode in MODES)
    values = [*CURVE, "start", "falls", *QUANTITIES]
    pairs = thinking.join(no_thinking.select(values), on=CURVE, suffix="_no_thinking", maintain_order="left")
    return pairs.with_columns(
        (pl.col(f"{quantity}_no_thinking") - pl.col(quantity)).alias(f"{quantity}_difference")
        for quantity in QUANTITIES
    )


def decide(test: ModePair, curves: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the mean over questions of the paired difference, no-thinking less thinking, correct trajectories.

    With `half_fall` the details hold the same difference at the last crossing of half-way. The reason names it where
    it disagrees: in the verdict by the same line, or in the sign, as far as the intervals tell it.

    Args:
        test: which model, which quantity, which direction and where the line lies.
        curves: rows of `schemas.ProbeCurve`, of any models, all seeds, both modes.
        bootstrap: how intervals are made.

    Raises:
        DataError: as in `curve_quantities`.
    """
    unit = QUANTITIES[test.quantity]
    of_the_model = curves.filter(model=test.model)
    if of_the_model.is_empty():
        return not_probed(test.model, unit)
    difference = f"{test.quantity}_difference"
    pairs = mode_pairs(of_the_model, test.min_positions)
    correct, incorrect = (pairs.filter(pl.col("correct") == wanted) for wanted in (True, False))
    n = {
        "questions": correct["question_id"].n_unique(),
        "trajectories": correct.height,
        "seeds": correct["seed"].n_unique(),
    }
    effect = interval_or_none(cells(correct, difference), bootstrap, "correct", difference)
    line = test.minimal_effect if test.direction == "above" else -test.minimal_effect
    verdict, reason = judge(effect, test.direction, line, n["questions"], test.min_questions)
    effects = benchmark_effects(correct, difference, bootstrap, "correct", difference)
    benchmarks, clauses = judge_benchmarks("difference", effects, effect, test.direction, line, test.min_questions)
    last_crossing: dict[str, object] = {}
    if test.quantity == "half_fall":
        last_crossing["last_crossing"], disagreement = _last_crossing(correct, test, effect, line, bootstrap)
        clauses += disagreement
    details: dict[str, object] = {
        "model": test.model,
        "minimal_effect": test.minimal_effect,
        **_both_modes(correct, test, bootstrap, "correct"),
        **last_crossing,
        "benchmarks": benchmarks,
        "incorrect_trajectories": {
            "questions": incorrect["question_id"].n_unique(),
            "trajectories": incorrect.height,
            "difference": as_json(interval_or_none(cells(incorrect, difference), bootstrap, "incorrect", difference)),
            **_both_modes(incorrect, test, bootstrap, "incorrect"),
        },
        "curves_left_out": _left_out(of_the_model.filter("correct"), test.min_positions),
    }
    evidence = one_condition(effect, verdict, test.direction, line, n["questions"], test.min_questions)
    return Decision(verdict, "; ".join([f"mean difference {reason}", *clauses]), effect, unit, n, details, evidence)


def _last_crossing(
    correct: pl.DataFrame, test: ModePair, first: Interval | None, line: float, bootstrap: Bootstrap
) -> tuple[dict[str, object], list[str]]:
    """Details of the paired difference at the last crossing, and a clause if it says otherwise than the `first`."""
    means = {
        key: interval_or_none(cells(correct, column), bootstrap, "correct", column)
        for key, column in (
            ("thinking", "last_half_fall"),
            ("no_thinking", "last_half_fall_no_thinking"),
            ("difference", "last_half_fall_difference"),
        )
    }
    last, questions = means["difference"], correct["question_id"].n_unique()
    verdict, reason = judge(last, test.direction, line, questions, test.min_questions)
    first_verdict, _ = judge(first, test.direction, line, questions, test.min_questions)
    details: dict[str, object] = {**{key: as_json(mean) for key, mean in means.items()}, "verdict": verdict}
    if last is None or (verdict == first_verdict and _sign(last) == _sign(first)):
        return details, []
    clause = f"by the last crossing of half-way instead of the first, mean difference {reason}"
    return details, [f"{clause} ({verdict})" if verdict != first_verdict else clause]


def _sign(interval: Interval | None) -> int:
    """1 or -1 if the whole interval lies on that side of 0, else 0."""
    return 0 if interval is None else int(interval.lower > 0) - int(interval.upper < 0)


def _both_modes(pairs: pl.DataFrame, test: ModePair, bootstrap: Bootstrap, label: str) -> dict[str, object]:
    """The quantity in each mode, how many curves do not fall, and the share of pairs that differ either way."""
    change = pairs[f"{test.quantity}_difference"].to_numpy()
    columns = {"thinking": test.quantity, "no_thinking": f"{test.quantity}_no_thinking"}
    means = {
        mode: as_json(interval_or_none(cells(pairs, column), bootstrap, label, column))
        for mode, column in columns.items()
    }
    if pairs.is_empty():
        return {**means, "share_of_pairs": None, "curves_that_do_not_fall": None}
    return {
        **means,
        "share_of_pairs": {
            "no_thinking_lower": float((change < 0).mean()),
            "equal": float((change == 0).mean()),
            "no_thinking_higher": float((change > 0).mean()),
        },
        "curves_that_do_not_fall": {
            "thinking": int((~pairs["falls"]).sum()),
            "no_thinking": int((~pairs["falls_no_thinking"]).sum()),
        },
    }


def _left_out(curves: pl.DataFrame, min_positions: int) -> dict[str, int]:
    """How many curves are in no pair, and why."""
    sizes = curves.group_by(*CURVE, "mode").agg(pl.len().alias("positions"))
    long_enough = sizes.filter(pl.col("positions") >= min_positions)
    alone = long_enough.filter(pl.len().over(CURVE) == 1)
    return {"too_short": sizes.height - long_enough.height, "without_the_other_mode": alone.height}
