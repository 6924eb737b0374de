import polars as pl
import pytest
from synthetic import SETTINGS, evaluations

from raml.claims.best_or_level import decide
from raml.claims.sections import BestOrLevel
from raml.evaluation.intervals import Bootstrap
from raml.evaluation.summarise import summarise

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
TAB2 = BestOrLevel(
    name="best_or_level", model="sft_long", baseline="sft_short", kinds=["in_domain", "in_domain_hard"],
    margin=0.02, min_questions=20, why="-",
)  # fmt: skip


@pytest.mark.parametrize(
    ("short", "long", "verdict", "better"),
    [
        (0.2, 0.6, "holds", True),
        (0.6, 0.2, "contradicted", False),
        (0.3, 0.3, "inconclusive", False),
        (0.0, 0.0, "inconclusive", False),  # level at the floor
        (1.0, 1.0, "inconclusive", False),  # level at the ceiling
    ],
)
def test_verdicts_follow_the_data(short: float, long: float, verdict: str, better: bool) -> None:
    decision = decide(TAB2, evaluations({"sft_short": short, "sft_long": long}), 8, BOOTSTRAP)
    assert decision.verdict == verdict
    assert ("strictly better" in decision.reason) == better
    assert decision.details["Pass@8"]["strictly_better"] is better  # type: ignore[index]
    assert decision.n == {"questions": 120, "samples": 120 * 2 * 16, "seeds": 1}


def test_one_contradicted_metric_contradicts_the_claim_and_is_shown() -> None:
    # All or nothing against always a little: long loses Pass@8 and wins mG-Pass@8.
    table = evaluations({"sft_short": 0.3, "sft_long": 0.3}, questions=200)
    extreme = (pl.col("question_id").str.extract(r"-(\d+)$").cast(pl.Int32) % 2 * 16).cast(pl.Int32)
    table = table.with_columns(c=pl.when(pl.col("model") == "sft_long").then(extreme).otherwise("c"))
    decision = decide(TAB2, table, 8, BOOTSTRAP)
    assert decision.details["Pass@8"]["verdict"] == "contradicted"  # type: ignore[index]
    assert decision.details["mG-Pass@8"]["verdict"] == "holds"  # type: ignore[index]
    assert decision.verdict == "contradicted"
    assert decision.unit == "difference in Pass@8"
    assert decision.estimate and decision.estimate.upper < -TAB2.margin


@pytest.mark.parametrize(
    ("skill", "where"), [(0.0, "at the floor (0.0% and 0.0%)"), (1.0, "saturated (100.0% and 100.0%)")]
)
def test_level_for_lack_of_information_is_said(skill: float, where: str) -> None:
    decision = decide(TAB2, evaluations({"sft_short": skill, "sft_long": skill}), 8, BOOTSTRAP)
    assert f"but both models are {where}, where level shows nothing" in decision.reason


def test_level_and_known_to_be_holds() -> None:
    table = evaluations({"sft_short": 0.5})
    table = table.with_columns(c=pl.when(pl.col("question_id").str.ends_with("1")).then(0).otherwise(16).cast(pl.Int32))
    both = pl.concat([table, table.with_columns(model=pl.lit("sft_long"))])
    assert decide(TAB2, both, 8, BOOTSTRAP).verdict == "holds"


def test_few_questions_are_inconclusive() -> None:
    table = evaluations({"sft_short": 0.0, "sft_long": 1.0}, questions=9)
    decision = decide(TAB2, table, 8, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "18 questions; the test asks for at least 20" in decision.reason


def test_only_benchmarks_of_the_trained_domain_count() -> None:
    table = evaluations({"sft_short": 0.2, "sft_long": 0.6}, benchmarks=("rows", "rows_hard", "path"))
    away = (pl.col("benchmark") == "path") & (pl.col("model") == "sft_long")
    table = table.with_columns(c=pl.when(away).then(0).otherwise("c").cast(pl.Int32))
    decision = decide(TAB2, table, 8, BOOTSTRAP)
    assert decision.verdict == "holds"
    assert set(decision.details["Pass@8"]["benchmarks"]) == {"rows", "rows_hard"}  # type: ignore[index]


def test_benchmarks_that_the_pooled_mean_hides_are_named() -> None:
    table = evaluations({"sft_short": 0.3, "sft_long": 0.9}, questions=200)
    worse = (pl.col("benchmark") == "rows_hard") & (pl.col("model") == "sft_long")
    table = table.with_columns(c=pl.when(worse & (pl.col("c") > 0)).then(1).otherwise("c").cast(pl.Int32))
    decision = decide(TAB2, table, 8, BOOTSTRAP)
    found = {metric: decision.details[metric]["benchmarks"] for metric in ("Pass@8", "mG-Pass@8")}  # type: ignore[index]
    assert found["Pass@8"]["rows_hard"]["verdict"] == "contradicted"
    assert found["Pass@8"]["rows"]["verdict"] == "holds" and found["Pass@8"]["rows"]["questions"] == 200
    difference = found["Pass@8"]["rows_hard"]["difference"]
    assert f"rows_hard by itself: {difference['estimate']:+.3f} [" in decision.reason
    assert "], below -0.02" in decision.reason
    assert "rows by itself" not in decision.reason

    level = evaluations({"sft_short": 0.3, "sft_long": 0.3})
    assert "rows by itself" in decide(TAB2, level, 8, BOOTSTRAP).reason
    assert "], spans -0.02" in decide(TAB2, level, 8, BOOTSTRAP).reason


def test_a_baseline_at_the_floor_is_named() -> None:
    table = evaluations({"sft_short": 0.3, "sft_long": 0.6})
    hard = (pl.col("benchmark") == "rows_hard") & (pl.col("model") == "sft_short")
    table = table.with_columns(c=pl.when(hard).then(0).otherwise("c").cast(pl.Int32))
    reason = decide(TAB2, table, 8, BOOTSTRAP).reason
    assert "; sft_short is at the floor on rows_hard (Pass@8 0.0%), where a comparison shows little;" in reason
    assert "(Pass@8" not in decide(TAB2, evaluations({"sft_short": 0.3, "sft_long": 0.6}), 8, BOOTSTRAP).reason


def test_details_agree_with_the_metric_table() -> None:
    table = evaluations({"sft_short": 0.2, "sft_long": 0.6})
    metrics = summarise(table, SETTINGS, BOOTSTRAP.seed)
    details = decide(TAB2, table, 8, BOOTSTRAP).details
    for metric in ("Pass@8", "mG-Pass@8"):
        for benchmark, row in details[metric]["benchmarks"].items():  # type: ignore[index]
            for model in ("sft_short", "sft_long"):
                key = (pl.col("model") == model) & (pl.col("benchmark") == benchmark) & (pl.col("metric") == metric)
                found = metrics.row(by_predicate=key, named=True)
                assert row[model] == {"estimate": found["value"], "lower": found["lower"], "upper": found["upper"]}
            expected = row["sft_long"]["estimate"] - row["sft_short"]["estimate"]
            assert row["difference"]["estimate"] == pytest.approx(expected)


def test_a_scale_without_one_of_the_models_has_not_run_it() -> None:
    decision = decide(TAB2, evaluations({"sft_long": 0.5}), 8, BOOTSTRAP)
    assert decision.verdict == "not_run"
    assert "no evaluations of sft_short" in decision.reason


def test_seeds_that_disagree_leave_the_claim_open() -> None:
    agree = evaluations({"sft_short": 0.2, "sft_long": 0.6}, seeds=3)
    swapped = pl.col("model").replace({"sft_short": "sft_long", "sft_long": "sft_short"})
    disagree = agree.with_columns(model=pl.when(pl.col("seed") == 2).then(swapped).otherwise("model"))
    assert decide(TAB2, agree, 8, BOOTSTRAP).verdict == "holds"
    assert decide(TAB2, disagree, 8, BOOTSTRAP).verdict == "inconclusive"
