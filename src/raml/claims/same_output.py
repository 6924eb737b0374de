"""The test `same_output`: do changed weights without a trajectory give the logits that the model has with it?"""

import polars as pl

from raml.claims.decision import Decision, as_json, in_words, interval_or_none, judge, one_condition
from raml.claims.sections import SameOutput
from raml.evaluation.intervals import Bootstrap, cells

PREFIX = ["seed", "question_id", "trajectory_id", "projection", "position"]
DECISIVE = "output"


def decide(test: SameOutput, updates: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the largest logit difference of a prefix, mean over its question's prefixes, then over questions.

    Correct trajectories and changes of the output projections decide. The reason also says how the value
    projections do, for which one change has to serve several positions that attend almost alike; the details hold
    them, incorrect trajectories, and the share of prefixes within the tolerance.

    Args:
        test: where the line lies.
        updates: rows of `schemas.WeightUpdate`, all seeds.
        bootstrap: how intervals are made.
    """
    prefixes = updates.filter(source="trajectory").unique(
        PREFIX, keep="first", maintain_order=True
    )  # same in each layer
    meant = prefixes.filter(pl.col("correct") & (pl.col("projection") == DECISIVE))
    difference = interval_or_none(cells(meant, "logit_difference"), bootstrap, "same output", lowest=0)
    questions = meant["question_id"].n_unique()
    verdict, reason = judge(difference, "below", test.tolerance, questions, test.min_questions)
    reasons = [f"the largest logit difference {reason}"]
    if difference and meant.height:
        largest = meant.select(pl.col("logit_difference").max()).item()
        reasons.append(
            f"in full, mean {difference.estimate:.1e} and at most {largest:.1e} over {meant.height} prefixes"
        )
    if (of_value := _value_in_words(prefixes, test.tolerance, bootstrap)) is not None:
        reasons.append(of_value)
    n = {
        "questions": questions,
        "trajectories": meant.select("seed", "trajectory_id").n_unique(),
        "seeds": meant["seed"].n_unique(),
        "prefixes": meant.height,
    }
    details: dict[str, object] = {
        "model": meant["model"][0] if meant.height else None,
        "tolerance": test.tolerance,
        **{
            projection: {
                kind: _measured(
                    prefixes.filter(pl.col("projection") == projection, pl.col("correct") == (kind == "correct")),
                    test.tolerance,
                    bootstrap,
                    (projection, kind),
                )
                for kind in ("correct", "incorrect")
            }
            for projection in ("output", "value")
        },
    }
    evidence = one_condition(difference, verdict, "below", test.tolerance, questions, test.min_questions)
    return Decision(verdict, "; ".join(reasons), difference, "largest difference of a logit", n, details, evidence)


def _value_in_words(prefixes: pl.DataFrame, tolerance: float, bootstrap: Bootstrap) -> str | None:
    """How near changes of the value projections come, correct trajectories; None with too few questions."""
    chosen = prefixes.filter(pl.col("correct"), projection="value")
    difference = interval_or_none(cells(chosen, "logit_difference"), bootstrap, "logits", "value", "correct", lowest=0)
    if difference is None:
        return None
    within = chosen.select((pl.col("logit_difference") <= tolerance).mean()).item()
    return (
        f"changes of the value projections, as in the proposition, serve whole answers less well: {within:.0%} of the "
        f"prefixes within {tolerance:g}, mean difference {in_words(difference)}"
    )


def _measured(
    prefixes: pl.DataFrame, tolerance: float, bootstrap: Bootstrap, labels: tuple[str, ...]
) -> dict[str, object] | None:
    """Differences of some prefixes; None without any."""
    if prefixes.is_empty():
        return None
    logits = pl.col("logit_difference")
    median, largest, within = prefixes.select(
        logits.median().alias("median"), logits.max().alias("max"), (logits <= tolerance).mean().alias("within")
    ).row(0)
    return {
        "questions": prefixes["question_id"].n_unique(),
        "prefixes": prefixes.height,
        "logit_difference": as_json(
            interval_or_none(cells(prefixes, "logit_difference"), bootstrap, "logits", *labels, lowest=0)
        ),
        "logit_difference_median": median,
        "logit_difference_max": largest,
        "share_within_tolerance": within,
        "nll_difference": as_json(
            interval_or_none(cells(prefixes, "nll_difference"), bootstrap, "nll", *labels, lowest=0)
        ),
    }
