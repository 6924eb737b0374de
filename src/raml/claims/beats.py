"""The test `beats`: does each of several models lead a baseline in Pass@k and in mG-Pass@k?"""

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, in_words, judge
from raml.claims.evidence import all_of
from raml.claims.leads import Lead, counts, hidden, lead, limits, metric_names, not_evaluated, with_metrics
from raml.claims.result import Verdict
from raml.claims.sections import Beats
from raml.evaluation.intervals import Bootstrap


def decide(test: Beats, evaluations: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by every model's lead in either metric, paired by seed and question, each question counting once.

    All of them must hold, and one that is contradicted contradicts the claim; the estimate shown is the one with the
    worst verdict, at equal verdicts the smallest lead. The reason names benchmarks on which a model lies below the
    line by itself though the pooled lead does not, those on which the baseline is at the floor or saturated, and, of
    the further models that are evaluated on every benchmark and stand in the details, those that lie below the line.

    Args:
        test: the models, the baseline, the kinds of benchmarks and where the line lies.
        evaluations: rows of `schemas.Evaluation`.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    table = with_metrics(evaluations, test.kinds, k)
    if absent := not_evaluated(table, (*test.models, test.baseline), test.kinds, "share"):
        return absent
    leads = {model: _both(table, model, test, k, bootstrap) for model in test.models}
    others = {model: _both(table, model, test, k, bootstrap) for model in _beside(evaluations, test)}
    judged: list[tuple[Verdict, float, Lead]] = []
    reasons: list[str] = []
    deciding = [one for both in leads.values() for one in both]
    for one in deciding:
        verdict, reason = judge(one.difference, "above", test.minimal_effect, one.questions, test.min_questions)
        judged.append((verdict, one.difference.estimate if one.difference else 0.0, one))
        reasons += [f"{one.model} {one.metric} {reason}", *hidden(one, test.minimal_effect)]
    line = test.minimal_effect
    beside = [
        f"{one.model}, which decides nothing: {one.metric} {in_words(one.difference)} lies below {line:+g}"
        for one in (one for both in others.values() for one in both)
        if one.difference and one.difference.upper < line
    ]
    verdict, _, shown = min(judged, key=lambda found: (WORST_FIRST.index(found[0]), found[1]))
    details: dict[str, object] = {
        "baseline": test.baseline,
        "minimal_effect": test.minimal_effect,
        "models": {model: _as_details(both, test) for model, both in leads.items()},
        "beside": {model: _as_details(both, test) for model, both in others.items()},
    }
    return Decision(
        verdict,
        "; ".join([*reasons, *beside, *limits(deciding)]),
        shown.difference,
        f"lead of {shown.model} in {shown.metric}",
        counts(table, deciding),
        details,
        all_of([one.condition(found, "above", line, test.min_questions) for found, _, one in judged]),
    )


def _both(table: pl.DataFrame, model: str, test: Beats, k: int, bootstrap: Bootstrap) -> list[Lead]:
    """The lead of `model` in each metric."""
    return [
        lead(table, model, test.baseline, metric, bootstrap, model, test.baseline, *test.kinds)
        for metric in metric_names(k)
    ]


def _beside(evaluations: pl.DataFrame, test: Beats) -> list[str]:
    """Models that decide nothing, but are evaluated on as many benchmarks as any: no sweep's."""
    benchmarks = evaluations.group_by("model").agg(pl.col("benchmark").n_unique()).sort("model")
    on_all = benchmarks.filter(pl.col("benchmark") == pl.col("benchmark").max())["model"]
    return [name for name in on_all if name not in (*test.models, test.baseline)]


def _as_details(leads: list[Lead], test: Beats) -> dict[str, object]:
    """By metric the verdict and the lead, pooled and on each benchmark."""
    return {
        one.metric: {
            "verdict": judge(one.difference, "above", test.minimal_effect, one.questions, test.min_questions)[0],
            "difference": as_json(one.difference),
            "questions": one.questions,
            "benchmarks": one.benchmark_details(test.minimal_effect, test.min_questions),
        }
        for one in leads
    }
