"""Figures 5, 13 and 15: thinking and no-thinking curves of the same trajectories."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from raml.claims.mode_pair import decide
from raml.claims.sections import ModePair
from raml.errors import ConfigError
from raml.evaluation.intervals import Bootstrap
from raml.report import fig5, fig13, fig15
from raml.report.curves import Job
from raml.report.curves_exhibit import FILES
from raml.report.exhibit import read_exhibit
from raml.report.numbers import measurement
from raml.report.probed import MODEL_NUMBER, figures_of, probed_model
from raml.schemas import ProbeCurve
from raml.storage import read_table
from report_results import (
    EVALUATION,
    HOSTILE,
    PROBING,
    SEEDS,
    Results,
    curve_rows,
    no_thinking_rows,
    write_curves,
    write_samples,
)
from report_results import step as run_step

SVG = "{http://www.w3.org/2000/svg}"
MODULES = {"fig5": (fig5, "sft_long"), "fig13": (fig13, "base"), "fig15": (fig15, "sft_short")}


class Drawn:
    """A figure of pairs, drawn from given rows."""

    def __init__(self, results: Results, folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
        self.name, self.folder = name, folder
        self.curves = write_curves(folder / "curves.parquet", rows)
        paths = {
            "curves": self.curves,
            "samples": write_samples(folder / "samples.parquet", 0, MODULES[name][1]),
            "questions": results.questions,
            "tokenizer": results.root / "tokenizer/tokenizer.json",
            "figure": folder / f"{name}.svg",
            "exhibit": folder / f"{name}.json",
        }
        run_step(MODULES[name][0], Job(evaluation=EVALUATION, probing=PROBING), Job, FILES, **paths)
        self.exhibit = read_exhibit(folder / f"{name}.json")
        self.svg = ElementTree.fromstring((folder / f"{name}.svg").read_bytes())

    @property
    def ids(self) -> list[str]:
        return [element.attrib["id"] for element in self.svg.iter() if "id" in element.attrib]

    @property
    def texts(self) -> list[str]:
        return [element.text or "" for element in self.svg.iter(f"{SVG}text")]


def both_modes(model: str = "sft_long", **options: Any) -> list[dict[str, Any]]:
    rows = [row for seed in SEEDS for row in curve_rows(seed, model=model, **options)]
    return [*rows, *no_thinking_rows(rows)]


@pytest.fixture(scope="module")
def drawn(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(results, tmp_path_factory.mktemp("pairs"), "fig5", both_modes())


def test_four_panels_of_two_curves_two_means_and_two_rows_of_differences(drawn: Drawn) -> None:
    parts = [f"pair-{panel}-{mode}" for panel in range(1, 5) for mode in ("thinking", "no_thinking")]
    parts += ["mean-thinking", "mean-no_thinking"]
    parts += [f"{name}-{row}" for name in ("half-fall", "end") for row in (1, 2)]
    assert {f"fig5-{part}" for part in parts} <= set(drawn.ids)
    assert len(drawn.ids) == len(set(drawn.ids)) and all(one.startswith("fig5-") for one in drawn.ids)


def test_the_figure_says_what_is_what(drawn: Drawn) -> None:
    assert {"thinking", "no-thinking", "half of the fall first made", "all", "rows"} <= set(drawn.texts)
    assert "Single trajectories of SFT long, a panel for each question" in drawn.texts
    assert drawn.texts.count("answer NLL (nats/token)") == 2
    assert drawn.texts.count("trajectory position (tokens)") == 4
    assert any(text.startswith("rows-00 <script>") for text in drawn.texts)
    assert drawn.svg.attrib["role"] == "img"


def test_the_same_curves_give_the_same_bytes(results: Results, drawn: Drawn, tmp_path: Path) -> None:
    again = Drawn(results, tmp_path, "fig5", both_modes()[::-1])
    assert (again.folder / "fig5.svg").read_bytes() == (drawn.folder / "fig5.svg").read_bytes()


def test_the_exhibit_holds_what_the_claims_measure(drawn: Drawn) -> None:
    exhibit = drawn.exhibit
    assert dict(exhibit.n)["correct trajectories, each in both modes"] == 2 * 6 * 5
    quarters, differences, questions = exhibit.tables
    assert [row.heading for row in quarters.rows] == ["thinking", "no-thinking"]
    assert [row.heading for row in differences.rows] == ["all", "rows", "incorrect trajectories"]
    bootstrap = Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence)
    curves = read_table(drawn.curves, ProbeCurve)
    for quantity, place in (("half_fall", 4), ("end", 10)):
        test = ModePair(
            name="mode_pair", model="sft_long", quantity=quantity, direction="below", minimal_effect=0.05,
            min_questions=2, min_positions=3, why="-",
        )  # fmt: skip
        decision = decide(test, curves, bootstrap)
        assert decision.estimate
        found = differences.rows[0].cells[place]
        expected = measurement(decision.estimate.estimate, (decision.estimate.lower, decision.estimate.upper))
        assert (found.text, found.small) == expected
        if quantity == "half_fall":
            for column, mean in zip((5, 6, 7), ("thinking", "no_thinking", "difference"), strict=True):
                last = decision.details["last_crossing"][mean]  # type: ignore[index]
                shown = differences.rows[0].cells[column]
                assert (shown.text, shown.small) == measurement(last["estimate"], (last["lower"], last["upper"]))
        by_itself = decision.details["benchmarks"]["rows"]["difference"]  # type: ignore[index]
        expected = measurement(by_itself["estimate"], (by_itself["lower"], by_itself["upper"]))
        assert (differences.rows[1].cells[place].text, differences.rows[1].cells[place].small) == expected
    assert [column.group for column in differences.columns[2::3]] == [
        "share of the trajectory when half of the fall is first made",
        "when it is made for good (last crossing)",
        "NLL at the end",
    ]
    assert len(questions.rows) == 4 and HOSTILE in questions.rows[0].cells[0].text


def test_the_text_says_what_was_forced_and_where_this_differs(drawn: Drawn) -> None:
    assert "\N{LEFT DOUBLE QUOTATION MARK}</think>\N{RIGHT DOUBLE QUOTATION MARK} forced before the marker" in " ".join(
        drawn.exhibit.done
    )
    assert any("which the paper's Algorithm 3 prescribes" in one for one in drawn.exhibit.deviations)
    assert any("noise along it makes the first crossing earlier" in one for one in drawn.exhibit.deviations)
    assert any("6 of the 48 incorrect samples, which did not end" in one for one in drawn.exhibit.done)
    assert "by 0.9" in drawn.exhibit.description or "by 1.0" in drawn.exhibit.description


@pytest.mark.parametrize("name", ["fig13", "fig15"])
def test_further_models(results: Results, tmp_path: Path, name: str) -> None:
    drawn = Drawn(results, tmp_path, name, [*both_modes(MODULES[name][1]), *both_modes()[:200]])
    assert dict(drawn.exhibit.n)["questions"] == 6
    assert f"{name}-pair-4-no_thinking" in drawn.ids
    assert "Figure 1" in drawn.exhibit.caption


def test_trajectories_without_a_partner_are_left_out(results: Results, tmp_path: Path) -> None:
    rows = [row for row in both_modes() if row["mode"] == "thinking" or row["question_id"] == "rows-01"]
    drawn = Drawn(results, tmp_path, "fig5", rows)
    assert dict(drawn.exhibit.n)["questions"] == 1
    assert "fig5-pair-1-no_thinking" in drawn.ids and "fig5-pair-2-thinking" not in drawn.ids
    assert "too few" in drawn.texts  # no interval from one question


def test_without_correct_trajectories_the_figure_says_so(results: Results, tmp_path: Path) -> None:
    drawn = Drawn(results, tmp_path, "fig5", both_modes(correct_share=0.0))
    assert drawn.exhibit.description.startswith("Empty: no correct trajectories of SFT long")
    assert "no correct trajectories" in drawn.texts
    assert [row.heading for row in drawn.exhibit.tables[0].rows] == ["incorrect trajectories"]


def test_without_any_curves_the_figure_is_empty(results: Results, tmp_path: Path) -> None:
    drawn = Drawn(results, tmp_path, "fig13", both_modes("sft_long"))
    assert drawn.exhibit.tables == [] and dict(drawn.exhibit.n)["questions"] == 0


def test_figures_follow_the_models_in_the_configurations_order() -> None:
    assert figures_of(["a"]) == ["fig3", "fig16", "fig5"]
    assert figures_of(["a", "b"]) == ["fig3", "fig16", "fig5", "fig12", "fig13"]
    assert set(figures_of(["a", "b", "c"])) == set(MODEL_NUMBER)
    assert probed_model("fig15", ["a", "b", "c"]) == "c"
    with pytest.raises(ConfigError, match=r"fig15 follows model 3 of probing\.models, which holds only a, b"):
        probed_model("fig15", ["a", "b"])


def test_the_table_of_changes_has_both_quantities_of_every_curve(drawn: Drawn) -> None:
    rows = read_table(drawn.curves, ProbeCurve).filter(pl.col("correct"), pl.col("position") == pl.col("length"))
    by_question = (
        rows.group_by("question_id", "mode", "seed")
        .agg(pl.col("nll").mean())
        .group_by("mode")
        .agg(pl.col("nll").mean())
    )
    ends = dict(by_question.iter_rows())
    shown = drawn.exhibit.tables[1].rows[0].cells
    assert float(shown[8].text) == pytest.approx(ends["thinking"], abs=0.05)  # shown to as many digits as are known
    assert float(shown[9].text) == pytest.approx(ends["no_thinking"], abs=0.05)
