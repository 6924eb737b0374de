"""What a test's line says of each benchmark by itself: a verdict pools them, and one can hide behind the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from raml.claims.decision import as_json, in_words, interval_or_none, judge
from raml.claims.result import Side
from raml.evaluation.intervals import Bootstrap, Interval, cells


@dataclass(frozen=True)
class BenchmarkEffect:
    """The mean effect over a benchmark's questions; None with fewer than two of them."""

    benchmark: str
    effect: Interval | None
    questions: int
    trajectories: int


def benchmark_effects(rows: pl.DataFrame, value: str, bootstrap: Bootstrap, *labels: str) -> list[BenchmarkEffect]:
    """The mean of `value` on each benchmark by itself, in order of their names.

    Args:
        rows: one a trajectory, with columns `benchmark`, `seed`, `question_id` and `value`.
        value: the column that holds the effect.
        bootstrap: how intervals are made.
        labels: what seeds them, before the benchmark's name.
    """
    return [
        BenchmarkEffect(
            benchmark=str(benchmark),
            effect=interval_or_none(cells(on_it, value), bootstrap, *labels, str(benchmark)),
            questions=on_it["question_id"].n_unique(),
            trajectories=on_it.height,
        )
        for (benchmark,), on_it in rows.sort("benchmark").group_by("benchmark", maintain_order=True)
    ]


def judge_benchmarks(
    name: str,
    effects: Sequence[BenchmarkEffect],
    pooled: Interval | None,
    claimed: Side,
    line: float,
    min_questions: int,
) -> tuple[dict[str, object], list[str]]:
    """Details and reasons of a decision: each benchmark with its own verdict, and who is on the other side.

    Args:
        name: of the effect, as a key of the details.
        effects: each benchmark's.
        pooled: the effect on all benchmarks together.
        claimed: the side of the line that the claim is about.
        line: where it lies.
        min_questions: fewer leave a benchmark inconclusive.

    Returns:
        The details by benchmark, and a clause for each benchmark clear of the line on the other side than `pooled`.
    """
    details: dict[str, object] = {}
    clauses = []
    for one in effects:
        verdict, _ = judge(one.effect, claimed, line, one.questions, min_questions)
        details[one.benchmark] = {
            name: as_json(one.effect),
            "questions": one.questions,
            "trajectories": one.trajectories,
            "verdict": verdict,
        }
        above = one.effect is not None and one.effect.lower > line
        if pooled and one.effect and verdict != "inconclusive" and above != (pooled.estimate > line):
            past = "short of" if (line < 0) == above else "past"
            clauses.append(f"{one.benchmark} by itself: {in_words(one.effect)}, {past} the line")
    return details, clauses
