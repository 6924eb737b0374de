"""The test `landscape_descent` decides by where curves start and end on their landscapes."""

import polars as pl
import pytest
from landscapes import bowls, falling
from synthetic import SETTINGS

from raml.claims.landscape_descent import decide, descents
from raml.claims.sections import LandscapeDescent
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
FIG2 = LandscapeDescent(name="landscape_descent", minimal_effect=0.25, min_questions=20, why="-")


@pytest.mark.parametrize(
    ("slope", "verdict"), [(-4.5, "holds"), (-2.0, "contradicted"), (0.0, "contradicted"), (4.0, "contradicted")]
)
def test_verdicts_follow_the_data(slope: float, verdict: str) -> None:
    assert decide(FIG2, falling(slope, correct=True), bowls(40), BOOTSTRAP).verdict == verdict


def test_the_descent_is_counted_in_grid_points_strictly_lower() -> None:
    table = descents(falling(-4.0, correct=True, questions=1, trajectories=1), bowls(1))
    (row,) = table.iter_rows(named=True)
    assert (row["start"], row["end"]) == (5.0, 1.0)
    assert row["lower_than_start"] == 50 / 121  # 0.0 to 4.9
    assert row["lower_than_end"] == pytest.approx(10 / 121)
    assert row["descent"] == pytest.approx(40 / 121)
    assert row["reached"] == 1.0
    below = descents(
        falling(-5.0, correct=True, questions=1, trajectories=1), bowls(1).with_columns(pl.col("nll") + 2.5)
    )
    assert 0 < below["reached"][0] < 1 and below["lower_than_end"][0] == 0 and below["ends_below"][0] == 1
    assert row["ends_below"] == 0


def test_only_the_landscapes_own_model_seed_questions_and_thinking_mode_count() -> None:
    own = falling(-4.5, correct=True)
    others = [
        falling(4.0, correct=True, model="base"),
        falling(4.0, correct=True).with_columns(pl.lit(5, dtype=pl.Int64).alias("seed")),
        falling(4.0, correct=True).with_columns(pl.lit("no_thinking").cast(own["mode"].dtype).alias("mode")),
        falling(4.0, correct=True, benchmark="path"),
    ]
    alone = decide(FIG2, own, bowls(30), BOOTSTRAP)
    assert decide(FIG2, pl.concat([own, *others]), bowls(30), BOOTSTRAP) == alone
    assert alone.n == {"questions": 30, "trajectories": 60, "seeds": 1, "grid_points": 30 * 121}


def test_few_questions_are_inconclusive() -> None:
    decision = decide(FIG2, falling(-4.5, correct=True), bowls(19), BOOTSTRAP)
    assert decision.verdict == "inconclusive"
    assert "19 questions; the test asks for at least 20" in decision.reason


def test_without_landscapes_nothing_is_decided() -> None:
    decision = decide(FIG2, falling(-4.0, correct=True), bowls(0), BOOTSTRAP)
    assert (decision.verdict, decision.estimate) == ("not_run", None)
    assert "no landscapes" in decision.reason


def test_a_start_on_low_ground_is_named() -> None:
    low = bowls(40).with_columns(pl.col("nll") + 3)
    decision = decide(FIG2, falling(-4.5, correct=True), low, BOOTSTRAP)
    assert decision.verdict == "contradicted"
    assert (
        "only 16.5% of the grid lies lower than the start, so no trajectory could descend that far" in decision.reason
    )
    assert "100% of the trajectories end below the landscape's lowest point" in decision.reason
    assert decision.details["share_that_ends_below_the_landscape"]["estimate"] == 1.0  # type: ignore[index]
    assert "only" not in decide(FIG2, falling(-2.0, correct=True), bowls(40), BOOTSTRAP).reason


def test_details_give_both_ends_the_levels_and_the_incorrect_trajectories() -> None:
    both = pl.concat([falling(-4.0, correct=True), falling(-1.0, correct=False, questions=30)])
    details = decide(FIG2, both, bowls(40), BOOTSTRAP).details
    shares = details["share_of_the_grid_lower_than"]
    assert shares["start"]["estimate"] == pytest.approx(50 / 121)  # type: ignore[index]
    assert shares["end"]["estimate"] == pytest.approx(10 / 121)  # type: ignore[index]
    levels = details["landscape_nll"]
    assert [levels[name]["estimate"] for name in ("centre", "lowest", "highest")] == [5.0, 0.0, 12.0]  # type: ignore[index]
    assert details["share_of_positions_within_the_landscape"]["estimate"] == 1.0  # type: ignore[index]
    other = details["incorrect_trajectories_of_the_same_questions"]
    assert (other["questions"], other["trajectories"]) == (30, 60)  # type: ignore[index]
    assert other["descent"]["estimate"] == pytest.approx(10 / 121)  # type: ignore[index]
    assert other["correct_less_incorrect"]["estimate"] == pytest.approx(30 / 121)  # type: ignore[index]


def test_each_benchmark_is_judged_by_the_same_line() -> None:
    curves = pl.concat([falling(-4.5, correct=True, questions=25), falling(4.0, correct=True, benchmark="path")])
    landscape = pl.concat([bowls(25), bowls(25, benchmark="path")])
    decision = decide(FIG2, curves, landscape, BOOTSTRAP)
    verdicts = {name: row["verdict"] for name, row in decision.details["benchmarks"].items()}  # type: ignore[attr-defined]
    assert verdicts == {"path": "contradicted", "rows": "holds"}
    assert "rows by itself" in decision.reason


def test_seeds_and_curves_are_checked() -> None:
    curves, landscape = falling(-4.5, correct=True, seeds=2), bowls(40, seeds=2)
    assert decide(FIG2, curves, landscape, BOOTSTRAP).n["seeds"] == 2
    with pytest.raises(DataError, match="landscapes must be of one model, found base, sft_long"):
        decide(FIG2, curves, pl.concat([landscape, bowls(2, model="base")]), BOOTSTRAP)
    with pytest.raises(DataError, match="lacks position 0"):
        decide(FIG2, curves.filter(pl.col("position") > 0), landscape, BOOTSTRAP)
