from typing import Any

import polars as pl
import pytest
from synthetic import SETTINGS, evaluations

from raml.claims.beats import decide
from raml.claims.decision import ONE_SEED
from raml.claims.sections import Beats
from raml.evaluation.intervals import Bootstrap

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
FIG7 = Beats(
    name="beats", models=["sft_long", "zero_grpo"], baseline="base", kinds=["in_domain", "in_domain_hard"],
    minimal_effect=0.0, min_questions=20, why="-",
)  # fmt: skip
BEATEN = {"base": 0.1, "sft_long": 0.6, "zero_grpo": 0.5}


def replaced(table: pl.DataFrame, model: str, benchmark: str, c: int) -> pl.DataFrame:
    """`table` with `c` correct samples of `model` on every question of `benchmark`."""
    meant = (pl.col("model") == model) & (pl.col("benchmark") == benchmark)
    return table.with_columns(c=pl.when(meant).then(c).otherwise("c").cast(pl.Int32))


@pytest.mark.parametrize(("grpo", "verdict"), [(0.5, "holds"), (0.03, "contradicted"), (0.12, "inconclusive")])
def test_the_worst_model_and_metric_decides_and_is_shown(grpo: float, verdict: str) -> None:
    decision = decide(FIG7, evaluations(BEATEN | {"zero_grpo": grpo}), 8, BOOTSTRAP)
    assert decision.verdict == verdict
    assert decision.unit.startswith("lead of zero_grpo in ")
    assert decision.n == {"questions": 120, "samples": 3 * 120 * 16, "seeds": 1}
    for model in FIG7.models:
        for metric in ("Pass@8", "mG-Pass@8"):
            assert f"{model} {metric} +" in decision.reason or f"{model} {metric} -" in decision.reason
    of_sft: Any = decision.details["models"]["sft_long"]  # type: ignore[index]
    assert {of_sft[metric]["verdict"] for metric in of_sft} == {"holds"}
    metric = decision.unit.split()[-1]
    shown: Any = decision.details["models"]["zero_grpo"][metric]  # type: ignore[index]
    assert shown["verdict"] == verdict
    assert decision.estimate and decision.estimate.estimate == shown["difference"]["estimate"]


def test_a_lead_that_does_not_exceed_the_line_does_not_hold() -> None:
    table = evaluations(BEATEN)
    strict = FIG7.model_copy(update={"minimal_effect": 0.9})
    assert decide(strict, table, 8, BOOTSTRAP).verdict == "contradicted"


def test_other_main_models_stand_beside_and_those_of_sweeps_do_not() -> None:
    table = evaluations(BEATEN | {"dpo": 0.05, "sft_long_m4": 0.3})
    only_hard = (pl.col("model") != "sft_long_m4") | (pl.col("benchmark") == "rows_hard")
    decision = decide(FIG7, table.filter(only_hard), 8, BOOTSTRAP)
    assert decision.verdict == "holds"
    assert list(decision.details["beside"]) == ["dpo"]  # type: ignore[call-overload]
    beside: Any = decision.details["beside"]["dpo"]  # type: ignore[index]
    assert beside["Pass@8"]["verdict"] == "contradicted"
    assert "; dpo, which decides nothing: Pass@8 -0." in decision.reason  # what it forgot is said, and decides nothing


@pytest.mark.parametrize("absent", ["base", "zero_grpo"])
def test_a_model_that_is_not_evaluated_is_named(absent: str) -> None:
    decision = decide(FIG7, evaluations(BEATEN).filter(pl.col("model") != absent), 8, BOOTSTRAP)
    assert decision.verdict == "not_run"
    assert f"no evaluations of {absent} on benchmarks of kind" in decision.reason


def test_few_questions_are_inconclusive() -> None:
    decision = decide(FIG7, evaluations(BEATEN, questions=9), 8, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "18 questions; the test asks for at least 20" in decision.reason


def test_models_of_different_seeds_are_not_compared() -> None:
    table = evaluations(BEATEN, seeds=2).filter((pl.col("model") == "base") == (pl.col("seed") == 0))
    decision = decide(FIG7, table, 8, BOOTSTRAP)
    assert (decision.verdict, decision.estimate, decision.n["questions"]) == ("inconclusive", None, 0)


def test_benchmarks_that_the_pooled_lead_hides_are_named() -> None:
    table = replaced(evaluations(BEATEN | {"base": 0.05}, questions=100), "sft_long", "rows_hard", 0)
    decision = decide(FIG7, table, 8, BOOTSTRAP)
    row: Any = decision.details["models"]["sft_long"]["Pass@8"]["benchmarks"]["rows_hard"]  # type: ignore[index]
    assert row["verdict"] == "contradicted"
    assert f"rows_hard by itself: sft_long Pass@8 {row['difference']['estimate']:+.3f} [" in decision.reason
    assert "rows by itself" not in decision.reason


def test_a_baseline_at_the_floor_or_saturated_is_named_once() -> None:
    floor = decide(FIG7, replaced(evaluations(BEATEN), "base", "rows_hard", 0), 8, BOOTSTRAP).reason
    assert floor.count("base is at the floor on rows_hard (Pass@8 0.0%), where a comparison shows little") == 1
    full = decide(FIG7, replaced(evaluations(BEATEN), "base", "rows", 16), 8, BOOTSTRAP).reason
    assert full.count("base is saturated on rows (Pass@8 100.0%), where nothing can lead by much") == 1
    plain = decide(FIG7, evaluations(BEATEN), 8, BOOTSTRAP).reason
    assert "at the floor on rows (mG-Pass@8 0.0%), rows_hard (mG-Pass@8 0.0%), where" in plain  # 16 samples, few right
    assert "(Pass@8" not in plain and "saturated" not in plain


def test_seeds_count() -> None:
    one, three = (decide(FIG7, evaluations(BEATEN, seeds=seeds), 8, BOOTSTRAP) for seeds in (1, 3))
    assert one.full_reason().endswith(ONE_SEED) and not three.full_reason().endswith(ONE_SEED)
    swapped = pl.col("model").replace({"base": "sft_long", "sft_long": "base"})
    disagree = evaluations(BEATEN, seeds=3).with_columns(
        model=pl.when(pl.col("seed") == 2).then(swapped).otherwise("model")
    )
    assert (three.verdict, decide(FIG7, disagree, 8, BOOTSTRAP).verdict) == ("holds", "inconclusive")
