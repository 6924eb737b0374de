"""The test `kept_accuracy`: do summaries keep much of the accuracy of full trajectories at a fraction of the tokens?"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from raml.claims.decision import WORST_FIRST, Decision, as_json, difference_or_none, in_words, interval_or_none, judge
from raml.claims.evidence import Condition, all_of
from raml.claims.method_lead import leaked_shares, leaks_in_words
from raml.claims.result import Verdict
from raml.claims.sections import KeptAccuracy
from raml.evaluation.efficiency import TOKENS, budget_at, mean_tokens, metric_names, on_the_line, way_scores
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells

WAYS = ("summary", "thinking")


@dataclass(frozen=True)
class _Excess:
    """How far one quantity lies on the claimed side of its share of that of full trajectories; both means."""

    quantity: str
    share: float
    interval: Interval | None
    questions: int
    summary: float
    thinking: float


def decide(test: KeptAccuracy, answers: pl.DataFrame, k: int, bootstrap: Bootstrap) -> Decision:
    """Decide by three differences, paired by seed and question: Avg@k, Pass@k and tokens against their shares.

    Kept is the score after summaries less `least_accuracy` times that of full trajectories; saved are `most_tokens`
    times the tokens of full trajectories less those of summaries. A difference, unlike a ratio, is defined where a
    question is never right. All must lie above 0; shown is the one with the worst verdict, at equal verdicts the first.
    The reason gives the shares, and beside them budget forcing at the tokens of the summaries, between two budgets.

    Args:
        test: the model and both shares.
        answers: rows of `schemas.ForcedAnswer`.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    of_model = answers.filter(pl.col("model") == test.model)
    scores = way_scores(of_model, k)
    present = set(scores["way"])
    if absent := [way for way in WAYS if way not in present]:
        reason = f"this scale has no answers of {test.model} by {' and '.join(absent)}"
        return Decision("not_run", reason, None, "share", {}, {})
    lines = [*((metric, test.least_accuracy) for metric in metric_names(k)), (TOKENS, test.most_tokens)]
    judged: list[tuple[Verdict, int, _Excess]] = []
    reasons: list[str] = []
    details: dict[str, object] = {"leaked": leaked_shares(of_model)}
    for place, (quantity, share) in enumerate(lines):
        one = _excess(scores, quantity, share, bootstrap)
        verdict, reason = judge(one.interval, "above", 0.0, one.questions, test.min_questions)
        judged.append((verdict, place, one))
        reasons.append(_in_words(one, reason))
        details[quantity] = {
            "verdict": verdict,
            "share": one.share,
            "excess": as_json(one.interval),
            "means": {"summary": one.summary, "thinking": one.thinking},
            "kept": one.summary / one.thinking if one.thinking else None,
            "benchmarks": _benchmarks(scores, quantity, share, bootstrap, test),
        }
    details["budget_at_the_same_tokens"], clause = _beside_budgets(scores, k, bootstrap)
    verdict, _, shown = min(judged, key=lambda found: (WORST_FIRST.index(found[0]), found[1]))
    used = scores.filter(pl.col("way").is_in(WAYS))
    n = {
        "questions": min(one.questions for _, _, one in judged),
        "samples": int(used["n"].sum()),
        "seeds": used["seed"].n_unique(),
    }
    unit = f"{shown.quantity} beyond {shown.share:.0%} of the full trajectories'"
    return Decision(
        verdict,
        "; ".join([*reasons, clause, *leaks_in_words(of_model, ("summary",))]),
        shown.interval,
        unit,
        n,
        details,
        all_of(
            [
                Condition(one.interval, found, "above", 0.0, one.questions, test.min_questions)
                for found, _, one in judged
            ]
        ),
    )


def _excess(scores: pl.DataFrame, quantity: str, share: float, bootstrap: Bootstrap, *labels: str) -> _Excess:
    known = scores.filter(pl.col(quantity).is_not_null())
    summary, full = (known.filter(pl.col("way") == way) for way in WAYS)
    summary = summary.join(full, on=["seed", "question_id"], how="semi")
    full = full.join(summary, on=["seed", "question_id"], how="semi")
    part = full.with_columns((share * pl.col(quantity)).alias(quantity))
    pair = (part, summary) if quantity == TOKENS else (summary, part)
    values = paired_cells(*pair, quantity)
    between: Callable[..., Interval | None] = interval_or_none if quantity == TOKENS else difference_or_none
    interval = between(values, bootstrap, "kept_accuracy", quantity, *labels)
    means = [float(cells(one, quantity).mean()) if one.height else 0.0 for one in (summary, full)]
    return _Excess(quantity, share, interval, values.shape[1], *means)


def _in_words(one: _Excess, reason: str) -> str:
    """`Avg@16 83.0% of 0.53: 0.18 [..] lies above 0`."""
    kept = f"{one.summary / one.thinking:.0%}" if one.thinking else "an unknown share"
    what = "saved" if one.quantity == TOKENS else "kept"
    return f"{one.quantity}: {kept} of {one.thinking:.3g}; {what} beyond {one.share:.0%} of it {reason}"


def _benchmarks(
    scores: pl.DataFrame, quantity: str, share: float, bootstrap: Bootstrap, test: KeptAccuracy
) -> dict[str, object]:
    found: dict[str, object] = {}
    for (benchmark,), rows in sorted(scores.partition_by("benchmark", as_dict=True).items()):
        one = _excess(rows, quantity, share, bootstrap, str(benchmark))
        found[str(benchmark)] = {
            "verdict": judge(one.interval, "above", 0.0, one.questions, test.min_questions)[0],
            "excess": as_json(one.interval),
            "means": {"summary": one.summary, "thinking": one.thinking},
            "questions": one.questions,
        }
    return found


def _beside_budgets(scores: pl.DataFrame, k: int, bootstrap: Bootstrap) -> tuple[dict[str, object], str]:
    """Summaries less budget forcing at as many tokens, interpolated between two budgets: details, and a clause."""
    tokens = mean_tokens(scores, "summary")
    at = None if tokens is None else budget_at(scores, tokens)
    if at is None:
        return {}, "no budgets on both sides of the summaries' tokens"
    found: dict[str, object] = {"lower": at.lower, "upper": at.upper, "share_of_the_way": at.share}
    clauses = []
    for metric in metric_names(k):
        known = scores.filter(pl.col(metric).is_not_null())
        summary, line = known.filter(pl.col("way") == "summary"), on_the_line(known, at, [metric])
        difference = difference_or_none(paired_cells(summary, line, metric), bootstrap, "kept_accuracy", "line", metric)
        found[metric] = as_json(difference)
        if difference:
            clauses.append(f"{metric} {in_words(difference)}")
    return found, f"beyond budget forcing at as many tokens ({tokens:.0f}): {', '.join(clauses) or 'too few questions'}"
