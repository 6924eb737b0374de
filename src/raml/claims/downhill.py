"""The test `downhill`: does the update that stands for a correct trajectory point along the negative gradient?"""

from collections.abc import Sequence

import polars as pl

from raml.claims.decision import Decision, as_json, in_words, interval_or_none, judge
from raml.claims.registry import Downhill
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells
from raml.schemas import Verdict

PREFIX = ["seed", "question_id", "benchmark", "trajectory_id", "correct", "source", "draw", "projection", "position"]
SOURCES = ("trajectory", "shuffled", "random")
QUARTERS = (1, 2, 3, 4)
WORST_FIRST: tuple[Verdict, ...] = ("contradicted", "inconclusive", "holds")


def update_directions(updates: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Length and direction of each prefix's update, the layers taken together as one vector.

    Args:
        updates: rows of `schemas.WeightUpdate`.
        by: `layer`, for each layer by itself.

    Returns:
        One row a prefix (the empty one left out), and a layer if so asked: what identifies it, the `quarter` of
        the trajectory at whose end it ends (1 to 4, the nearest), its `cosine` with the negative gradient (0 where
        either is 0) and its `relative_norm`, that of the update against that of the weights.
    """
    update, gradient, weight = ((pl.col(f"{name}_norm") ** 2).sum().sqrt() for name in ("update", "gradient", "weight"))
    nearest = (4 * pl.col("position") / pl.col("length")).round()
    return (
        updates.filter(pl.col("position") > 0)
        .group_by(*PREFIX, "length", *by, maintain_order=True)
        .agg(
            (pl.col("descent").sum() / (update * gradient)).fill_nan(0.0).alias("cosine"),
            (update / weight).alias("relative_norm"),
        )
        .with_columns(nearest.clip(1, 4).cast(pl.Int32).alias("quarter"))
    )


def decide(test: Downhill, updates: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    """Decide by the cosine of the update with the negative gradient, and by its leads over both nulls.

    Correct trajectories and the nulls made from them; prefixes, draws and trajectories of a question are averaged,
    leads are paired by question. All three have to lie above the line; one that lies below contradicts the
    claim. The estimate shown is that with the worst verdict; at equal verdicts, the smallest.

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
        "incorrect_trajectories": _as_json(
            _three(directions.filter(~pl.col("correct")), bootstrap, test.projection, "incorrect")
        ),
        "other_projections": {
            name: _as_json(_three(rows.filter(pl.col("correct")), bootstrap, name, "correct"))
            for name, rows in _by(everything, "projection")
            if name != test.projection
        },
        "along_the_trajectory": along_the_trajectory(meant, bootstrap),
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
    )


def along_the_trajectory(directions: pl.DataFrame, bootstrap: Bootstrap) -> dict[str, object]:
    """For each source the mean cosine and relative norm of the prefixes at each quarter.

    Args:
        directions: rows of `update_directions`, of one projection and kind of trajectories.
        bootstrap: how intervals are made.
    """
    return {
        source: {
            value: {
                str(quarter): as_json(interval)
                for quarter, interval in quarters(directions.filter(source=source), value, bootstrap).items()
            }
            for value in ("cosine", "relative_norm")
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
