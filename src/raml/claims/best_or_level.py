"""The test `best_or_level`: is one model, averaged over pooled benchmarks, within a margin of another or better?"""

from dataclasses import dataclass

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, in_words, interval_or_none, judge
from raml.claims.registry import BestOrLevel
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells
from raml.evaluation.metrics import mg_pass_at_k, pass_at_k
from raml.schemas import Verdict

FLOOR = 0.02  # Pass@k of a baseline below which beating it shows little


@dataclass(frozen=True)
class _Benchmark:
    """One metric on one benchmark: both models' scores, their difference, and what the margin says of it alone."""

    scores: dict[str, Interval | None]
    difference: Interval | None
    questions: int
    verdict: Verdict

    def as_details(self) -> dict[str, object]:
        scores = {name: as_json(score) for name, score in self.scores.items()}
        return {
            **scores,
            "difference": as_json(self.difference),
            "questions": self.questions,
            "verdict": self.verdict,
        }


def decide(test: BestOrLevel, evaluations: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by the differences in Pass@k and mG-Pass@k, paired by seed and question, each question counting once.

    Benchmarks are pooled, so a deficit on one can hide behind a lead on another: the details judge each by the
    same margin, and the reason names those whose own interval does not clear it and those on which the baseline
    is at the floor. Both metrics must hold, and one that is contradicted contradicts the claim. The estimate
    shown is that of the metric with the worse verdict; at equal verdicts, that of the smaller difference.

    Args:
        test: the models, the kinds of benchmarks and the margin.
        evaluations: rows of `schemas.Evaluation`.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    table = _with_metrics(evaluations.filter(pl.col("kind").is_in(test.kinds)), k)
    model, baseline = (table.filter(pl.col("model") == name) for name in (test.model, test.baseline))
    if absent := [name for name, rows in ((test.model, model), (test.baseline, baseline)) if rows.is_empty()]:
        reason = f"this scale has no evaluations of {' and '.join(absent)} on benchmarks of kind {test.kinds}"
        return Decision("not_run", reason, None, "share", {}, {})
    paired = model.join(baseline, on=["seed", "question_id"], how="semi")
    n = {
        "questions": paired["question_id"].n_unique(),
        "samples": int(model["n"].sum()) + int(baseline["n"].sum()),
        "seeds": paired["seed"].n_unique(),
    }
    at_the_floor: list[str] = []
    judged: list[tuple[Verdict, float, str]] = []
    details: dict[str, object] = {"margin": test.margin}
    estimates: dict[str, Interval | None] = {}
    reasons: list[str] = []
    for metric in (f"Pass@{k}", f"mG-Pass@{k}"):
        difference = interval_or_none(paired_cells(model, baseline, metric), bootstrap, metric)
        verdict, reason = judge(difference, "above", -test.margin, n["questions"], test.min_questions)
        better = difference is not None and difference.lower > 0
        benchmarks = _by_benchmark(metric, model, baseline, test, bootstrap)
        reasons.append(f"{metric} {reason}" + (" and above 0: strictly better" if better else ""))
        reasons.extend(_not_clear(benchmarks, -test.margin))
        if metric == f"Pass@{k}":
            at_the_floor = _at_the_floor(benchmarks, metric, test.baseline)
        judged.append((verdict, difference.estimate if difference else 0.0, metric))
        estimates[metric] = difference
        details[metric] = {
            "verdict": verdict,
            "strictly_better": better,
            "difference": as_json(difference),
            "benchmarks": {name: row.as_details() for name, row in benchmarks.items()},
        }
    verdict, _, shown = min(judged, key=lambda one: (WORST_FIRST.index(one[0]), one[1]))
    return Decision(
        verdict, "; ".join([*reasons, *at_the_floor]), estimates[shown], f"difference in {shown}", n, details
    )


def _with_metrics(evaluations: pl.DataFrame, k: int) -> pl.DataFrame:
    n, c = evaluations["n"].to_numpy(), evaluations["c"].to_numpy()
    return evaluations.with_columns(
        pl.Series(f"Pass@{k}", pass_at_k(n, c, k)), pl.Series(f"mG-Pass@{k}", mg_pass_at_k(n, c, k))
    )


def _by_benchmark(
    metric: str, model: pl.DataFrame, baseline: pl.DataFrame, test: BestOrLevel, bootstrap: Bootstrap
) -> dict[str, _Benchmark]:
    """Both models' scores and their difference on each benchmark, by its name."""
    found: dict[str, _Benchmark] = {}
    for benchmark in sorted(set(model["benchmark"]) & set(baseline["benchmark"])):
        on_it = {
            name: table.filter(pl.col("benchmark") == benchmark)
            for name, table in ((test.model, model), (test.baseline, baseline))
        }
        scores: dict[str, Interval | None] = {}
        for name, table in on_it.items():
            score = interval_or_none(cells(table, metric), bootstrap, name, benchmark, metric)  # as in the metric table
            scores[name] = score and score.within(0, 1)
        paired = paired_cells(on_it[test.model], on_it[test.baseline], metric)
        difference = interval_or_none(paired, bootstrap, "difference", benchmark, metric)
        verdict, _ = judge(difference, "above", -test.margin, paired.shape[1], test.min_questions)
        found[benchmark] = _Benchmark(scores, difference, paired.shape[1], verdict)
    return found


def _not_clear(benchmarks: dict[str, _Benchmark], line: float) -> list[str]:
    """A clause for each benchmark whose own interval, however many questions it has, spans or lies below `line`."""
    return [
        f"{name} by itself: {in_words(difference)}, {'below' if difference.upper < line else 'spans'} {line:+g}"
        for name, row in benchmarks.items()
        if (difference := row.difference) and difference.lower <= line
    ]


def _at_the_floor(benchmarks: dict[str, _Benchmark], metric: str, baseline: str) -> list[str]:
    """A clause that names the benchmarks on which the baseline's `metric` is below `FLOOR`, if there are any."""
    scores = {name: row.scores[baseline] for name, row in benchmarks.items()}
    low = [
        f"{name} ({metric} {score.estimate:.1%})" for name, score in scores.items() if score and score.estimate < FLOOR
    ]
    return [f"{baseline} is at the floor on {', '.join(low)}, where a comparison shows little"] if low else []
