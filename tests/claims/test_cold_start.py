from typing import Any

import polars as pl
import pytest
from synthetic import SETTINGS, evaluations

from raml.claims.cold_start import decide
from raml.claims.decision import ONE_SEED
from raml.claims.sections import ColdStart
from raml.evaluation.intervals import Bootstrap
from raml.runs import Regime

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
TAB3 = ColdStart(
    name="cold_start", kinds=["in_domain", "in_domain_hard"], minimal_effect=0.0, min_questions=20, why="-"
)
REGIMES = [
    Regime(long_share=share, base=f"base{end}", sft=f"sft{end}", zero_grpo=f"zero_grpo{end}", sft_grpo=f"sft_grpo{end}")
    for share, end in ((0.0, "_p0"), (0.12, ""))
]


def skills(rare: tuple[float, float], often: tuple[float, float]) -> dict[str, float]:
    """Chances of zero-GRPO and of GRPO from SFT, where the base seldom and where it often thinks at length."""
    found: dict[str, float] = {}
    for end, (zero, cold) in (("_p0", rare), ("", often)):
        found |= {f"base{end}": 0.1, f"sft{end}": 0.3, f"zero_grpo{end}": zero, f"sft_grpo{end}": cold}
    return found


@pytest.mark.parametrize(
    ("often", "verdict"), [((0.3, 0.6), "holds"), ((0.6, 0.3), "contradicted"), ((0.4, 0.4), "inconclusive")]
)
def test_every_regime_has_to_lead_and_the_worst_is_shown(often: tuple[float, float], verdict: str) -> None:
    decision = decide(TAB3, evaluations(skills((0.1, 0.7), often)), REGIMES, 8, BOOTSTRAP)
    assert decision.verdict == verdict
    assert "base with 0% long documents: holds (Pass@8 +" in decision.reason
    assert f"base with 12% long documents: {verdict} (Pass@8 " in decision.reason
    assert decision.unit.startswith("lead of sft_grpo in ")
    assert decision.n == {"questions": 120, "samples": 4 * 120 * 16, "seeds": 1}
    regimes: Any = decision.details["regimes"]
    assert [(one["long_share"], one["verdict"]) for one in regimes] == [(0.0, "holds"), (0.12, verdict)]
    metric = decision.unit.split()[-1]
    shown = regimes[1]["leads"][metric]
    assert decision.estimate and decision.estimate.estimate == shown["difference"]["estimate"]


def test_details_hold_all_four_models_of_each_regime() -> None:
    table = evaluations(skills((0.1, 0.7), (0.3, 0.6)))
    decision = decide(TAB3, table, REGIMES, 8, BOOTSTRAP)
    regimes: Any = decision.details["regimes"]
    for regime, found in zip(REGIMES, regimes, strict=True):
        models = [regime.base, regime.sft, regime.zero_grpo, regime.sft_grpo]
        assert list(found["scores"]) == models
        scores = [found["scores"][model]["Pass@8"]["estimate"] for model in models]
        lead = found["leads"]["Pass@8"]
        assert scores[3] - scores[2] == pytest.approx(lead["difference"]["estimate"])
        assert set(lead["benchmarks"]) == {"rows", "rows_hard"}
        assert lead["benchmarks"]["rows"][regime.sft_grpo]["estimate"] > 0.9


def test_a_compared_model_that_is_not_evaluated_is_named_and_the_others_may_lack() -> None:
    table = evaluations(skills((0.1, 0.7), (0.3, 0.6)))
    decision = decide(TAB3, table.filter(pl.col("model") != "zero_grpo_p0"), REGIMES, 8, BOOTSTRAP)
    assert decision.verdict == "not_run" and "no evaluations of zero_grpo_p0 on" in decision.reason
    decision = decide(TAB3, table.filter(pl.col("model") != "base_p0"), REGIMES, 8, BOOTSTRAP)
    assert decision.verdict == "holds"
    regimes: Any = decision.details["regimes"]
    assert regimes[0]["scores"]["base_p0"] == {"Pass@8": None, "mG-Pass@8": None}


def test_a_scale_without_regimes_has_not_run_it() -> None:
    decision = decide(TAB3, evaluations({"base": 0.1}), [], 8, BOOTSTRAP)
    assert (decision.verdict, decision.estimate) == ("not_run", None)
    assert "share of long trajectories" in decision.reason


def test_few_questions_are_inconclusive() -> None:
    decision = decide(TAB3, evaluations(skills((0.1, 0.7), (0.3, 0.6)), questions=9), REGIMES, 8, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "18 questions; the test asks for at least 20" in decision.reason


def test_hidden_benchmarks_limits_and_a_single_seed_are_said() -> None:
    table = evaluations(skills((0.0, 0.7), (0.3, 0.9)), questions=100)
    worse = (pl.col("benchmark") == "rows_hard") & (pl.col("model") == "sft_grpo")
    table = table.with_columns(c=pl.when(worse).then(0).otherwise("c").cast(pl.Int32))
    decision = decide(TAB3, table, REGIMES, 8, BOOTSTRAP)
    assert "rows_hard by itself: sft_grpo mG-Pass@8 -" in decision.reason
    assert "zero_grpo_p0 is at the floor on rows (Pass@8 0.0%), rows_hard (Pass@8 0.0%)" in decision.reason
    assert decision.full_reason().endswith(ONE_SEED)
    three = decide(TAB3, evaluations(skills((0.1, 0.7), (0.3, 0.6)), seeds=3), REGIMES, 8, BOOTSTRAP)
    assert three.verdict == "holds" and not three.full_reason().endswith(ONE_SEED)
