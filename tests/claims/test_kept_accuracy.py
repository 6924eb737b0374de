from typing import Any

import pytest
from synthetic import SETTINGS

from forced_answers import AFTER, SKILLS, THINKING, forced_answers
from raml.claims.kept_accuracy import decide
from raml.claims.sections import KeptAccuracy
from raml.evaluation.intervals import Bootstrap

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
TOKENS = KeptAccuracy(
    name="kept_accuracy", model="sft_long", least_accuracy=0.5, most_tokens=0.5, min_questions=20, why="-"
)
HALF = (THINKING["thinking"] + AFTER) // 2 - AFTER


@pytest.mark.parametrize(
    ("summary", "length", "verdict", "unit"),
    [
        (0.6, 12, "holds", "Avg@16"),
        (0.2, 12, "contradicted", "Avg@16"),  # Pass@16 is kept
        (0.35, 12, "inconclusive", "Avg@16"),
        (0.6, 40, "contradicted", "tokens"),
        (0.6, HALF, "inconclusive", "tokens"),
    ],
)
def test_accuracy_and_tokens_decide_together(summary: float, length: int, verdict: str, unit: str) -> None:
    table = forced_answers(SKILLS | {"summary": summary}, tokens=THINKING | {"summary": length})
    decision = decide(TOKENS, table, 16, BOOTSTRAP)
    assert decision.verdict == verdict
    assert decision.unit == f"{unit} beyond 50% of the full trajectories'"
    assert decision.n == {"questions": 60, "samples": 60 * (16 + 32), "seeds": 1}
    shown: Any = decision.details[unit]
    assert decision.estimate and shown["excess"]["estimate"] == decision.estimate.estimate


def test_the_excess_is_a_difference_of_means() -> None:
    decision = decide(TOKENS, forced_answers(), 16, BOOTSTRAP)
    for quantity, sign in (("Avg@16", 1), ("Pass@16", 1), ("tokens", -1)):
        found: Any = decision.details[quantity]
        means = found["means"]
        assert found["excess"]["estimate"] == pytest.approx(sign * (means["summary"] - 0.5 * means["thinking"]))
        assert found["kept"] == pytest.approx(means["summary"] / means["thinking"])
        assert list(found["benchmarks"]) == ["rows", "rows_hard"]
    tokens: Any = decision.details["tokens"]
    assert tokens["means"] == {"summary": 12 + AFTER, "thinking": 50 + AFTER}


def test_budget_forcing_at_as_many_tokens_stands_beside() -> None:
    decision = decide(TOKENS, forced_answers(), 16, BOOTSTRAP)
    beside: Any = decision.details["budget_at_the_same_tokens"]
    assert (beside["lower"], beside["upper"]) == ("budget 8", "budget 32")
    assert beside["share_of_the_way"] == pytest.approx(4 / 24)
    assert beside["Avg@16"]["estimate"] == pytest.approx(0.6 - (0.05 + 4 / 24 * 0.35), abs=0.03)
    assert "beyond budget forcing at as many tokens (20): Avg@16 +0.4" in decision.reason
    without = forced_answers({way: skill for way, skill in SKILLS.items() if "budget" not in way})
    assert "no budgets on both sides of the summaries' tokens" in decide(TOKENS, without, 16, BOOTSTRAP).reason


def test_a_model_that_is_never_right_keeps_an_unknown_share() -> None:
    decision = decide(TOKENS, forced_answers(dict.fromkeys(SKILLS, 0.0)), 16, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "Avg@16: an unknown share of 0" in decision.reason


def test_a_scale_without_answers_is_not_run_and_few_questions_are_inconclusive() -> None:
    absent = decide(TOKENS, forced_answers({"thinking": 0.5}), 16, BOOTSTRAP)
    assert absent.verdict == "not_run" and absent.reason.endswith("no answers of sft_long by summary")
    few = decide(TOKENS, forced_answers(questions=1, benchmarks=("rows",)), 16, BOOTSTRAP)
    assert few.verdict == "inconclusive" and few.estimate is None


def test_leaks_are_said() -> None:
    assert "not answered after" in decide(TOKENS, forced_answers(leaked=0.2), 16, BOOTSTRAP).reason
