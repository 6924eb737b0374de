import re

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from synthetic import SETTINGS, curves

from raml.claims.curve_trend import decide, trajectory_trends
from raml.claims.decision import judge
from raml.claims.sections import CurveTrend
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap
from raml.schemas import ProbeCurve

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
FIG3 = CurveTrend(
    name="curve_trend", model="sft_long", trajectories="correct", direction="falls",
    minimal_effect=0.3, min_questions=20, min_positions=5, why="-",
)  # fmt: skip
FIG16 = FIG3.model_copy(update={"trajectories": "incorrect", "direction": "does_not_fall"})


@pytest.mark.parametrize(
    ("slope", "falls", "does_not_fall"),
    [
        (-4.0, "holds", "contradicted"),
        (0.0, "contradicted", "holds"),
        (4.0, "contradicted", "holds"),
        (-0.6, "inconclusive", "inconclusive"),  # its mean rho is close to the line of -0.3
    ],
)
def test_verdicts_follow_the_data(slope: float, falls: str, does_not_fall: str) -> None:
    correct, incorrect = (curves(slope, correct=correct) for correct in (True, False))
    assert decide(FIG3, correct, BOOTSTRAP).verdict == falls
    assert decide(FIG16, incorrect, BOOTSTRAP).verdict == does_not_fall


def test_few_questions_are_inconclusive_however_clear_their_curves() -> None:
    decision = decide(FIG3, curves(-4.0, correct=True, questions=19), BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "19 questions; the test asks for at least 20" in decision.reason
    assert decision.estimate and decision.estimate.upper < -0.3


def test_of_several_models_only_the_tests_own_counts() -> None:
    both = pl.concat([curves(-4.0, correct=True), curves(4.0, correct=True, model="base")])
    assert decide(FIG3, both, BOOTSTRAP) == decide(FIG3, curves(-4.0, correct=True), BOOTSTRAP)
    base = FIG3.model_copy(update={"model": "base"})
    assert decide(base, both, BOOTSTRAP).verdict == "contradicted"


def test_a_model_that_is_not_probed_is_not_run() -> None:
    decision = decide(FIG3.model_copy(update={"model": "sft_short"}), curves(-4.0, correct=True), BOOTSTRAP)
    assert (decision.verdict, decision.reason) == ("not_run", "this scale has no answer-NLL curves of sft_short")
    assert decision.estimate is None and decision.n == {}


@pytest.mark.parametrize("questions", [0, 1])
def test_almost_nothing_measured_is_inconclusive_without_numbers(questions: int) -> None:
    few = curves(-4.0, correct=False, questions=questions)
    decision = decide(FIG16, pl.concat([few, curves(-4.0, correct=True)]), BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert decision.estimate is None
    assert decision.n["questions"] == questions


def test_each_claim_reads_its_own_trajectories() -> None:
    both = pl.concat([curves(-4.0, correct=True), curves(0.0, correct=False)])
    fig3, fig16 = decide(FIG3, both, BOOTSTRAP), decide(FIG16, both, BOOTSTRAP)
    assert (fig3.verdict, fig16.verdict) == ("holds", "holds")
    assert fig3.n == {"questions": 40, "trajectories": 80, "seeds": 1, "positions": 80 * 30}
    difference = fig16.details["difference_to_the_other_trajectories"]
    assert difference["questions"] == 40  # type: ignore[index]
    assert difference["rho"]["lower"] > 0.5  # type: ignore[index]
    assert difference["nll_end"]["estimate"] == pytest.approx(4, abs=0.3)  # type: ignore[index]


def test_details_give_the_fall_in_nats_and_when_it_happens() -> None:
    details = decide(FIG3, curves(-4.0, correct=True, noise=0.0, positions=41), BOOTSTRAP).details
    assert details["nll_start"] == {"estimate": 5.0, "lower": 5.0, "upper": 5.0}
    assert details["nll_end"] == {"estimate": 1.0, "lower": 1.0, "upper": 1.0}
    assert details["nll_change"]["estimate"] == -4  # type: ignore[index]
    assert details["share_of_the_fall_by"] == pytest.approx({"quarter": 0.25, "half": 0.5, "three_quarters": 0.75})
    assert details["share_of_trajectories_that_end_lower"] == 1
    assert decide(FIG3, curves(4.0, correct=True), BOOTSTRAP).details["share_of_the_fall_by"] is None


def test_questions_count_equally_however_many_trajectories_they_have() -> None:
    falling = curves(-4.0, correct=True, questions=40, trajectories=1)
    many = curves(4.0, correct=True, questions=1, trajectories=200).with_columns(
        pl.format("{}/more", "trajectory_id").alias("trajectory_id")
    )
    assert decide(FIG3, pl.concat([falling, many]), BOOTSTRAP).verdict == "holds"


def test_each_benchmark_is_judged_by_the_same_line_and_named_if_it_lies_on_the_other_side() -> None:
    falling = curves(-4.0, correct=True, questions=60)
    flat = curves(0.0, correct=True, questions=25, benchmark="path")
    decision = decide(FIG3, pl.concat([falling, flat]), BOOTSTRAP)
    assert decision.verdict == "holds"
    found = decision.details["benchmarks"]
    assert list(found) == ["path", "rows"]  # type: ignore[call-overload]
    assert found["path"]["verdict"] == "contradicted" and found["rows"]["verdict"] == "holds"  # type: ignore[index]
    assert (found["path"]["questions"], found["path"]["trajectories"]) == (25, 50)  # type: ignore[index]
    rho = found["path"]["rho"]  # type: ignore[index]
    assert rho["lower"] > -0.3
    clause = f"path by itself: {rho['estimate']:+.3f} [{rho['lower']:+.3f}, {rho['upper']:+.3f}], short of the line"
    assert clause in decision.reason and "rows by itself" not in decision.reason

    steep = curves(-4.0, correct=True, questions=25, benchmark="path")
    mostly_flat = pl.concat([curves(0.0, correct=True, questions=60), steep])
    assert re.search(r"path by itself: -0\.\d+ \[.*\], past the line", decide(FIG3, mostly_flat, BOOTSTRAP).reason)


def test_a_benchmark_with_few_questions_is_not_named() -> None:
    few = curves(0.0, correct=True, questions=19, benchmark="path")
    decision = decide(FIG3, pl.concat([curves(-4.0, correct=True), few]), BOOTSTRAP)
    assert decision.details["benchmarks"]["path"]["verdict"] == "inconclusive"  # type: ignore[index]
    assert "path" not in decision.reason


def test_a_benchmark_by_itself_leaves_the_pooled_numbers_as_they_are() -> None:
    one = curves(-4.0, correct=True)
    two = one.with_columns(
        benchmark=pl.when(pl.col("question_id") < "q020").then(pl.lit("path")).otherwise("benchmark")
    )
    assert decide(FIG3, one, BOOTSTRAP).estimate == decide(FIG3, two, BOOTSTRAP).estimate


def test_a_mean_curve_that_first_rises_is_said_to() -> None:
    hump = curves(-4.0, correct=True, noise=0.1)
    share = pl.col("position") / pl.col("length")
    late = hump.with_columns(nll=pl.when(share < 0.6).then(5 + share).otherwise("nll"))
    assert decide(FIG3, late, BOOTSTRAP).reason.endswith(
        "; the mean curve first rises and after half of the trajectory is above its start"
    )
    early = hump.with_columns(nll=pl.when(share.is_between(0.1, 0.4)).then(6.0).otherwise("nll"))
    assert "after a quarter of the trajectory is above its start" in decide(FIG3, early, BOOTSTRAP).reason
    for slope in (-4.0, 0.0, 4.0):  # a fall, noise, and a rise that no fall follows
        assert "first rises" not in decide(FIG3, curves(slope, correct=True), BOOTSTRAP).reason


def test_short_curves_are_left_out_and_counted() -> None:
    short = curves(4.0, correct=True, positions=4).with_columns(
        pl.format("{}/short", "trajectory_id").alias("trajectory_id")
    )
    decision = decide(FIG3, pl.concat([curves(-4.0, correct=True), short]), BOOTSTRAP)
    assert decision.verdict == "holds"
    assert decision.details["curves_left_out_as_too_short"] == 80


def test_seeds_that_disagree_leave_the_claim_open() -> None:
    falling, rising = curves(-4.0, correct=True, seeds=3), curves(4.0, correct=True, seeds=3)
    mixed = pl.concat([falling.filter(pl.col("seed") < 2), rising.filter(pl.col("seed") == 2)])
    assert decide(FIG3, falling, BOOTSTRAP).verdict == "holds"
    assert decide(FIG3, mixed, BOOTSTRAP).verdict == "inconclusive"


def test_rho_equals_scipys_with_ties_and_is_zero_on_a_constant_curve() -> None:
    rng = np.random.default_rng(0)
    frame = curves(0.0, correct=True, questions=5, trajectories=1, positions=40)
    frame = frame.with_columns(nll=pl.Series(rng.integers(0, 6, frame.height).astype(float)))
    frame = frame.with_columns(nll=pl.when(pl.col("question_id") == "q004").then(2.0).otherwise("nll"))
    trends = trajectory_trends(frame.sample(fraction=1, shuffle=True, seed=0))  # rows in any order
    for row in trends.iter_rows(named=True):
        nll = frame.filter(pl.col("question_id") == row["question_id"]).sort("position")["nll"].to_numpy()
        expected = 0.0 if row["question_id"] == "q004" else spearmanr(np.arange(40), nll).statistic
        assert row["rho"] == pytest.approx(expected, abs=1e-12)
        assert (row["start"], row["end"], row["positions"]) == (nll[0], nll[-1], 40)


def test_no_thinking_curves_do_not_count() -> None:
    other = curves(4.0, correct=True).with_columns(mode=pl.lit("no_thinking").cast(ProbeCurve.mode.dtype))
    both = pl.concat([curves(-4.0, correct=True), other])
    assert decide(FIG3, both, BOOTSTRAP).n["trajectories"] == 80


def test_curves_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(DataError, match="lacks position 0"):
        trajectory_trends(curves(-4.0, correct=True).filter(pl.col("position") > 0))
    with pytest.raises(DataError, match="of one model, found base, sft_long"):
        trajectory_trends(pl.concat([curves(-4.0, correct=True), curves(-4.0, correct=True, model="base")]))


def test_a_mean_on_the_line_seldom_decides() -> None:
    """The false `holds` of fig3, with a true mean rho just where it stops being one: 2.5% by design."""
    rng = np.random.default_rng(0)
    holds = sum(
        judge(Bootstrap(data_set, 500, 0.95).mean(rng.normal(-0.3, 0.25, size=(1, 40))), "below", -0.3, 40, 20)[0]
        == "holds"
        for data_set in range(200)
    )
    assert holds <= 12  # 5 are expected, more than 12 have a chance under 0.3%
