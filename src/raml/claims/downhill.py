"""The test `downhill`: does the update that stands for a correct trajectory point along the negative gradient?

That is the sign of the loss's first-order change under the update. Such updates are no small steps, so what the
loss actually does is measured beside it, and said.
"""

from collections.abc import Sequence

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, in_words, interval_or_none, judge
from raml.claims.evidence import Condition, all_of
from raml.claims.sections import Downhill
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells

PREFIX = ["seed", "question_id", "benchmark", "trajectory_id", "correct", "source", "draw", "projection", "position"]
SOURCES = ("trajectory", "shuffled", "random")
QUARTERS = (1, 2, 3, 4)
LOSS = ("first_order", "actual", "agreement")  # columns of `update_directions` on the answer NLL


def update_directions(updates: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Length and direction of each prefix's update, the layers taken together as one vector.

    Args:
        updates: rows of `schemas.WeightUpdate`.
        by: `layer`, for each layer by itself.

    Returns:
        One row a prefix (the empty one left out), and a layer if so asked: what identifies it, the `quarter` of
        the trajectory at whose end it ends (1 to 4, the nearest), its `cosine` with the negative gradient (0 where
        either is 0), its `relative_norm`, that of the update against that of the weights, and of the answer NLL in
        nats per token the change that the gradient promises (`first_order`), that of the whole update, all layers
        together (`actual`), and whether both have the same sign (`agreement`, 0 or 1).
    """
    update, gradient, weight = ((pl.col(f"{name}_norm") ** 2).sum().sqrt() for name in ("update", "gradient", "weight"))
    nearest = (4 * pl.col("position") / pl.col("length")).round()
    return (
        updates.filter(pl.col("position") > 0)
        .group_by(*PREFIX, "length", *by, maintain_order=True)
        .agg(
            (pl.col("descent").sum() / (update * gradient)).fill_nan(0.0).alias("cosine"),
            (update / weight).alias("relative_norm"),
            (-pl.col("descent").sum()).alias("first_order"),
            (pl.col("nll") - pl.col("nll_without")).first().alias("actual"),
        )
        .with_columns(
            nearest.clip(1, 4).cast(pl.Int32).alias("quarter"),
            (pl.col("first_order").sign() == pl.col("actual").sign()).cast(pl.Float64).alias("agreement"),
        )
    )


def decide(test: Downhill, updates: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the cosine of the update with the negative gradient, and by its leads over both nulls.

    Correct trajectories and the nulls made from them; prefixes, draws and trajectories of a question are averaged,
    leads are paired by question. All three have to lie above the line; one that lies below contradicts the
    claim. The estimate shown is that with the worst verdict; at equal verdicts, the smallest. What the loss actually
    does, and whether incorrect trajectories do the same, is said in the reason and decides nothing.

    Args:
        test: which projection, and where the line lies.
        updates: rows of `schemas.WeightUpdate`, all seeds.
        bootstrap: how intervals are made.
    """
    everything = update_directions(updates)
    directions = everything.filter(projection=test.projection)
    meant = directions.filter(pl.col("correct"))
    real = meant.filter(source="trajectory")
    estimates = _three(meant, bootstrap, test.projection, "correct")
    questions = real["question_id"].n_unique()
    judged = {
        name: judge(estimate, "above", test.minimal_effect, questions, test.min_questions)
        for name, estimate in estimates.items()
    }
    shown = min(judged, key=lambda name: (WORST_FIRST.index(judged[name][0]), _size(estimates[name])))
    reasons = [f"{name.replace('_', ' ')} {reason}" for name, (_, reason) in judged.items()]
    incorrect = directions.filter(~pl.col("correct"), source="trajectory")
    of_incorrect = _three(directions.filter(~pl.col("correct")), bootstrap, test.projection, "incorrect")
    if about_loss := _loss_in_words(real, bootstrap):
        reasons.append(about_loss)
    if (cosine := of_incorrect["cosine"]) and cosine.lower > test.minimal_effect:
        reasons.append(_incorrect_in_words(of_incorrect, test.minimal_effect, quarters(incorrect, "actual", bootstrap)))
    benchmarks = {name: _three(rows, bootstrap, test.projection, name) for name, rows in _by(meant, "benchmark")}
    by_layer = update_directions(updates, "layer").filter(pl.col("correct"), projection=test.projection)
    details: dict[str, object] = {
        "model": updates["model"][0] if updates.height else None,
        "projection": test.projection,
        "minimal_effect": test.minimal_effect,
        **{name: {"verdict": judged[name][0], "estimate": as_json(estimates[name])} for name in judged},
        "layers": {
            name: _as_json(_three(rows, bootstrap, test.projection, "layer", name))
            for name, rows in _by(by_layer, "layer")
        },
        "benchmarks": {name: _as_json(three) for name, three in benchmarks.items()},
        "incorrect_trajectories": _as_json(of_incorrect),
        "other_projections": {
            name: _as_json(_three(rows.filter(pl.col("correct")), bootstrap, name, "correct"))
            for name, rows in _by(everything, "projection")
            if name != test.projection
        },
        "along_the_trajectory": along_the_trajectory(meant, bootstrap, ("cosine", "relative_norm")),
        "change_of_the_loss": {
            kind: along_the_trajectory(directions.filter(pl.col("correct") == (kind == "correct")), bootstrap, LOSS)
            for kind in ("correct", "incorrect")
        },
    }
    n = {
        "questions": questions,
        "trajectories": real.select("seed", "trajectory_id").n_unique(),
        "seeds": real["seed"].n_unique(),
        "prefixes": real.height,
        "prefixes_of_nulls": meant.height - real.height,
    }
    return Decision(
        judged[shown][0],
        "; ".join([*reasons, *_against(benchmarks, test.minimal_effect)]),
        estimates[shown],
        f"cosine ({shown.replace('_', ' ')})",
        n,
        details,
        all_of(
            [
                Condition(estimate, judged[name][0], "above", test.minimal_effect, questions, test.min_questions)
                for name, estimate in estimates.items()
            ]
        ),
    )


def along_the_trajectory(
    directions: pl.DataFrame, bootstrap: Bootstrap, values: Sequence[str]
) -> dict[str, dict[str, dict[str, object]]]:
    """For each source the means of the prefixes at each quarter.

    Args:
        directions: rows of `update_directions`, of one projection and kind of trajectories.
        bootstrap: how intervals are made.
        values: its columns.
    """
    return {
        source: {
            value: {
                str(quarter): as_json(interval)
                for quarter, interval in quarters(directions.filter(source=source), value, bootstrap).items()
            }
            for value in values
        }
        for source in SOURCES
    }


def quarters(directions: pl.DataFrame, value: str, bootstrap: Bootstrap) -> dict[int, Interval | None]:
    """The mean `value` over questions of the prefixes at each quarter of their trajectory."""
    labels = [*directions["projection"].unique().sort(), *directions["source"].unique().sort(), value]
    return {
        quarter: interval_or_none(cells(directions.filter(quarter=quarter), value), bootstrap, "quarter", *labels)
        for quarter in QUARTERS
    }


def _three(directions: pl.DataFrame, bootstrap: Bootstrap, *labels: str) -> dict[str, Interval | None]:
    """The cosine of real trajectories and its leads over the nulls, paired by seed and question."""
    real, shuffled, drawn = (directions.filter(source=source) for source in SOURCES)
    found = {
        "cosine": cells(real, "cosine"),
        "lead_over_shuffled": paired_cells(real, shuffled, "cosine"),
        "lead_over_random": paired_cells(real, drawn, "cosine"),
    }
    return {name: interval_or_none(values, bootstrap, "downhill", *labels, name) for name, values in found.items()}


def _loss_in_words(real: pl.DataFrame, bootstrap: Bootstrap) -> str | None:
    """What the loss of real trajectories does, quarter by quarter, against what the first order says."""
    agreement = interval_or_none(cells(real, "agreement"), bootstrap, "downhill", "agreement")
    size = interval_or_none(cells(real, "relative_norm"), bootstrap, "downhill", "relative norm")
    if agreement is None or size is None:
        return None
    actual, first_order = (_nats(quarters(real, value, bootstrap)) for value in ("actual", "first_order"))
    return (
        f"to first order only: these updates are {size.estimate:.0%} of the weights, and over the quarters of the "
        f"trajectory the NLL actually changes by {actual} nats where the first order says {first_order}; "
        f"the signs agree at {agreement.estimate:.0%} of the prefixes"
    )


def _incorrect_in_words(three: dict[str, Interval | None], line: float, actual: dict[int, Interval | None]) -> str:
    """That incorrect trajectories' updates clear the line as well, and what the gold answer's loss does."""
    cosine = three["cosine"]
    assert cosine is not None
    leads = [interval for name, interval in three.items() if name != "cosine"]
    too = " and both leads" if all(lead and lead.lower > line for lead in leads) else ""
    return (
        f"incorrect trajectories do the same: cosine {in_words(cosine)}{too} above {line:+g}, while the gold answer's "
        f"NLL actually changes by {_nats(actual)} nats"
    )


def _nats(by_quarter: dict[int, Interval | None]) -> str:
    """`+2.21, +0.97, -0.23, -1.95`; a quarter without enough questions is left out."""
    return ", ".join(f"{interval.estimate:+.2f}" for interval in by_quarter.values() if interval)


def _by(directions: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each value of `column`, in its order."""
    groups = directions.sort(column).group_by(column, maintain_order=True)
    return [(str(value), rows) for (value,), rows in groups]


def _against(benchmarks: dict[str, dict[str, Interval | None]], line: float) -> Sequence[str]:
    """A clause for each benchmark on which one of the three by itself lies below `line`."""
    return [
        f"{benchmark} by itself: {name.replace('_', ' ')} {in_words(estimate)} lies below {line:+g}"
        for benchmark, three in benchmarks.items()
        for name, estimate in three.items()
        if estimate and estimate.upper < line
    ]


def _as_json(intervals: dict[str, Interval | None]) -> dict[str, object]:
    return {name: as_json(interval) for name, interval in intervals.items()}


def _size(interval: Interval | None) -> float:
    return interval.estimate if interval else 0.0
