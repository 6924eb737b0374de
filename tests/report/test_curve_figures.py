from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from raml.claims.curve_trend import decide
from raml.claims.sections import CurveTrend
from raml.evaluation.intervals import Bootstrap
from raml.report import fig3, fig12, fig14, fig16
from raml.report.exhibit import read_exhibit
from raml.report.numbers import measurement
from raml.schemas import ProbeCurve
from raml.storage import read_table
from report_results import EVALUATION, HOSTILE, SEEDS, Results, curve_rows, write_curves, write_samples

MODULES = {"fig3": fig3, "fig16": fig16}
SVG = "{http://www.w3.org/2000/svg}"


def parse(path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(path.read_bytes())


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def ids(root: ElementTree.Element) -> list[str]:
    return [element.attrib["id"] for element in root.iter() if "id" in element.attrib]


@pytest.mark.parametrize("name", MODULES)
def test_four_panels_of_four_curves_and_two_means(results: Results, name: str) -> None:
    found = ids(parse(results.figure(name)))
    assert sorted(i for i in found if i.startswith(f"{name}-curve-")) == [
        f"{name}-curve-{panel}-{line}" for panel in range(1, 5) for line in range(1, 5)
    ]
    assert {i for i in found if "-mean-" in i} == {f"{name}-mean-correct", f"{name}-mean-incorrect"}
    assert len(found) == len(set(found))
    assert all(i.startswith(f"{name}-") for i in found)


@pytest.mark.parametrize("name", MODULES)
def test_axes_say_what_and_in_which_unit(results: Results, name: str) -> None:
    shown = texts(parse(results.figure(name)))
    assert shown.count("trajectory position (tokens)") == 4
    assert shown.count("answer NLL (nats/token)") == 2
    assert "relative position (% of the trajectory's tokens)" in shown
    assert {f"trajectory {number}" for number in range(1, 5)} <= set(shown)


@pytest.mark.parametrize("name", MODULES)
def test_the_figure_is_described_and_self_contained(results: Results, name: str) -> None:
    root = parse(results.figure(name))
    assert root.attrib["role"] == "img"
    by_id = {element.attrib.get("id"): element for element in root.iter()}
    title, description = (by_id[part] for part in root.attrib["aria-labelledby"].split())
    assert (title.text or "").startswith(MODULES[name].FIGURE.title)
    assert "16 curves in 4 panels" in (description.text or "")
    links = [value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")]
    assert links and all(link.startswith("#") and link[1:] in by_id for link in links)
    assert results.figure(name).stat().st_size < 300_000


def test_the_same_curves_give_the_same_bytes(results: Results) -> None:
    first = results.figure("fig3").read_bytes(), results.exhibit("fig3").read_bytes()
    results.draw_curves(fig3, "fig3")
    assert (results.figure("fig3").read_bytes(), results.exhibit("fig3").read_bytes()) == first
    assert b"<dc:date>" not in first[0]


def test_both_figures_share_their_y_axis(results: Results) -> None:
    fig3_ticks, fig16_ticks = (
        [element.text for element in parse(results.figure(name)).iter(f"{SVG}text") if "end" in element.attrib["style"]]
        for name in MODULES
    )
    assert fig3_ticks == fig16_ticks and len(fig3_ticks) > 4


def test_question_text_is_drawn_as_it_stands(results: Results) -> None:
    assert any(text.startswith("rows-00 <script>") for text in texts(parse(results.figure("fig3"))))
    assert "<script" not in results.figure("fig3").read_text(encoding="utf-8")


def test_the_exhibit_holds_the_numbers_drawn(results: Results) -> None:
    exhibit = read_exhibit(results.exhibit("fig3"))
    assert exhibit.n[:3] == [("questions", 6), ("trajectories", 2 * 6 * 5), ("training seeds", 2)]
    means, benchmarks, questions = exhibit.tables
    assert [row.heading for row in means.rows] == ["correct (of 6 questions)", "incorrect (of 6 questions)"]
    start, *_, end = (float(cell.text) for cell in means.rows[0].cells)
    assert 7 < start < 9 and end < 0.5
    assert [row.heading for row in benchmarks.rows] == ["rows"]
    assert [cell.text for cell in benchmarks.rows[0].cells[:2]] == ["6", "60"]
    assert benchmarks.rows[0].cells[2].text == "\N{MINUS SIGN}1.00" and benchmarks.rows[0].cells[2].small
    assert len(questions.rows) == 4 and HOSTILE in questions.rows[0].cells[0].text
    reading = exhibit.readings[0]
    assert [token.text for token in reading.tokens] == ["1", "2", "3", "4", "5", "6"]
    assert {source.path for source in exhibit.sources} == {
        path.as_posix() for path in [*results.curves, *results.samples, results.questions]
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_exhibit_gives_rho_on_each_benchmark_as_the_claims_do(results: Results, tmp_path: Path, name: str) -> None:
    results = _elsewhere(results, tmp_path)
    rows = curve_rows(0, noise=2.0)
    for row in rows:
        row["benchmark"] = "hard" if row["question_id"] > "rows-02" else "easy"
    paths = [write_curves(tmp_path / "curves.parquet", rows)]
    results.draw_curves(MODULES[name], name, paths)
    correct = MODULES[name].FIGURE.correct
    test = CurveTrend(
        name="curve_trend", model="sft_long", trajectories="correct" if correct else "incorrect", direction="falls",
        minimal_effect=0.3, min_questions=2, min_positions=5, why="-",
    )  # fmt: skip
    bootstrap = Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence)
    expected = decide(test, read_table(paths[0], ProbeCurve), bootstrap).details["benchmarks"]
    table = read_exhibit(results.exhibit(name)).tables[1]
    assert [row.heading for row in table.rows] == ["easy", "hard"] == list(expected)  # type: ignore[call-overload]
    for row in table.rows:
        rho = expected[row.heading]["rho"]  # type: ignore[index]
        text, small = measurement(rho["estimate"], (rho["lower"], rho["upper"]))
        assert [(cell.text, cell.small) for cell in row.cells] == [("3", ""), ("15", ""), (text, small)]


def test_the_text_says_what_the_interval_covers_and_which_samples_are_followed(
    results: Results, tmp_path: Path
) -> None:
    done = " ".join(read_exhibit(results.exhibit("fig3")).done)
    assert "the spread between the 2 training seeds is part of it" in done
    assert "Only samples that ended by themselves with an answer are followed" in done
    single = _elsewhere(results, tmp_path)
    single.draw_curves(fig3, "fig3", results.curves[:1])
    done = " ".join(read_exhibit(single.exhibit("fig3")).done)
    assert "one training seed, so it covers questions and not training noise" in done and "spread" not in done


@pytest.mark.parametrize("name", MODULES)
def test_the_exhibit_counts_the_samples_without_a_curve(results: Results, name: str) -> None:
    """Of 2 seeds x 6 questions: 13 samples that ended (2 empty, one of them correct) and one that did not."""
    done = read_exhibit(results.exhibit(name)).done
    assert (
        "Without a curve for these reasons are 24 of the 156 samples that ended with an answer, which have no thinking "
        "(12 of them correct); 12 of the 96 incorrect samples, which did not end with an answer; and 12 that would "
        "have been followed but do not fit into the context."
    ) in done
    assert "A sample without any thinking is no trajectory, even if its answer is right" in " ".join(done)


def test_samples_of_another_model_are_refused(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = _elsewhere(results, tmp_path)
    samples = [write_samples(tmp_path / "samples.parquet", 0, "base")]
    with pytest.raises(SystemExit, match="2"):
        results.draw_curves(fig3, "fig3", samples=samples)
    assert "the probed model is 'sft_long', but the samples were written by base" in capsys.readouterr().err


@pytest.mark.parametrize(("share", "name"), [(0.0, "fig3"), (1.0, "fig16")])
def test_without_such_trajectories_the_figure_says_so(
    results: Results, tmp_path: Path, share: float, name: str
) -> None:
    results = _elsewhere(results, tmp_path)
    curves = [write_curves(tmp_path / "curves.parquet", curve_rows(0, correct_share=share))]
    results.draw_curves(MODULES[name], name, curves)
    assert any("no trajectories" in text for text in texts(parse(results.figure(name))))
    exhibit = read_exhibit(results.exhibit(name))
    assert exhibit.description.startswith("Empty: no ")
    assert exhibit.readings == [] and exhibit.n[0] == ("questions", 0)


def test_skipped_positions_are_drawn_but_not_read_aloud(results: Results, tmp_path: Path) -> None:
    results = _elsewhere(results, tmp_path)
    rows = [row for row in curve_rows(0) if row["position"] % 4 == 0]
    results.draw_curves(fig3, "fig3", [write_curves(tmp_path / "curves.parquet", rows)])
    assert read_exhibit(results.exhibit("fig3")).readings == []
    assert "fig3-curve-4-4" in ids(parse(results.figure("fig3")))


@pytest.mark.parametrize(("module", "model", "label"), [(fig12, "base", "Base"), (fig14, "sft_short", "SFT short")])
def test_further_models_have_figures_of_their_own(
    results: Results, tmp_path: Path, module: Any, model: str, label: str
) -> None:
    results = _elsewhere(results, tmp_path)
    name = module.FIGURE.id
    rows = curve_rows(0, correct_share=0.4, model=model)
    curves = [*results.curves, write_curves(tmp_path / "curves.parquet", rows)]
    results.draw_curves(module, name, curves, [write_samples(tmp_path / "samples.parquet", 0, model)])
    exhibit = read_exhibit(results.exhibit(name))
    assert exhibit.n[:3] == [("questions", 6), ("trajectories", 6 * 4), ("training seeds", 1)]
    assert f"The model {label} sampled" in exhibit.done[0]
    assert f"Single trajectories of {label}, a panel for each question" in texts(parse(results.figure(name)))
    assert f"{name}-curve-4-4" in ids(parse(results.figure(name)))


def test_no_thinking_curves_change_nothing(results: Results, tmp_path: Path) -> None:
    other = _elsewhere(results, tmp_path)
    thinking = [write_curves(tmp_path / f"{seed}.parquet", curve_rows(seed)) for seed in SEEDS]
    other.draw_curves(fig3, "fig3", thinking)
    assert other.figure("fig3").read_bytes() == results.figure("fig3").read_bytes()


def test_a_question_that_is_not_there_is_named(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = _elsewhere(results, tmp_path)
    rows: list[dict[str, Any]] = [row | {"question_id": "gone"} for row in curve_rows(0)]
    with pytest.raises(SystemExit, match="2"):
        results.draw_curves(fig3, "fig3", [write_curves(tmp_path / "curves.parquet", rows)])
    assert "the curves follow question 'gone'" in capsys.readouterr().err


def _elsewhere(results: Results, root: Path) -> Results:
    """The same inputs, with outputs below `root`."""
    other = object.__new__(Results)
    other.__dict__ = dict(results.__dict__)
    other.figure = lambda name: root / f"{name}.svg"  # type: ignore[method-assign]
    other.exhibit = lambda name: root / f"{name}.json"  # type: ignore[method-assign]
    return other
