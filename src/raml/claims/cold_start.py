"""The test `cold_start`: does GRPO from an SFT model lead GRPO from the base, whatever the base model?"""

from collections.abc import Sequence

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, judge
from raml.claims.evidence import all_of
from raml.claims.leads import (
    Lead,
    counts,
    hidden,
    lead,
    limits,
    metric_names,
    not_evaluated,
    pooled_scores,
    with_metrics,
)
from raml.claims.result import Verdict
from raml.claims.sections import ColdStart
from raml.evaluation.intervals import Bootstrap
from raml.runs import Regime


def decide(
    test: ColdStart, evaluations: pl.DataFrame, regimes: Sequence[Regime], k: int, bootstrap: Bootstrap
) -> Decision:
    """Decide by the lead of the cold start in either metric in each regime, paired by seed and question.

    All of them must hold, and one that is contradicted contradicts the claim; the estimate shown is the one with the
    worst verdict, at equal verdicts the smallest lead. The reason gives each regime's own verdict: a cold start may
    help where the base seldom writes long trajectories and hurt where it often does, which no average would show.

    Args:
        test: the kinds of benchmarks and where the line lies.
        evaluations: rows of `schemas.Evaluation`.
        regimes: base models and what was trained from each.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    if not regimes:
        reason = "this scale trains no base model whose share of long trajectories is known"
        return Decision("not_run", reason, None, "share", {}, {})
    table = with_metrics(evaluations, test.kinds, k)
    compared = [name for regime in regimes for name in (regime.sft_grpo, regime.zero_grpo)]
    if absent := not_evaluated(table, compared, test.kinds, "share"):
        return absent
    deciding: list[Lead] = []
    judged: list[tuple[Verdict, float, Lead]] = []
    reasons: list[str] = []
    details: list[dict[str, object]] = []
    for regime in regimes:
        leads = [
            lead(table, regime.sft_grpo, regime.zero_grpo, metric, bootstrap, "cold_start", regime.sft_grpo)
            for metric in metric_names(k)
        ]
        verdicts = [
            judge(one.difference, "above", test.minimal_effect, one.questions, test.min_questions)[0] for one in leads
        ]
        judged += [
            (verdict, one.difference.estimate if one.difference else 0.0, one)
            for verdict, one in zip(verdicts, leads, strict=True)
        ]
        deciding += leads
        worst = min(verdicts, key=WORST_FIRST.index)
        reasons.append(_in_words(regime, worst, leads, test))
        reasons += [clause for one in leads for clause in hidden(one, test.minimal_effect)]
        models = (regime.base, regime.sft, regime.zero_grpo, regime.sft_grpo)
        details.append(
            {
                "long_share": regime.long_share,
                "verdict": worst,
                "scores": pooled_scores(table, models, k, bootstrap),
                "leads": {
                    one.metric: {
                        "verdict": verdict,
                        "difference": as_json(one.difference),
                        "benchmarks": one.benchmark_details(test.minimal_effect, test.min_questions),
                    }
                    for verdict, one in zip(verdicts, leads, strict=True)
                },
            }
        )
    verdict, _, shown = min(judged, key=lambda found: (WORST_FIRST.index(found[0]), found[1]))
    return Decision(
        verdict,
        "; ".join([*reasons, *limits(deciding)]),
        shown.difference,
        f"lead of {shown.model} in {shown.metric}",
        counts(table, deciding),
        {"minimal_effect": test.minimal_effect, "regimes": details},
        all_of([one.condition(found, "above", test.minimal_effect, test.min_questions) for found, _, one in judged]),
    )


def _in_words(regime: Regime, verdict: Verdict, leads: Sequence[Lead], test: ColdStart) -> str:
    """`base with 12% long documents: holds (Pass@8 +0.1 [+0.0, +0.2] lies above +0, mG-Pass@8 ..)`."""
    found = [
        f"{one.metric} {judge(one.difference, 'above', test.minimal_effect, one.questions, test.min_questions)[1]}"
        for one in leads
    ]
    documents = "" if regime.long_share is None else f" with {100 * regime.long_share:g}% long documents"
    return f"base{documents}: {verdict} ({', '.join(found)})"
