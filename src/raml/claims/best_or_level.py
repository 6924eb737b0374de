"""The test `best_or_level`: is one model nowhere worse than another by more than a margin?"""

import polars as pl

from raml.claims.decision import Decision, as_json, interval_or_none, judge
from raml.claims.registry import BestOrLevel
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells
from raml.evaluation.metrics import mg_pass_at_k, pass_at_k
from raml.schemas import Verdict

WORST_FIRST: tuple[Verdict, ...] = ("contradicted", "inconclusive", "holds")


def decide(test: BestOrLevel, evaluations: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by the differences in Pass@k and mG-Pass@k, paired by seed and question, each question counting once.

    Both metrics must hold, and one that is contradicted contradicts the claim. The estimate shown is that
    of the metric with the worse verdict; at equal verdicts, that of the smaller difference.

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
    judged: list[tuple[Verdict, float, str]] = []
    details: dict[str, object] = {"margin": test.margin}
    estimates: dict[str, Interval | None] = {}
    reasons: list[str] = []
    for metric in (f"Pass@{k}", f"mG-Pass@{k}"):
        difference = interval_or_none(paired_cells(model, baseline, metric), bootstrap, metric)
        verdict, reason = judge(difference, "above", -test.margin, n["questions"], test.min_questions)
        better = difference is not None and difference.lower > 0
        reasons.append(f"{metric} {reason}" + (" and above 0: strictly better" if better else ""))
        judged.append((verdict, difference.estimate if difference else 0.0, metric))
        estimates[metric] = difference
        details[metric] = {
            "verdict": verdict,
            "strictly_better": better,
            "difference": as_json(difference),
            "benchmarks": _by_benchmark(metric, model, baseline, test, bootstrap),
        }
    verdict, _, shown = min(judged, key=lambda one: (WORST_FIRST.index(one[0]), one[1]))
    return Decision(verdict, "; ".join(reasons), estimates[shown], f"difference in {shown}", n, details)


def _with_metrics(evaluations: pl.DataFrame, k: int) -> pl.DataFrame:
    n, c = evaluations["n"].to_numpy(), evaluations["c"].to_numpy()
    return evaluations.with_columns(
        pl.Series(f"Pass@{k}", pass_at_k(n, c, k)), pl.Series(f"mG-Pass@{k}", mg_pass_at_k(n, c, k))
    )


def _by_benchmark(
    metric: str, model: pl.DataFrame, baseline: pl.DataFrame, test: BestOrLevel, bootstrap: Bootstrap
) -> dict[str, object]:
    """Both models' scores and their difference with intervals, for each benchmark."""
    rows: dict[str, object] = {}
    for benchmark in sorted(set(model["benchmark"]) & set(baseline["benchmark"])):
        on_it = {
            name: table.filter(pl.col("benchmark") == benchmark)
            for name, table in ((test.model, model), (test.baseline, baseline))
        }
        row: dict[str, object] = {}
        for name, table in on_it.items():
            score = interval_or_none(cells(table, metric), bootstrap, name, benchmark, metric)  # as in the metric table
            row[name] = as_json(score and score.within(0, 1))
        difference = paired_cells(on_it[test.model], on_it[test.baseline], metric)
        row["difference"] = as_json(interval_or_none(difference, bootstrap, "difference", benchmark, metric))
        rows[benchmark] = row
    return rows
