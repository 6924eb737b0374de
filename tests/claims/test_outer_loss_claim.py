from typing import Any

import numpy as np
import polars as pl
import pytest
from synthetic import SETTINGS

from raml.claims.decision import ONE_SEED, Decision
from raml.claims.outer_loss import decide
from raml.claims.sections import OuterLossFalls, TechniqueRun
from raml.evaluation.intervals import Bootstrap
from raml.schemas import Evaluation, OuterLoss

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
SFT = TechniqueRun(technique="SFT", model="sft_long", start="base", source="oracle")
RL = TechniqueRun(technique="on-policy RL", model="zero_grpo", start="base", source="own")
TAB1 = OuterLossFalls(
    name="outer_loss", techniques=[SFT, RL], kinds=["in_domain", "in_domain_hard"], minimal_effect=0.05,
    min_questions=20, why="-",
)  # fmt: skip
KINDS = {"rows": "in_domain", "rows_hard": "in_domain_hard", "path_back": "within_domain"}
FALLING = {"base": (2.0, 6.0), "sft_long": (1.0, 3.0), "zero_grpo": (1.8, 4.0)}


def samples(finished: dict[str, int]) -> pl.DataFrame:
    """Evaluations of models of whose 16 samples on each question so many ended; on another benchmark none did."""
    rows = [
        {
            "model": model, "seed": 0, "benchmark": benchmark, "kind": kind, "question_id": f"{benchmark}-{question}",
            "n": 16, "c": 0, "formatted": 0, "finished": ended if kind != "within_domain" else 0, "tokens": 0,
        }
        for model, ended in finished.items()
        for benchmark, kind in KINDS.items()
        for question in range(3)
    ]  # fmt: skip
    return Evaluation.cast(pl.DataFrame(rows))


SAMPLES = samples(dict.fromkeys(FALLING, 16))


def techniques(decision: Decision) -> list[dict[str, Any]]:
    return decision.details["techniques"]  # type: ignore[return-value]


def losses(
    means: dict[str, tuple[float, float]],
    *,
    questions: int = 30,
    seeds: int = 1,
    noise: float = 0.3,
    benchmarks: tuple[str, ...] = ("rows", "rows_hard"),
) -> pl.DataFrame:
    """Each model's mean NLL after oracle and after own trajectories; without one 1 nat more than after oracle ones.

    Of a question there are two trajectories a source, of the own ones the second is wrong and 2 nats worse.
    """
    rng = np.random.default_rng(0)
    hardness = rng.gamma(2.0, 0.5, size=questions)
    rows = []
    for model, by_source in means.items():
        for source, mean in zip(("oracle", "own"), by_source, strict=True):
            for seed in range(seeds):
                for benchmark in benchmarks:
                    for question in range(questions):
                        for number in range(2):
                            wrong = source == "own" and number == 1
                            shift = (1.0 if wrong else -1.0) * (source == "own") + noise * rng.standard_normal()
                            rows.append(
                                {
                                    "model": model, "seed": seed, "benchmark": benchmark, "kind": KINDS[benchmark],
                                    "question_id": f"{benchmark}-{question}", "source": source,
                                    "trajectory": f"{model if source == 'own' else 'oracle_long'}/{number}",
                                    "correct": not wrong, "length": 40,
                                    "nll": max(0.0, mean + hardness[question] - 1 + shift),
                                    "nll_without": by_source[0] + 1.0,
                                }
                            )  # fmt: skip
    return OuterLoss.cast(pl.DataFrame(rows))


@pytest.mark.parametrize(("grpo", "verdict"), [(4.0, "holds"), (5.95, "inconclusive"), (7.0, "contradicted")])
def test_the_worst_technique_decides_and_is_shown(grpo: float, verdict: str) -> None:
    decision = decide(TAB1, losses(FALLING | {"zero_grpo": (1.8, grpo)}), SAMPLES, BOOTSTRAP)
    assert decision.verdict == verdict
    sft, rl = techniques(decision)
    assert (sft["verdict"], rl["verdict"]) == ("holds", verdict)
    assert decision.unit == "nats per answer token"
    if verdict != "holds":
        assert decision.estimate and decision.estimate.estimate == rl["fall"]["estimate"]
    assert decision.n == {"questions": 60, "trajectories": 3 * 2 * 60 * 2, "seeds": 1}
    assert "SFT (base to sft_long): fall +1." in decision.reason
    assert "without a trajectory +1.000 [+1.000, +1.000]" in decision.reason
    assert decision.full_reason().endswith(ONE_SEED)


def test_each_technique_is_judged_after_trajectories_of_its_own_source() -> None:
    table = losses(FALLING, noise=0.0)
    sft, rl = techniques(decide(TAB1, table, SAMPLES, BOOTSTRAP))
    assert sft["fall"]["estimate"] == pytest.approx(1.0, abs=0.02)
    assert rl["fall"]["estimate"] == pytest.approx(2.0, abs=0.02)
    assert rl["fall_by_source"]["own"] == rl["fall"]
    assert rl["fall_by_source"]["oracle"]["estimate"] == pytest.approx(0.2, abs=0.02)
    assert rl["nll"]["start"]["estimate"] - rl["nll"]["model"]["estimate"] == pytest.approx(rl["fall"]["estimate"])
    assert rl["fall_without_a_trajectory"]["estimate"] == pytest.approx(0.2)
    assert rl["fall_after_own_trajectories_that_are"]["incorrect"]["estimate"] == pytest.approx(2.0, abs=0.02)
    assert rl["share_of_correct_trajectories"] == {"start": 0.5, "model": 0.5}


def test_writing_more_right_trajectories_counts_as_a_fall() -> None:
    table = losses({"base": (2.0, 6.0), "zero_grpo": (2.0, 6.0)}, noise=0.0)
    improved = (pl.col("model") != "zero_grpo") | pl.col("correct")
    only_rl = TAB1.model_copy(update={"techniques": [RL]})
    decision = decide(only_rl, table.filter(improved), SAMPLES, BOOTSTRAP)
    assert decision.verdict == "holds"
    [rl] = techniques(decision)
    assert rl["fall_after_own_trajectories_that_are"]["correct"]["estimate"] == 0
    assert rl["fall_after_own_trajectories_that_are"]["incorrect"] is None
    assert rl["share_of_correct_trajectories"] == {"start": 0.5, "model": 1.0}


def test_questions_that_only_one_model_has_a_trajectory_of_do_not_count() -> None:
    table = losses(FALLING)
    lost = (pl.col("model") == "zero_grpo") & (pl.col("source") == "own") & pl.col("question_id").str.contains("-1")
    decision = decide(TAB1, table.filter(~lost), SAMPLES, BOOTSTRAP)
    sft, rl = techniques(decision)
    assert (sft["questions"], rl["questions"], decision.n["questions"]) == (60, 38, 38)


@pytest.mark.parametrize("absent", ["base", "zero_grpo"])
def test_what_is_not_measured_is_named_with_its_source(absent: str) -> None:
    table = losses(FALLING).filter((pl.col("model") != absent) | (pl.col("source") != "own"))
    decision = decide(TAB1, table, SAMPLES, BOOTSTRAP)
    assert decision.verdict == "not_run"
    assert f"no outer loss of {absent} (own) on benchmarks of kind" in decision.reason
    assert decide(TAB1, OuterLoss.create_empty(), SAMPLES, BOOTSTRAP).verdict == "not_run"


def test_few_questions_are_inconclusive() -> None:
    decision = decide(TAB1, losses(FALLING, questions=9), SAMPLES, BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "18 questions; the test asks for at least 20" in decision.reason


def test_benchmarks_of_other_kinds_do_not_count_and_hidden_ones_are_named() -> None:
    table = losses(FALLING, benchmarks=("rows", "rows_hard", "path_back"))
    worse = pl.col("nll") + pl.when((pl.col("model") == "sft_long") & (pl.col("benchmark") != "rows")).then(
        1.5
    ).otherwise(0)
    decision = decide(TAB1, table.with_columns(nll=worse), SAMPLES, BOOTSTRAP)
    [sft, _] = techniques(decision)
    assert set(sft["benchmarks"]) == {"rows", "rows_hard"} and sft["questions"] == 60
    assert sft["benchmarks"]["rows_hard"]["verdict"] == "contradicted"
    assert f"rows_hard by itself: {sft['benchmarks']['rows_hard']['fall']['estimate']:+.3f} [" in decision.reason
    assert "rows by itself" not in decision.reason


def test_seeds_that_disagree_leave_the_claim_open() -> None:
    agree = losses(FALLING, seeds=3)
    swapped = pl.col("model").replace({"base": "zero_grpo", "zero_grpo": "base"})
    disagree = agree.with_columns(model=pl.when(pl.col("seed") == 2).then(swapped).otherwise("model"))
    only_rl = TAB1.model_copy(update={"techniques": [RL]})
    assert decide(only_rl, agree, SAMPLES, BOOTSTRAP).verdict == "holds"
    assert not decide(only_rl, agree, SAMPLES, BOOTSTRAP).full_reason().endswith(ONE_SEED)
    assert decide(only_rl, disagree, SAMPLES, BOOTSTRAP).verdict == "inconclusive"


def test_the_share_of_samples_that_the_limit_cut_off_is_said() -> None:
    decision = decide(TAB1, losses(FALLING), samples({"base": 12, "zero_grpo": 16}), BOOTSTRAP)
    sft, rl = techniques(decision)
    assert rl["share_of_samples_cut_off"] == {"start": 0.25, "model": 0.0}
    assert sft["share_of_samples_cut_off"] == {"start": 0.25, "model": None}
    assert "of the samples of base and zero_grpo 25.0% and 0.0% are cut off and left out" in decision.reason
    assert "base and sft_long" not in decision.reason  # nothing is sampled for its source
