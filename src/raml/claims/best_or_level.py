"""The test `best_or_level`: is one model, averaged over pooled benchmarks, within a margin of another or better?"""

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, in_words, interval_or_none
from raml.claims.evidence import all_of
from raml.claims.leads import Lead, at_the_floor, counts, judge_level, lead, metric_names, not_evaluated, with_metrics
from raml.claims.result import Verdict
from raml.claims.sections import BestOrLevel
from raml.evaluation.intervals import Bootstrap


def decide(test: BestOrLevel, evaluations: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by the differences in Pass@k and mG-Pass@k, paired by seed and question, each question counting once.

    Benchmarks are pooled, so a deficit on one can hide behind a lead on another: the details judge each by the
    same margin, and the reason names those whose own interval does not clear it and those on which the baseline
    is at the floor. Both metrics must hold, and one that is contradicted contradicts the claim; one in which both
    models are at the floor, or both saturated, is inconclusive. The estimate shown is that of the metric with the
    worse verdict; at equal verdicts, that of the smaller difference.

    Args:
        test: the models, the kinds of benchmarks and the margin.
        evaluations: rows of `schemas.Evaluation`.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    table = with_metrics(evaluations, test.kinds, k)
    if absent := not_evaluated(table, (test.model, test.baseline), test.kinds, "share"):
        return absent
    leads = [
        lead(table, test.model, test.baseline, metric, bootstrap, between=interval_or_none)
        for metric in metric_names(k)
    ]
    judged: list[tuple[Verdict, float, Lead]] = []
    details: dict[str, object] = {"margin": test.margin}
    reasons: list[str] = []
    for one in leads:
        verdict, reason = judge_level(one, "above", -test.margin, test.min_questions)
        better = one.difference is not None and one.difference.lower > 0
        reasons.append(f"{one.metric} {reason}" + (" and above 0: strictly better" if better else ""))
        reasons.extend(_not_clear(one, -test.margin))
        judged.append((verdict, one.difference.estimate if one.difference else 0.0, one))
        details[one.metric] = {
            "verdict": verdict,
            "strictly_better": better,
            "difference": as_json(one.difference),
            "benchmarks": one.benchmark_details(-test.margin, test.min_questions),
        }
    verdict, _, shown = min(judged, key=lambda found: (WORST_FIRST.index(found[0]), found[1]))
    reason = "; ".join([*reasons, *(clause for one in leads for clause in at_the_floor(one))])
    unit = f"difference in {shown.metric}"
    evidence = all_of([one.condition(found, "above", -test.margin, test.min_questions) for found, _, one in judged])
    return Decision(verdict, reason, shown.difference, unit, counts(table, leads), details, evidence)


def _not_clear(one: Lead, line: float) -> list[str]:
    """A clause for each benchmark whose own interval, however many questions it has, spans or lies below `line`."""
    return [
        f"{name} by itself: {in_words(difference)}, {'below' if difference.upper < line else 'spans'} {line:+g}"
        for name, row in one.benchmarks.items()
        if (difference := row.difference) and difference.lower <= line
    ]
