"""The tests `same_output`, `construction` and `downhill` decide by what the tables say."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from synthetic import SETTINGS

from raml.claims import construction, downhill, same_output
from raml.claims.sections import Construction, Downhill, SameOutput
from raml.evaluation.intervals import Bootstrap
from raml.schemas import BlockResidual, WeightUpdate

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
SAME = SameOutput(name="same_output", tolerance=1e-3, min_questions=20, why="-")
PAPER = Construction(name="construction", tolerance=0.1, min_questions=20, why="-")
DOWN = Downhill(name="downhill", projection="output", minimal_effect=0.0, min_questions=20, why="-")


def updates(
    cosines: dict[str, float],
    *,
    questions: int = 30,
    difference: float = 1e-5,
    benchmark: str = "rows",
    **changes: Any,
) -> pl.DataFrame:
    """Rows of two layers whose cosines are those of `cosines` by source, with noise, in layer 1 alone."""
    rng = np.random.default_rng(0)
    rows = []
    for question in range(questions):
        for source, cosine in cosines.items():
            for draw in range(1 if source == "trajectory" else 2):
                for position in (0, 5, 10, 15, 20):
                    noisy = cosine + 0.01 * rng.standard_normal()
                    for layer in (0, 1):
                        rows.append(
                            {
                                "trajectory_id": f"{benchmark}-{question}/sft_long/0",
                                "question_id": f"{benchmark}-{question}", "benchmark": benchmark, "model": "sft_long",
                                "seed": 0, "correct": True, "source": source, "draw": draw, "projection": "output",
                                "position": position, "length": 20, "layer": layer, "weight_norm": 10.0,
                                "update_norm": 3.0 * bool(position) if layer else 0.0,
                                "gradient_norm": [0.0, 2.0][layer],
                                "descent": 6.0 * noisy if layer and position else 0.0,
                                "nll_without": 2.0, "nll": 3.0 - position / 10,  # ends where it would be 1.0
                                "nll_difference": difference / 2,
                                "logit_difference": difference * (1 + 0.1 * rng.random()), **changes,
                            }
                        )  # fmt: skip
    return WeightUpdate.cast(pl.DataFrame(rows)) if rows else WeightUpdate.create_empty()


def residuals(paper: float, *, questions: int = 30, layers: int = 2) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for source in ("random", "sft_long"):
        for draw in range(questions):
            for layer in range(layers if source == "sft_long" else 1):
                errors = {"none": 3.0, "query": 0.2, "paper": paper if layer == 0 else 5.0 / layer, "exact": 1e-9}
                for name, error in errors.items():
                    rows.append(
                        {
                            "source": source, "seed": 0, "draw": draw, "layer": layer, "dimension": 16,
                            "question_id": f"q{draw}" if source == "sft_long" else None, "prompt_length": 4,
                            "construction": name, "relative_error": error * (1 + 0.1 * rng.random()),
                            "relative_norm": 0.5 * (name != "none"),
                        }
                    )  # fmt: skip
    return BlockResidual.cast(pl.DataFrame(rows, infer_schema_length=None)) if rows else BlockResidual.create_empty()


@pytest.mark.parametrize(
    ("cosines", "verdict", "shown"),
    [
        ((0.1, 0.05, 0.0), "holds", "cosine (lead over shuffled)"),
        ((0.1, 0.1, 0.0), "inconclusive", "cosine (lead over shuffled)"),
        ((0.1, 0.0, 0.2), "contradicted", "cosine (lead over random)"),
        ((-0.1, -0.2, -0.3), "contradicted", "cosine (cosine)"),
        ((0.0, -0.2, -0.3), "inconclusive", "cosine (cosine)"),
    ],
)
def test_downhill_needs_the_cosine_and_both_leads(
    cosines: tuple[float, float, float], verdict: str, shown: str
) -> None:
    table = updates(dict(zip(downhill.SOURCES, cosines, strict=True)))
    decision = downhill.decide(DOWN, table, BOOTSTRAP)
    assert (decision.verdict, decision.unit) == (verdict, shown)
    assert decision.details["cosine"]["estimate"]["estimate"] == pytest.approx(cosines[0], abs=0.005)  # type: ignore[index]
    lead = decision.details["lead_over_random"]["estimate"]["estimate"]  # type: ignore[index]
    assert lead == pytest.approx(cosines[0] - cosines[2], abs=0.005)
    assert decision.n == {"questions": 30, "trajectories": 30, "seeds": 1, "prefixes": 120, "prefixes_of_nulls": 480}


def test_downhill_details() -> None:
    cosines = {"trajectory": 0.1, "shuffled": 0.05, "random": 0.0}
    table = pl.concat(
        [
            updates(cosines),
            updates({name: -cosine for name, cosine in cosines.items()}, benchmark="path"),
            updates(dict.fromkeys(cosines, 0.3), correct=False, trajectory_id="wrong"),
            updates(cosines, projection="value"),
        ]
    )
    decision = downhill.decide(DOWN, table, BOOTSTRAP)
    details: Any = decision.details
    assert details["incorrect_trajectories"]["cosine"]["estimate"] == pytest.approx(0.3, abs=0.005)
    assert details["other_projections"]["value"]["cosine"]["estimate"] == pytest.approx(0.1, abs=0.005)
    assert details["benchmarks"]["path"]["cosine"]["upper"] < 0 < details["benchmarks"]["rows"]["cosine"]["lower"]
    assert "path by itself: cosine -0.1" in decision.reason and "rows by itself" not in decision.reason
    assert details["layers"]["0"]["cosine"]["estimate"] == 0 and len(details["layers"]) == 2
    along = details["along_the_trajectory"]["trajectory"]["relative_norm"]
    assert along["4"]["estimate"] == pytest.approx(3 / np.hypot(10, 10)) and list(along) == ["1", "2", "3", "4"]


def test_the_reason_says_what_the_loss_actually_does() -> None:
    cosines = {"trajectory": 0.1, "shuffled": 0.05, "random": 0.0}
    wrong = updates(cosines, correct=False, trajectory_id="wrong", nll=4.0)
    decision = downhill.decide(DOWN, pl.concat([updates(cosines), wrong]), BOOTSTRAP)
    assert decision.verdict == "holds"
    # to first order 6 x 0.1 are saved after every quarter; the loss rises, rises, is as before, falls to 1.0
    assert "NLL actually changes by +0.50, +0.00, -0.50, -1.00 nats where the first order says -0." in decision.reason
    assert "the signs agree at 50% of the prefixes" in decision.reason and "are 21% of the weights" in decision.reason
    assert "incorrect trajectories do the same: cosine +0.1" in decision.reason
    assert "and both leads above +0, while the gold answer's NLL actually changes by +2.00, +2.00" in decision.reason
    change: Any = decision.details["change_of_the_loss"]
    real = change["correct"]["trajectory"]
    assert [real["actual"][quarter]["estimate"] for quarter in "1234"] == pytest.approx([0.5, 0, -0.5, -1])
    assert [real["agreement"][quarter]["estimate"] for quarter in "1234"] == [0, 0, 1, 1]
    assert real["first_order"]["1"]["estimate"] == pytest.approx(-0.6, abs=0.03)
    assert real["first_order"]["1"]["lower"] < -0.6 + 0.03 < real["first_order"]["1"]["upper"] + 0.03
    assert change["incorrect"]["shuffled"]["actual"]["4"]["estimate"] == pytest.approx(2)


@pytest.mark.parametrize("cosine", [0.0, -0.1])
def test_incorrect_trajectories_are_mentioned_only_where_they_clear_the_line(cosine: float) -> None:
    cosines = {"trajectory": 0.1, "shuffled": 0.05, "random": 0.0}
    wrong = updates(dict.fromkeys(cosines, cosine), correct=False, trajectory_id="wrong")
    assert "incorrect" not in downhill.decide(DOWN, pl.concat([updates(cosines), wrong]), BOOTSTRAP).reason
    level = updates(dict.fromkeys(cosines, 0.1), correct=False, trajectory_id="wrong")  # no lead over the nulls
    reason = downhill.decide(DOWN, pl.concat([updates(cosines), level]), BOOTSTRAP).reason
    assert "incorrect trajectories do the same" in reason and "both leads" not in reason


def test_layers_are_one_vector_and_the_empty_prefix_is_left_out() -> None:
    table = updates({"trajectory": 0.1}, questions=1)
    directions = downhill.update_directions(table)
    assert directions["position"].to_list() == [5, 10, 15, 20] and directions["quarter"].to_list() == [1, 2, 3, 4]
    row = table.filter(layer=1, position=5).row(0, named=True)
    assert directions["cosine"][0] == pytest.approx(row["descent"] / (3 * 2))
    by_layer = downhill.update_directions(table, "layer")
    assert by_layer.filter(layer=0)["cosine"].to_list() == [0.0] * 4


@pytest.mark.parametrize(
    ("difference", "verdict"), [(1e-5, "holds"), (1e-2, "contradicted"), (0.95e-3, "inconclusive")]
)
def test_same_output_holds_below_the_tolerance(difference: float, verdict: str) -> None:
    table = updates({"trajectory": 0.1, "random": 0.1}, difference=difference)
    table = table.with_columns(  # so that the mean over questions spans the line
        pl.when(pl.col("question_id").str.contains("[02468]$")).then(1.2).otherwise(0.85).mul(pl.col("logit_difference"))
        .alias("logit_difference")
    )  # fmt: skip
    decision = same_output.decide(SAME, table, BOOTSTRAP)
    assert decision.verdict == verdict
    assert decision.n["prefixes"] == 30 * 5


def test_same_output_is_decided_by_correct_trajectories_and_output_projections() -> None:
    own = updates({"trajectory": 0.1, "shuffled": 0.1})
    value = updates({"trajectory": 0.1}, difference=1.0, projection="value")
    wrong = updates({"trajectory": 0.1}, difference=1.0, correct=False, trajectory_id="wrong")
    decision = same_output.decide(SAME, pl.concat([own, value, wrong]), BOOTSTRAP)
    details: Any = decision.details
    assert decision.verdict == "holds"
    assert "less well: 0% of the prefixes within 0.001, mean difference +1.0" in decision.reason
    assert "value" not in same_output.decide(SAME, own, BOOTSTRAP).reason
    assert details["value"]["correct"]["share_within_tolerance"] == 0
    assert details["value"]["correct"]["logit_difference"]["estimate"] == pytest.approx(1.05, abs=0.05)
    assert details["output"]["incorrect"]["logit_difference_median"] > 1 and details["value"]["incorrect"] is None
    assert details["output"]["correct"]["nll_difference"]["estimate"] == pytest.approx(5e-6)


@pytest.mark.parametrize(("error", "verdict"), [(0.01, "holds"), (0.7, "contradicted"), (0.0952, "inconclusive")])
def test_the_construction_is_judged_on_the_models_first_block(error: float, verdict: str) -> None:
    decision = construction.decide(PAPER, residuals(error), BOOTSTRAP)
    details: Any = decision.details
    assert decision.verdict == verdict
    assert decision.estimate and decision.estimate.estimate == pytest.approx(error * 1.05, rel=0.02)
    assert details["layers"]["1"]["paper"]["relative_error"]["estimate"] == pytest.approx(5.25, rel=0.02)
    assert details["layers"]["0"]["exact"]["relative_error"]["estimate"] < 1e-8
    assert details["layers"]["0"]["query"]["relative_error"]["estimate"] == pytest.approx(0.21, rel=0.02)
    assert details["layers"]["0"]["none"]["relative_norm"]["estimate"] == 0
    assert [(row["construction"], row["draws"]) for row in details["random_blocks"]] == [
        (name, 30) for name in ("exact", "none", "paper", "query")
    ]
    assert decision.reason.startswith("in layer 0, in our reading of a formula that as printed is no matrix product")
    assert "; there, the changed query alone leaves +0.2" in decision.reason and "weights +3." in decision.reason
    assert "; layer 1: +5.2" in decision.reason
    assert "the exact update of the same blocks leaves at most 1.1e-09" in decision.reason


def test_many_layers_are_told_in_short() -> None:
    decision = construction.decide(PAPER, residuals(0.01, layers=30), BOOTSTRAP)
    details: Any = decision.details
    assert len(details["layers"]) == 30
    assert "layer 2:" not in decision.reason
    short = re.search(
        r"in the 29 further layers it leaves (0\.1\d) \(layer (2[89])\) to (5\.2\d) \(layer 1\)", decision.reason
    )
    assert short is not None
    assert "on average, more than unchanged weights in 1;" in decision.reason


def test_an_error_is_never_negative_however_far_seeds_lie_apart() -> None:
    large = residuals(0.9).with_columns(seed=pl.lit(1, pl.Int64))
    decision = construction.decide(PAPER, pl.concat([residuals(0.01), large]), BOOTSTRAP)
    assert decision.estimate and (decision.estimate.lower, decision.verdict) == (0, "inconclusive")


@pytest.mark.parametrize("questions", [0, 1, 19])
def test_few_questions_are_inconclusive(questions: int) -> None:
    table = updates({"trajectory": 0.1, "shuffled": 0.0, "random": 0.0}, questions=questions)
    for decision in (
        downhill.decide(DOWN, table, BOOTSTRAP),
        same_output.decide(SAME, table, BOOTSTRAP),
        construction.decide(PAPER, residuals(0.01, questions=questions), BOOTSTRAP),
    ):
        assert decision.verdict == "inconclusive" and decision.n["questions"] == questions
        assert f"{questions} questions; the test asks for at least 20" in decision.reason
