"""The test `method_lead`: are answers by one method of Figure 11 right more often than by another?"""

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, judge
from raml.claims.evidence import all_of
from raml.claims.leads import Lead, counts, hidden, lead, limits
from raml.claims.result import Verdict
from raml.claims.sections import MethodLead
from raml.evaluation.efficiency import metric_names, way_scores
from raml.evaluation.intervals import Bootstrap


def decide(test: MethodLead, answers: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by the method's lead in Avg@k and Pass@k, paired by seed and question, each question counting once.

    Both must hold, and one that is contradicted contradicts the claim; the estimate shown is the one with the worst
    verdict, at equal verdicts the smallest lead. Benchmarks that are left out stand in the details. The reason names
    those that lie below the line by themselves, those on which the baseline is at the floor or saturated, and how many
    summaries or controls were not answered after.

    Args:
        test: the model, both methods and where the line lies.
        answers: rows of `schemas.ForcedAnswer`.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    of_model = answers.filter(pl.col("model") == test.model)
    scores = way_scores(of_model, k).drop("model").rename({"way": "model"})
    deciding = scores.filter(~pl.col("benchmark").is_in(test.left_out))
    present = set(deciding["model"])
    if absent := [method for method in (test.method, test.baseline) if method not in present]:
        reason = f"this scale has no answers of {test.model} by {' and '.join(absent)}"
        return Decision("not_run", reason, None, "share", {}, {})
    leads = [_lead(deciding, metric, test, bootstrap) for metric in metric_names(k)]
    judged: list[tuple[Verdict, float, Lead]] = []
    reasons: list[str] = []
    details: dict[str, object] = {"minimal_effect": test.minimal_effect, "leaked": leaked_shares(of_model)}
    for one in leads:
        verdict, reason = judge(one.difference, "above", test.minimal_effect, one.questions, test.min_questions)
        judged.append((verdict, one.difference.estimate if one.difference else 0.0, one))
        reasons += [f"{one.metric} {reason}", *hidden(one, test.minimal_effect)]
        details[one.metric] = {
            "verdict": verdict,
            "difference": as_json(one.difference),
            "scores": dict(zip((one.model, one.baseline), one.scores, strict=True)),
            "benchmarks": one.benchmark_details(test.minimal_effect, test.min_questions),
            "left_out": {
                name: row.as_details()
                for name, row in _lead(
                    scores.filter(pl.col("benchmark").is_in(test.left_out)), one.metric, test, bootstrap
                ).benchmarks.items()
            },
        }
    verdict, _, shown = min(judged, key=lambda found: (WORST_FIRST.index(found[0]), found[1]))
    return Decision(
        verdict,
        "; ".join([*reasons, *limits(leads), *leaks_in_words(of_model, (test.method, test.baseline))]),
        shown.difference,
        f"lead of {test.method} in {shown.metric}",
        counts(deciding, leads),
        details,
        all_of([one.condition(found, "above", test.minimal_effect, test.min_questions) for found, _, one in judged]),
    )


def leaked_shares(answers: pl.DataFrame) -> dict[str, float]:
    """By method the share of `answers` (rows of `schemas.ForcedAnswer`) that leak."""
    shares = answers.group_by(pl.col("method").cast(pl.String)).agg(pl.col("leaked").mean()).sort("method")
    return {method: float(share) for method, share in shares.iter_rows()}


def leaks_in_words(answers: pl.DataFrame, methods: tuple[str, ...]) -> list[str]:
    """A clause on those of `methods` that leak, if any does."""
    shares = leaked_shares(answers)
    found = [f"{method} {shares[method]:.1%}" for method in methods if shares.get(method)]
    return [f"not answered after, as the gold answer occurs in them: {', '.join(found)}"] if found else []


def _lead(table: pl.DataFrame, metric: str, test: MethodLead, bootstrap: Bootstrap) -> Lead:
    known = table.filter(pl.col(metric).is_not_null())
    return lead(known, test.method, test.baseline, metric, bootstrap, "method_lead", test.method, test.baseline)
