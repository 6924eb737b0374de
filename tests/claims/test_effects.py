"""Effects: what is paired, pooled, weighted and counted."""

import numpy as np
import polars as pl
import pytest
from synthetic import BOOTSTRAP, around, quantities, quantity

from raml.claims.effects import ALL, EffectSpec, EffectTable, effect_table, every, pairs
from raml.claims.labels import model_label, pair_label, quantity_label
from raml.evaluation.intervals import bootstrap_mean

NAN = np.nan


def spec(model: str = "a", baseline: str | None = None, *, name: str = "Pass@8", **changes: object) -> EffectSpec:
    return EffectSpec.model_validate({"quantity": name, "model": model, "baseline": baseline, **changes})


def test_a_mean_is_over_questions_of_means_over_seeds_with_the_interval_of_its_cells() -> None:
    cells = np.array([[0.2, 0.4, NAN], [0.4, NAN, 0.9]])
    effect = quantities(quantity("Pass@8", "a", cells)).effect(spec())
    assert effect and effect.interval and effect.estimate == pytest.approx((0.3 + 0.4 + 0.9) / 3)
    assert (effect.questions, effect.seeds, effect.n) == (3, 2, 4 * 16)
    assert effect.means == (pytest.approx(1.6 / 3),)
    plain = bootstrap_mean(cells, seed=0, resamples=1000)
    assert effect.interval == plain.within(0, 1) != plain  # no share lies outside


def test_differences_are_paired_on_shared_seeds_and_questions() -> None:
    one = quantity("Pass@8", "a", [[0.5, 0.7, 0.9, NAN], [0.6, 0.8, 1.0, 0.4]], seeds=[1, 2])
    two = quantity("Pass@8", "b", [[0.0, 0.0, 0.0], [0.1, 0.2, NAN]], seeds=[0, 2])
    effect = quantities(one, two).effect(spec("a", "b"))
    assert effect and effect.estimate == pytest.approx(((0.6 - 0.1) + (0.8 - 0.2)) / 2)
    assert (effect.questions, effect.seeds, effect.n) == (2, 1, 64)
    assert effect.means == (pytest.approx(0.7), pytest.approx(0.15))
    elsewhere = quantity("Pass@8", "c", [[0.0, 0.0]], first=90, seeds=[2])
    apart = quantities(one, elsewhere).effect(spec("a", "c"))
    assert apart and (apart.estimate, apart.interval, apart.questions, apart.seeds) == (None, None, 0, 0)
    assert quantities(one, quantity("Pass@8", "c", [0.5], seeds=[7])).effect(spec("a", "c")) is None  # no common seed


def test_pairing_removes_what_both_share() -> None:
    shared = np.random.default_rng(0).random(60)
    table = quantities(quantity("NLL", "a", shared + around(0.1, 0.01, questions=60)), quantity("NLL", "b", shared))
    alone, paired = table.effect(spec(name="NLL")), table.effect(spec("a", "b", name="NLL"))
    assert alone and paired and alone.interval and paired.interval
    assert paired.interval.upper - paired.interval.lower < 0.01 < alone.interval.upper - alone.interval.lower


def test_the_other_way_round_only_the_sign_changes() -> None:
    table = quantities(quantity("Pass@8", "a", around(0.6)), quantity("Pass@8", "b", around(0.4, seed=1)))
    for interval in ("t", "bca"):
        one, two = (table.effect(spec(*names, interval=interval)) for names in (("a", "b"), ("b", "a")))
        assert one and two and one.interval and two.interval
        assert one.estimate == pytest.approx(0.2) and two.estimate == pytest.approx(-0.2)
        if interval == "bca":  # resampled questions are the same either way; draws of t are not symmetric
            assert (one.interval.lower, one.interval.upper) == pytest.approx((-two.interval.upper, -two.interval.lower))


def test_single_models_are_bca_and_differences_students_t_unless_said_otherwise() -> None:
    skewed = np.random.default_rng(0).gamma(0.3, 0.3, 40).clip(0, 1)
    table = quantities(quantity("Pass@8", "a", skewed), quantity("Pass@8", "b", np.zeros(40)))
    bca, t = (bootstrap_mean(skewed[None], seed=0, resamples=1000, student=student) for student in (False, True))
    assert [table.effect(one).interval for one in (spec(), spec(interval="t"))] == [bca, t]  # type: ignore[union-attr]
    both = [table.effect(one).interval for one in (spec("a", "b", interval="bca"), spec("a", "b"))]  # type: ignore[union-attr]
    assert both == [bca, t] and bca != t


def test_a_share_of_the_baseline_is_subtracted_and_widens_the_range() -> None:
    table = quantities(quantity("Pass@8", "a", around(0.3)), quantity("Pass@8", "b", around(0.4, seed=1)))
    effect = table.effect(spec("a", "b", share=0.5))
    assert effect and effect.estimate == pytest.approx(0.1)
    assert spec("a", "b", share=0.5).range == (-0.5, 1.0) and spec("a", "b").range == (-1, 1) and spec().range == (0, 1)
    assert spec("a", "b", share=0.5).name == "Pass@8 of a less 0.5 x b on all benchmarks"


def test_pools_are_of_domains_and_may_lack_a_benchmark() -> None:
    means = {"rows": 0.1, "path": 0.2, "hard": 0.3, "near": 0.4, "far": 0.5}
    table = quantities(*(quantity("Pass@8", "a", [mean] * 2, benchmark=name) for name, mean in means.items()))
    expected = {
        ALL: 0.3, "trained families": 0.2, "within domain": 0.4, "across domains": 0.5, "path": 0.2,
        "trained families without path": 0.2, "all benchmarks without path, near": 0.3,
        "trained families without rows, path": 0.3,
    }  # fmt: skip
    for over, mean in expected.items():
        effect = table.effect(spec(over=over))
        assert effect and effect.estimate == pytest.approx(mean)
    assert table.effect(spec(over="AIME24")) is None
    assert table.pools(spec(over="trained families without path"), "rows")
    assert not table.pools(spec(over="trained families without path"), "path")
    assert table.places("Pass@8", "a") == [
        "path", "rows", "hard", "far", "near", "trained families", "within domain", "across domains", ALL,
    ]  # fmt: skip


def test_weights_make_a_weighted_mean_and_questions_without_any_do_not_count() -> None:
    value, weight = np.array([[1.0, -1.0, 0.5, 0.0]]), np.array([[0.5, 1.0, 0.25, 0.0]])
    effect = quantities(quantity("trend/Pass@8", "s", value, weights=weight)).effect(spec("s", name="trend/Pass@8"))
    assert effect and effect.estimate == pytest.approx((0.5 - 1 + 0.125) / 1.75)
    assert effect.questions == 1  # as many as their chances of telling models apart add up to
    none = quantities(quantity("trend/Pass@8", "s", value, weights=0.0)).effect(spec("s", name="trend/Pass@8"))
    assert none and (none.estimate, none.interval, none.questions) == (None, None, 0)
    even = quantities(quantity("trend/Pass@8", "s", around(0.2), weights=0.5)).effect(spec("s", name="trend/Pass@8"))
    whole = quantities(quantity("trend/Pass@8", "s", around(0.2))).effect(spec("s", name="trend/Pass@8"))
    assert even and whole and even.interval and whole.interval and even.questions == 15 and whole.questions == 30
    assert even.interval.lower == pytest.approx(whole.interval.lower)


def test_one_question_has_an_estimate_and_no_interval_and_no_rows_have_no_effect() -> None:
    table = quantities(quantity("Pass@8", "a", [[0.25], [0.75]]))
    effect = table.effect(spec())
    assert effect and (effect.estimate, effect.interval, effect.questions, effect.seeds) == (0.5, None, 1, 2)
    assert table.effect(spec("b")) is None and table.effect(spec("a", "b")) is None
    assert table.effect(spec(name="Avg@16")) is None


def test_a_further_quantity_changes_no_interval() -> None:
    rows = quantity("Pass@8", "a", around(0.5, seeds=3))
    more = [quantity("Avg@16", "a", around(0.4)), quantity("Pass@8", "z", around(0.3))]
    assert quantities(rows).effect(spec()) == quantities(*more, rows).effect(spec())


def test_all_effects_and_pairs_in_a_table() -> None:
    models = ("base", "sft_short", "sft_long", "base_p0", "sft_long/summary", "sft_long/thinking", "sft_long/budget 8")
    table = quantities(
        *(quantity("Avg@16", name, around(0.5), benchmark=where) for name in models for where in ("rows", "far")),
        quantity("NLL@0.50/correct", "sft_long", around(1.0)), quantity("NLL@0.50/correct", "base", around(1.0)),
    )  # fmt: skip
    found = pairs(table, ["base", "sft_short", "sft_long"], [("sft_short", "base_p0")])
    compared = {(one.model, one.baseline) for one in found}
    assert compared == {
        ("sft_long", "sft_short"), ("sft_long", "base"), ("sft_short", "base"), ("sft_short", "base_p0"),
        ("sft_long/thinking", "sft_long/summary"), ("sft_long/thinking", "sft_long"), ("sft_long/summary", "sft_long"),
    }  # fmt: skip
    single = every(table)
    assert len({one.name for one in single}) == len(single) == 7 * 3 + 4 * 2 + 2
    rows = effect_table([*map(table.effect, [*single, *found, found[0]]), None])
    EffectTable.validate(rows)
    assert rows["effect"].is_sorted() and rows.height == len(single) + len(found)
    row = rows.row(by_predicate=pl.col("effect") == "Avg@16 of base on rows", named=True)
    plain = bootstrap_mean(around(0.5), seed=BOOTSTRAP.seed, resamples=1000)
    assert (row["estimate"], row["lower"], row["upper"]) == pytest.approx((plain.estimate, plain.lower, plain.upper))
    assert row["between_questions"] == pytest.approx(around(0.5).var(ddof=1)) and row["noise"] == 0.0


def test_labels_for_people() -> None:
    assert pair_label(spec("sft_long", "sft_short")) == "SFT long less SFT short"
    assert pair_label(spec("sft_long/no_thinking", "sft_long")) == "SFT long (no-thinking mode less thinking mode)"
    kept = spec("sft_long/summary", "sft_long/thinking", share=0.5)
    assert pair_label(kept) == "SFT long (summary less 50% of whole thinking)"
    assert quantity_label("half fall/correct") == "first half-way crossing (correct trajectories)"
    assert model_label("zero_grpo_p0_5") == "Zero-GRPO (0.5% long)" and quantity_label("Pass@8") == "Pass@8"
