"""The test `not_dominated`: does a rival fail to lead a model in both metrics at once?"""

import polars as pl

from raml.claims.decision import Decision, as_json
from raml.claims.evidence import any_of
from raml.claims.leads import counts, judge_level, lead, limits, metric_names, not_evaluated, with_metrics
from raml.claims.result import Verdict
from raml.claims.sections import NotDominated
from raml.evaluation.intervals import Bootstrap


def decide(test: NotDominated, evaluations: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by the rival's leads in Pass@k and mG-Pass@k, paired by seed and question, each question counting once.

    The rival dominates if it leads by more than the margin in both. So the claim holds if the whole interval of one
    metric's lead lies below the margin, is contradicted if both lie above it, and is inconclusive otherwise. One
    metric suffices to hold, so where the rival leads by just the margin in both, two intervals have the chance to
    miss: at 95% the claim then holds wrongly in up to 5% of cases. A metric in which both models are at the floor, or
    both saturated, excludes nothing. The estimate shown is that of the smaller lead among the metrics with the verdict.

    Args:
        test: the models, the kinds of benchmarks and the margin.
        evaluations: rows of `schemas.Evaluation`.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    table = with_metrics(evaluations, test.kinds, k)
    if absent := not_evaluated(table, (test.model, test.rival), test.kinds, "share"):
        return absent
    labels = ("not_dominated", test.rival, test.model)
    leads = [lead(table, test.rival, test.model, metric, bootstrap, *labels) for metric in metric_names(k)]
    judged = {one.metric: judge_level(one, "below", test.margin, test.min_questions) for one in leads}
    verdict = _overall([of_metric for of_metric, _ in judged.values()])
    shown = min(
        (one for one in leads if judged[one.metric][0] == verdict),
        key=lambda one: one.difference.estimate if one.difference else 0.0,
    )
    details: dict[str, object] = {"model": test.model, "rival": test.rival, "margin": test.margin}
    for one in leads:
        details[one.metric] = {
            "lead_is": {"holds": "excluded", "contradicted": "there"}.get(judged[one.metric][0], "open"),
            "difference": as_json(one.difference),
            "benchmarks": {name: row.as_details() for name, row in one.benchmarks.items()},
        }
    reasons = [f"{test.rival}'s lead over {test.model} in {metric} {reason}" for metric, (_, reason) in judged.items()]
    return Decision(
        verdict,
        "; ".join([*reasons, *limits(leads)]),
        shown.difference,
        f"lead of {test.rival} in {shown.metric}",
        counts(table, leads),
        details,
        any_of([one.condition(judged[one.metric][0], "below", test.margin, test.min_questions) for one in leads]),
    )


def _overall(of_metrics: list[Verdict]) -> Verdict:
    """The verdict on both metrics together: one that excludes a lead suffices, domination needs both."""
    if "holds" in of_metrics:
        return "holds"
    return "contradicted" if set(of_metrics) == {"contradicted"} else "inconclusive"
