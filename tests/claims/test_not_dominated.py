from typing import Any

import numpy as np
import polars as pl
import pytest
from synthetic import SETTINGS, evaluations

from raml.claims.decision import ONE_SEED
from raml.claims.not_dominated import decide
from raml.claims.sections import NotDominated
from raml.evaluation.intervals import Bootstrap, Interval
from raml.schemas import Evaluation

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
TAB2 = NotDominated(
    name="not_dominated", model="sft_long", rival="zero_grpo", kinds=["in_domain", "in_domain_hard"], margin=0.02,
    min_questions=20, why="-",
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "rival", "verdict"),
    [
        (0.6, 0.2, "holds"),  # the rival trails
        (0.2, 0.6, "contradicted"),  # it leads in both
        (0.3, 0.32, "inconclusive"),  # neither a lead nor its absence is certain
        (0.0, 0.0, "inconclusive"),  # level at the floor
        (1.0, 1.0, "inconclusive"),  # level at the ceiling
    ],
)
def test_verdicts_follow_the_data(model: float, rival: float, verdict: str) -> None:
    decision = decide(TAB2, evaluations({"sft_long": model, "zero_grpo": rival}), 8, BOOTSTRAP)
    assert decision.verdict == verdict
    assert decision.n == {"questions": 120, "samples": 120 * 2 * 16, "seeds": 1}
    assert "zero_grpo's lead over sft_long in Pass@8 " in decision.reason


@pytest.mark.parametrize("rival_is_steady", [True, False])
def test_a_lead_in_one_metric_is_not_enough_to_dominate(rival_is_steady: bool) -> None:
    """All or nothing against always a little: the one wins mG-Pass@8 and loses Pass@8."""
    table = evaluations({"sft_long": 0.3, "zero_grpo": 0.3}, questions=200)
    extreme = (pl.col("question_id").str.extract(r"-(\d+)$").cast(pl.Int32) % 2 * 16).cast(pl.Int32)
    steady = "zero_grpo" if rival_is_steady else "sft_long"
    table = table.with_columns(c=pl.when(pl.col("model") != steady).then(extreme).otherwise("c"))
    decision = decide(TAB2, table, 8, BOOTSTRAP)
    leads = {metric: decision.details[metric]["lead_is"] for metric in ("Pass@8", "mG-Pass@8")}  # type: ignore[index]
    trailed = "mG-Pass@8" if rival_is_steady else "Pass@8"
    assert decision.verdict == "holds"
    assert sorted(leads.values()) == ["excluded", "there"] and leads[trailed] == "excluded"
    assert decision.unit == f"lead of zero_grpo in {trailed}"
    assert decision.estimate and decision.estimate.upper < TAB2.margin


def test_a_lead_in_one_metric_with_the_other_open_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    leads = {"Pass@8": Interval(0.1, 0.05, 0.15), "mG-Pass@8": Interval(0.03, 0.01, 0.05)}
    monkeypatch.setattr(Bootstrap, "difference", lambda self, values, *labels: leads[labels[-1]])
    decision = decide(TAB2, evaluations({"sft_long": 0.3, "zero_grpo": 0.3}), 8, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert decision.estimate == leads["mG-Pass@8"] and decision.unit.endswith("mG-Pass@8")


def test_a_metric_in_which_both_are_at_the_floor_excludes_no_lead() -> None:
    """One right in 16: the rival leads in Pass@8, and mG-Pass@8, where neither has anything, does not excuse it."""
    table = evaluations({"sft_long": 0.0, "zero_grpo": 0.0})
    number = pl.col("question_id").str.extract(r"-(\d+)$").cast(pl.Int32)
    few = pl.when((pl.col("model") == "zero_grpo") & (number % 4 == 0)).then(1).otherwise("c").cast(pl.Int32)
    decision = decide(TAB2, table.with_columns(c=few), 8, BOOTSTRAP)
    leads = {metric: decision.details[metric]["lead_is"] for metric in ("Pass@8", "mG-Pass@8")}  # type: ignore[index]
    assert leads == {"Pass@8": "there", "mG-Pass@8": "open"}
    assert decision.verdict == "inconclusive"
    assert "in mG-Pass@8 +0.000 [+0.000, +0.000] lies below +0.02, but both models are at the floor" in decision.reason


def test_a_model_that_is_not_evaluated_is_named() -> None:
    decision = decide(TAB2, evaluations({"sft_long": 0.5}), 8, BOOTSTRAP)
    assert decision.verdict == "not_run" and "no evaluations of zero_grpo on" in decision.reason


def test_few_questions_are_inconclusive() -> None:
    decision = decide(TAB2, evaluations({"sft_long": 1.0, "zero_grpo": 0.0}, questions=9), 8, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "18 questions; the test asks for at least 20" in decision.reason


def test_limits_and_a_single_seed_are_said() -> None:
    decision = decide(TAB2, evaluations({"sft_long": 1.0, "zero_grpo": 0.5}), 8, BOOTSTRAP)
    assert "sft_long is saturated on rows (Pass@8 100.0%), rows_hard (Pass@8 100.0%)" in decision.reason
    assert decision.full_reason().endswith(ONE_SEED)
    low = decide(TAB2, evaluations({"sft_long": 0.0, "zero_grpo": 0.5}), 8, BOOTSTRAP)
    assert "sft_long is at the floor on rows (Pass@8 0.0%)" in low.reason
    benchmarks: Any = low.details["Pass@8"]["benchmarks"]  # type: ignore[index]
    assert benchmarks["rows"]["zero_grpo"]["estimate"] > 0.9 and benchmarks["rows"]["questions"] == 60
    three = decide(TAB2, evaluations({"sft_long": 0.6, "zero_grpo": 0.2}, seeds=3), 8, BOOTSTRAP)
    assert not three.full_reason().endswith(ONE_SEED)


def test_a_rival_that_dominates_by_just_the_margin_seldom_passes() -> None:
    """False `holds` where the lead equals the margin in both metrics: 5% at most by design, as either may miss."""
    rng = np.random.default_rng(0)
    count, holds = 40, 0
    margin = 1 / 16  # the rival is right on every question, or on none, one time in 16 more often
    test = TAB2.model_copy(update={"margin": margin})
    quick = Bootstrap(0, 300, 0.95)
    for _ in range(100):
        base = rng.random(count) < 0.4
        rival = np.where(rng.random(count) < margin / 0.6, True, base)
        rows = [
            {
                "model": name, "seed": 0, "benchmark": "rows", "kind": "in_domain", "question_id": f"q{place}",
                "n": 16, "c": 16 * int(right), "formatted": 0, "finished": 0, "tokens": 0,
            }
            for name, answers in (("sft_long", base), ("zero_grpo", rival))
            for place, right in enumerate(answers)
        ]  # fmt: skip
        holds += decide(test, Evaluation.cast(pl.DataFrame(rows)), 8, quick).verdict == "holds"
    assert holds <= 20
