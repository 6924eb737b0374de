"""Quantities of each measurement table, against the obvious way to compute them."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from dose_response import K, correct
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, rankdata, spearmanr
from synthetic import curve, evaluations, tokens, update, updates

from forced_answers import AFTER, forced_answers
from raml.errors import DataError
from raml.evaluation.metrics import mg_pass_at_k, pass_at_k
from raml.quantities.curves import curve_quantities
from raml.quantities.landscape import landscape_quantities
from raml.quantities.outer import outer_quantities
from raml.quantities.ranks import blocks, rank, spearman, thinned
from raml.quantities.roles import role_quantities, superiority
from raml.quantities.scores import answer_quantities, score_quantities, trend_quantities
from raml.quantities.table import QUANTITIES, base_name, tables_of
from raml.quantities.updates import block_quantities, update_directions, update_quantities
from raml.runs import Series
from raml.schemas import BlockResidual, LandscapePoint, OuterLoss

METRICS = (pass_at_k, mg_pass_at_k)


def values(table: pl.DataFrame, quantity: str, model: str | None = None, column: str = "value") -> list[Any]:
    """Of a quantity in order of model, seed and question."""
    rows = table.filter(pl.col("quantity") == quantity, pl.col("model") == model if model else True)
    return rows.sort("model", "seed", "question_id")[column].to_list()


# curves


@pytest.mark.parametrize(
    ("nll", "first", "last"),
    [
        ((4, 3, 2, 1, 0), 0.5, 0.5),
        ((4, 4, 4, 4, 0), 1.0, 1.0),
        ((4, 0, 4, 4, 0), 0.25, 1.0),  # the first time, even if the curve rises again
        ((4, 0, 4, 2, 0), 0.25, 0.75),  # exactly half way is no longer above
        ((2, 6, 5, 1, 0), 0.75, 0.75),  # first rises; half way is between start and end, not below the peak
        ((4, 4, 3.9, 3.1, 3), 0.75, 0.75),  # half of a small fall
        ((3, 3, 3, 3, 3), 1.0, 1.0),  # constant
        ((3, 1, 1, 1, 3), 1.0, 1.0),  # ends where it starts
        ((3, 0, 0, 0, 4), 1.0, 1.0),  # ends higher
    ],
)
def test_half_of_the_fall_by_hand(nll: tuple[float, ...], first: float, last: float) -> None:
    for stride in (1, 3):
        found = curve_quantities(curve(nll, stride=stride))
        assert values(found, "half fall/correct") == [first] and values(found, "last half fall/correct") == [last]
        assert values(found, "NLL change/correct") == [nll[-1] - nll[0]]
        levels = [values(found, f"NLL@{share:.2f}/correct") for share in (0, 0.5, 1)]
        assert levels == [[nll[0]], [nll[2]], [nll[-1]]] and values(found, "NLL@0.10/correct") == [
            pytest.approx(0.6 * nll[0] + 0.4 * nll[1])
        ]


@given(st.lists(st.floats(0, 20), min_size=5, max_size=30))
def test_crossings_and_rho_by_brute_force(nll: list[float]) -> None:
    found, level = curve_quantities(curve(nll)), (nll[0] + nll[-1]) / 2
    reached = [place for place, value in enumerate(nll) if value <= level]
    staying = [place for place in range(len(nll)) if all(value <= level for value in nll[place:])]
    first, last = (values(found, f"{name} half fall/correct".strip())[0] for name in ("", "last"))
    falls, end = nll[-1] < nll[0], len(nll) - 1
    assert (first, last) == ((reached[0] / end, staying[0] / end) if falls else (1.0, 1.0))
    rho = spearmanr(range(len(nll)), nll).statistic if len(set(nll)) > 1 else 0.0
    assert values(found, "rho/correct")[0] == pytest.approx(rho, abs=1e-9)


def test_noise_makes_the_first_crossing_earlier_and_the_last_one_later() -> None:
    rng = np.random.default_rng(0)
    for deviation, first, last in ((0.05, 0.48, 0.54), (0.3, 0.21, 0.82)):
        noise = deviation * rng.standard_normal((400, 51))
        found = curve_quantities(
            pl.concat([curve(2 - np.linspace(0, 1, 51) + one, number=place) for place, one in enumerate(noise)])
        )
        assert values(found, "half fall/correct") == [pytest.approx(first, abs=0.03)]
        assert values(found, "last half fall/correct") == [pytest.approx(last, abs=0.03)]


def test_curves_are_told_apart_by_outcome_mode_and_question_and_averaged_over_trajectories() -> None:
    falls, rises = (4, 3, 2, 1, 0), (0, 1, 2, 3, 4)
    table = pl.concat(
        [
            curve(falls), curve(rises, number=1), curve(falls, number=2, question_id="rows-001"),
            curve(rises, mode="no_thinking"), curve(rises, number=3, correct=False),
            curve((9, 9, 9, 0), number=4, question_id="rows-002"),  # too short
        ]
    )  # fmt: skip
    found = curve_quantities(table.sample(fraction=1, shuffle=True, seed=0))
    assert values(found, "rho/correct", "sft_long") == [0.0, -1.0]
    assert values(found, "rho/correct", "sft_long", "n") == [2, 1]
    assert values(found, "rho/correct", "sft_long/no_thinking") == values(found, "rho/incorrect", "sft_long") == [1.0]
    assert found.filter(pl.col("question_id") == "rows-002").is_empty()
    with pytest.raises(DataError, match=r"the curve of rows-000/sft_long/0 lacks position 0; probe again"):
        curve_quantities(curve(falls).filter(pl.col("position") > 0))


# landscapes


def grid(levels: Sequence[float], **changes: Any) -> pl.DataFrame:
    side = int(len(levels) ** 0.5)
    axis = np.linspace(-1, 1, side)
    frame = pl.DataFrame(
        {
            "question_id": "rows-000", "benchmark": "rows", "model": "sft_long", "seed": 0,
            "row": np.repeat(np.arange(side), side), "column": np.tile(np.arange(side), side),
            "x": np.tile(axis, side), "y": np.repeat(axis, side), "nll": [float(level) for level in levels],
        }
    )  # fmt: skip
    return LandscapePoint.cast(frame.with_columns(pl.lit(value).alias(key) for key, value in changes.items()))


def test_the_descent_counts_grid_points_strictly_lower() -> None:
    levels = [0, 1, 2, 3, 7, 4, 5, 6, 8]
    found = landscape_quantities(
        pl.concat(
            [
                curve((7, 5, 9, 2)), curve((8, 8, -0.5), number=1, correct=False),
                curve((7, 0), mode="no_thinking", number=2), curve((7, 0), question_id="rows-001"),
                curve((7, 0), number=3, seed=1), curve((7, 0), number=4, model="base"),
            ]
        ),
        grid(levels),
    )  # fmt: skip
    shares = [values(found, f"{name}/correct") for name in ("lower than start", "lower than end", "descent")]
    assert shares == [[pytest.approx(7 / 9)], [pytest.approx(2 / 9)], [pytest.approx(5 / 9)]]
    assert values(found, "reached/correct") == [0.75] and values(found, "ends below/correct") == [0.0]
    assert values(found, "descent/incorrect") == [pytest.approx(8 / 9)] and values(found, "ends below/incorrect") == [
        1.0
    ]
    assert [values(found, f"landscape/{name}") for name in ("centre", "lowest", "highest")] == [[7.0], [0.0], [8.0]]
    with pytest.raises(DataError, match="must be of one model, found base, sft_long"):
        landscape_quantities(curve((7, 0)), pl.concat([grid(levels), grid(levels, model="base")]))
    with pytest.raises(DataError, match="lacks position 0"):
        landscape_quantities(curve((7, 5, 0)).filter(pl.col("position") > 0), grid(levels))


# roles


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 3.0])), st.booleans()), min_size=2, max_size=25
    )
)
def test_superiority_by_brute_force_with_ties_and_undefined_changes(found: list[tuple[float | None, bool]]) -> None:
    table = tokens([one for one, _ in found], ["reflection" if own else "other" for _, own in found])
    own, others = ([one for one, is_own in found if is_own == side and one is not None] for side in (True, False))
    won = [(one > two) + (one == two) / 2 for one in own for two in others]
    of_role = superiority(table, pl.col("role") == "reflection")["superiority"].to_list()
    assert of_role == ([pytest.approx(np.mean(won) - 0.5)] if won else [])


def test_roles_words_and_pooled_changes() -> None:
    one = tokens([0.5, 2.0, 0.1, None], ["other", "reflection", "other", "other"], ["1", "Wait", "2", "3"])
    two = tokens([0.2, 1.0], ["reflection", "other"], ["Hold on", "1"], trajectory_id="u", question_id="rows-001")
    found = role_quantities(pl.concat([two, one]))
    assert values(found, "superiority/reflection") == [0.5, -0.5]
    assert values(found, "superiority/reflection/correct") == [0.5, -0.5]
    assert values(found, "superiority/reflection: Wait") == [0.5] and values(found, "superiority/other") == [-0.5, 0.5]
    assert values(found, "superiority/reflection/incorrect") == []
    assert values(found, "signed change/reflection") == [pytest.approx(2.0), pytest.approx(0.2)]
    assert values(found, "next change/reflection") == [pytest.approx(0.1), pytest.approx(1.0)]  # of its own trajectory
    assert values(found, "relative change/all tokens") == [pytest.approx(2.6 / 3), pytest.approx(0.6)]
    pooled = found.filter(pl.col("quantity").str.starts_with("pooled change/mean/")).sort("quantity")
    assert pooled["quantity"].to_list()[:2] == ["pooled change/mean/all tokens", "pooled change/mean/other"]
    assert pooled["value"][0] == pytest.approx(3.8 / 5) and pooled["n"][0] == 5
    assert set(pooled["question_id"]) == {""}


# weight updates


def test_the_layers_of_an_update_are_one_vector() -> None:
    rows = [
        update(position, layer, descent * (position > 0))
        for position in (0, 5, 20)
        for layer, descent in ((0, 1.2), (1, -0.3))
    ]
    directions = update_directions(updates(rows))
    assert directions["position"].to_list() == [5, 20] and directions["quarter"].to_list() == [1, 4]
    whole = 0.9 / (np.hypot(3, 3) * np.hypot(2, 2))
    assert directions["cosine"].to_list() == pytest.approx([whole] * 2)
    assert directions["first_order"].to_list() == pytest.approx([-0.9] * 2)
    assert directions.select("actual", "agreement").row(0) == (-0.5, 1.0)
    assert update_directions(updates(rows), "layer").filter(layer=0)["cosine"].to_list() == pytest.approx([0.2] * 2)
    still = updates([update(5, 0, 0.0, gradient_norm=0.0)])
    assert update_directions(still)["cosine"].to_list() == [0.0]


def test_updates_by_source_outcome_and_projection() -> None:
    rows = [
        update(5, 0, 0.6), update(20, 0, 1.2, logit_difference=1e-2),
        update(0, 0, 0.0, logit_difference=0.0),
        *(update(5, 0, 0.06 * draw, source="shuffled", draw=draw) for draw in (0, 1)),
        update(5, 0, -0.6, trajectory_id="wrong", correct=False),
        update(5, 0, 0.0, projection="value", update_norm=0.0),
    ]  # fmt: skip
    found = update_quantities(updates(rows))
    assert values(found, "cosine/output/correct", "m") == [pytest.approx(0.15)]
    assert values(found, "cosine/output/correct/quarter 4", "m") == [pytest.approx(0.2)]
    assert values(found, "cosine/output/correct", "m/shuffled") == [pytest.approx(0.005)]
    assert values(found, "cosine/output/incorrect", "m") == [pytest.approx(-0.1)]
    assert values(found, "cosine/output/correct/layer 0", "m") == [pytest.approx(0.15)]
    assert values(found, "logit difference/output/correct", "m") == [pytest.approx(0.0102 / 3)]
    assert values(found, "exact/output/correct", "m") == [pytest.approx(2 / 3)]
    assert values(found, "agreement/output/incorrect", "m") == [0.0]
    assert values(found, "cosine/value/correct", "m") == [0.0]


def test_blocks_of_models_are_of_questions_and_random_ones_of_draws() -> None:
    row = {
        "source": "m", "seed": 0, "draw": 0, "question_id": "rows-000", "layer": 0, "dimension": 16, "prompt_length": 4,
        "construction": "paper", "relative_error": 0.2, "relative_norm": 0.5,
    }  # fmt: skip
    rows = [row, {**row, "layer": 1}, {**row, "source": "random", "question_id": None, "relative_error": 0.4}]
    table = BlockResidual.cast(pl.DataFrame(rows))
    found = block_quantities(table, pl.DataFrame({"question_id": ["rows-000"], "benchmark": ["rows"]}))
    assert found.filter(model="m")["quantity"].to_list().count("block error/paper/layer 0") == 1
    assert values(found, "block error/paper/layer 1") == [0.2]
    assert values(found, "block error/paper/width 16/length 4", "random", "question_id") == ["draw 0"]


# the outer loop


def test_outer_losses_by_source_and_outcome() -> None:
    rows = [
        {
            "model": "m", "seed": 0, "benchmark": "rows", "kind": "in_domain", "question_id": "rows-000",
            "source": source, "trajectory": f"{source}/{place}", "correct": right, "length": 3, "nll": nll,
            "nll_without": 3.0,
        }
        for place, (source, right, nll) in enumerate(
            [("oracle", True, 1.0), ("own", True, 0.5), ("own", False, 2.5), ("own", False, 3.5)]
        )
    ]  # fmt: skip
    found = outer_quantities(OuterLoss.cast(pl.DataFrame(rows)))
    assert values(found, "outer loss/oracle") == [1.0] and values(found, "outer loss/own") == [pytest.approx(6.5 / 3)]
    assert values(found, "outer loss/own/incorrect") == [3.0] and values(found, "right/own") == [pytest.approx(1 / 3)]
    assert values(found, "reading/oracle") == [2.0] and values(found, "loss without/own") == [3.0]
    assert values(found, "outer loss/own", column="n") == [3]


# scores and answers


def test_scores_are_the_metrics() -> None:
    found = score_quantities(evaluations({"a": [[3, 16], [0, 8]]}), 8, 16)
    for name, metric in (("Pass@8", pass_at_k), ("mG-Pass@8", mg_pass_at_k)):
        assert values(found, name) == metric(np.array([16] * 4), np.array([3, 16, 0, 8]), 8).tolist()
    assert values(found, "Avg@16") == [3 / 16, 1.0, 0.0, 0.5] and values(found, "cut off") == [1 / 16] * 4
    assert values(found, "Pass@8", column="n") == [16] * 4


def test_answers_after_leaks_do_not_count() -> None:
    answers = forced_answers({"summary": 0.5, "thinking": 1.0}, questions=20, leaked=0.6)
    found = answer_quantities(answers, 16)
    kept = answers.filter(~pl.col("leaked")).group_by("method", "question_id").agg(pl.len(), pl.col("correct").mean())
    summary = kept.filter(method="summary").sort("question_id")
    assert values(found, "Avg@16", "sft_long/summary") == pytest.approx(summary["correct"].to_list())
    assert values(found, "Avg@16", "sft_long/summary", "n") == summary["len"].to_list()
    assert len(values(found, "Pass@16", "sft_long/summary")) == (summary["len"] >= 16).sum() < 40
    assert set(values(found, "tokens", "sft_long/summary")) == {12.0 + AFTER}
    assert set(values(found, "Avg@16", "sft_long/thinking")) == {1.0}
    leaked = answers.filter(method="summary").group_by("question_id").agg(pl.col("leaked").mean()).sort("question_id")
    assert values(found, "leaked", "sft_long/summary") == pytest.approx(leaked["leaked"].to_list())


# rank trends


@settings(deadline=None)  # the first call imports
@given(st.lists(st.integers(0, 4), min_size=2, max_size=7))
def test_rho_and_ranks_are_scipys_and_a_constant_block_counts_0(scores: list[int]) -> None:
    rho, ranks = spearman(np.array([scores], dtype=float))
    np.testing.assert_allclose(ranks[0], rankdata(scores))
    expected = spearmanr(range(len(scores)), scores).statistic if len(set(scores)) > 1 else 0.0
    assert rho[0] == pytest.approx(expected, abs=1e-12)


def test_thinned_counts_are_hypergeometric() -> None:
    c = np.array([0, 1, 7, 16, 31, 32])
    expected = [[hypergeom.pmf(x, 32, one, 16) for x in range(17)] for one in c]
    np.testing.assert_allclose(thinned(32, c, 16), expected, atol=1e-12)


def test_expected_ranks_are_the_mean_over_all_subsets_of_the_samples() -> None:
    score = partial(pass_at_k, k=2)

    def subsets(samples: int, right: int) -> list[int]:
        return [sum(place < right for place in chosen) for chosen in combinations(range(samples), 4)]

    drawn = [np.array([[one, 2, other]]) for one in subsets(6, 3) for other in subsets(5, 1)]
    rhos, ranks = zip(*(spearman(score(np.full((1, 3), 4), c)) for c in drawn), strict=True)
    expected = rank(np.array([[6, 4, 5]]), np.array([[3, 2, 1]]), score)
    assert expected.rho[0] == pytest.approx(np.mean(rhos), abs=1e-12)
    np.testing.assert_allclose(expected.ranks, np.mean(ranks, axis=0), atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("samples", "means"), [([16] * 5 + [32], (0.3, -1.5, -0.8)), ([16, 32], (-4.0, -3.0))])
def test_more_samples_of_one_model_do_not_make_a_trend(
    metric: Any, samples: list[int], means: tuple[float, ...]
) -> None:
    """At equal skill rho is 0 on average whichever model has 32 samples. Ranks of the scores as they are find a trend,
    and at the floor rho given that models differ, with no weights."""
    c = correct(np.random.default_rng(0), samples, seeds=1, questions=4000, means=means)[0]
    n, score = np.broadcast_to(samples, c.shape), partial(metric, k=K)
    fair, as_they_are = rank(n, c, score), spearman(score(n, c))[0]
    weight = 1 - fair.constant
    given = fair.rho[weight > 0] / weight[weight > 0]
    error = fair.rho.std() / np.sqrt(weight.size) / weight.mean()
    assert abs(fair.rho.sum() / weight.sum()) < 4 * error
    assert abs((given if len(samples) == 2 else as_they_are).mean()) > 4 * error


def test_blocks_that_a_model_lacks_are_left_out_and_counted() -> None:
    table = evaluations({"a": [[1, 2], [3, 4]], "b": [[5, 6], [7, 8]]}, n={"a": 16, "b": 32})
    whole = blocks(table.sample(fraction=1, shuffle=True, seed=0), ["b", "a"])
    assert whole.n.tolist() == [[32, 16]] * 4 and whole.c.tolist() == [[5, 1], [6, 2], [7, 3], [8, 4]]
    part = blocks(table.filter(~((pl.col("model") == "b") & (pl.col("c") == 8))), ["b", "a"])
    assert (part.keys.height, part.incomplete) == (3, 1)


def test_trends_and_slopes_of_a_sweep() -> None:
    counts = {"m1": [4, 0, 16, 8], "m2": [8, 0, 16, 8], "m4": [12, 0, 16, 4]}
    series = {
        "fig8_long": Series(doses=[1, 2, 4], models=list(counts)),
        "fig9_last": Series(doses=[1, 2], models=["m1", "absent"]),
    }
    found = trend_quantities(evaluations(counts), series, 8)
    assert set(found["model"]) == {"fig8_long"}
    assert values(found, "trend/mG-Pass@8", column="weight") == [1.0, 0.0, 0.0, 1.0]
    assert values(found, "trend/mG-Pass@8") == pytest.approx([1.0, 0.0, 0.0, -np.sqrt(3) / 2])
    score = mg_pass_at_k(np.array([16] * 3), np.array([4, 8, 12]), 8)
    assert values(found, "slope/mG-Pass@8")[0] == pytest.approx((score[2] - score[0]) / 2)
    assert values(found, "trend/Pass@8", column="n") == [48] * 4


def test_a_block_counts_by_the_chance_that_its_models_differ() -> None:
    """One right of 32 is drawn into 16 half of the time."""
    table = evaluations({"a": [0], "b": [1]}, n={"a": 16, "b": 32})
    found = trend_quantities(table, {"s": Series(doses=[1, 2], models=["a", "b"])}, 8)
    assert values(found, "trend/Pass@8") == [1.0] and values(found, "trend/Pass@8", column="weight") == [0.5]


def test_every_quantity_is_of_known_tables() -> None:
    assert base_name("Pass@8") == "Pass" and base_name("cosine/output/correct/quarter 1") == "cosine"
    assert tables_of("Pass@8", "sft_long") == ("evaluations",) and tables_of("Avg@16", "m/summary") == ("answers",)
    assert all(one.lowest < one.highest and one.text and one.unit for one in QUANTITIES.values())
    with pytest.raises(KeyError):
        tables_of("entropy", "m")
