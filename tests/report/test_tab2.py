from pathlib import Path
from typing import Any

import polars as pl
import pytest
from outer_results import CHANCES, REPORTED, SETTINGS, TRAINED, ids, outputs, provenance, tables, texts

from raml.config import Evaluation, HubModel
from raml.errors import DataError
from raml.report import tab2
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.scores import TRAINED_ON, comparable, read_metrics, read_reported
from raml.report.svg import drawing, write_svg
from raml.report.tab2 import comparison, what_was_done
from raml.report.tab2_figure import draw_metrics
from raml.schemas import MetricTable, column_types
from raml.storage import read_table, write_table
from report_results import metric_rows, step

TECHNIQUES = ("sft_short", "sft_long", "zero_grpo")
JOB = tab2.Job(evaluation=SETTINGS, base=None, writers=None)
PUBLISHED = tab2.Job(
    evaluation=SETTINGS,
    base=HubModel(model="some/base-7B", revision="main"),
    writers={style: HubModel(model=f"some/{style}-writer", revision="main") for style in ("short", "long")},
)


def draw(root: Path, given: dict[str, Path], job: tab2.Job = JOB) -> Exhibit:
    inputs = {name: given[name] for name in tab2.FILES["inputs"]}
    step(tab2, job, tab2.Job, tab2.FILES, **inputs, **outputs(root, "tab2"))
    return read_exhibit(root / "tab2.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tab2")


@pytest.fixture(scope="module")
def exhibit(folder: Path) -> Exhibit:
    return draw(folder, tables(folder))


def test_our_numbers_stand_beside_the_papers(exhibit: Exhibit, folder: Path) -> None:
    (table,) = exhibit.tables
    sides = [(column.side, column.reported) for column in table.columns]
    assert sides[:6] == [("Measured here, 0.00 million parameters", False)] * 6
    assert sides[6:] == [("Reported by the paper, Qwen2.5-7B", True)] * 6
    long = table.rows[2].cells
    metrics = read_table(folder / "metrics.parquet", MetricTable)
    (row,) = metrics.filter(model="sft_long", benchmark="path", metric="Pass@4").rows(named=True)
    assert long[0].text == f"{100 * row['value']:.1f}"
    assert long[0].small == f"{100 * row['lower']:.1f} to {100 * row['upper']:.1f}"
    assert [cell.text for cell in long[6:]] == ["36.69", "10.29", "82.98", "45.79", "25.15", "10.46"]
    assert "Not like for like" in table.note


def test_what_the_paper_has_not_stands_below_a_heading(exhibit: Exhibit) -> None:
    rows = exhibit.tables[0].rows
    assert [(row.heading, row.group) for row in rows] == [
        ("Base", ""),
        ("SFT short", ""),
        ("SFT long", ""),
        ("Zero-GRPO", ""),
        ("DPO", "Not in the paper's table"),
        ("SFT+GRPO", "Not in the paper's table"),
    ]
    assert {cell.text for row in rows[4:] for cell in row.cells[6:]} == {"\N{EN DASH}"}


def test_the_page_shows_the_heading_of_a_group_of_rows(pages: dict[str, str]) -> None:
    assert '<tr class="rows"><th scope="rowgroup" colspan="' in pages["tab2"]
    assert "<span>Not in the paper&#39;s table</span>" in pages["tab2"]


def test_benchmarks_unlike_the_training_questions_are_left_to_fig7(exhibit: Exhibit, folder: Path) -> None:
    ours = [column.group for column in exhibit.tables[0].columns if not column.reported]
    assert ours == [name for name in TRAINED for _ in range(2)]
    assert not {"path_back", "number_sorting"} & texts(folder / "tab2.svg")
    assert ("questions", 36) in exhibit.n


def test_models_of_the_sweeps_are_ignored(exhibit: Exhibit, folder: Path) -> None:
    assert ("models", 6) in exhibit.n
    assert not any("_p3" in name for name in ids(folder / "tab2.svg"))


def test_the_figure_has_a_mark_series_for_each_metric_and_model(exhibit: Exhibit, folder: Path) -> None:
    wanted = {f"tab2-{metric}-{model}" for metric in ("pass4", "mg-pass4", "avg16") for model in CHANCES}
    assert wanted <= ids(folder / "tab2.svg")
    assert {*TRAINED, "Pass@4 (%)", "mG-Pass@4 (%)", "Avg@16 (%)", "Zero-GRPO", "DPO"} <= texts(folder / "tab2.svg")
    assert "Zero-GRPO: path " in exhibit.description


def test_the_papers_numbers_are_hollow_marks_below_ours(tmp_path: Path) -> None:
    evaluation = SETTINGS.model_copy(update={"k": 8})
    measured = read_metrics(Path("results/micro/tables/metrics.parquet"), evaluation, TRAINED_ON)
    with drawing():
        figure = draw_metrics(measured, read_reported(REPORTED, "table2"), 0.95)
        write_svg(figure, tmp_path / "tab2.svg", name="tab2", title="t", description="d")
    found = ids(tmp_path / "tab2.svg")
    reported = {f"tab2-{metric}-{model}-reported" for metric in ("pass8", "mg-pass8") for model in TECHNIQUES}
    assert {name for name in found if name.endswith("-reported")} == reported  # not of Avg@16, nor of other models
    assert {"Reported by the paper", "Measured here", "AIME24", "rows"} <= texts(tmp_path / "tab2.svg")
    marks = next(line for line in figure.axes[0].lines if line.get_gid() == "pass8-sft_long-reported")
    assert marks.get_xdata() == pytest.approx([36.69, 82.98, 25.15])


def test_numbers_in_other_metrics_are_not_drawn(folder: Path) -> None:
    assert "Reported by the paper" not in texts(folder / "tab2.svg")
    assert comparable({"sft_long": {"AIME24": {"P8": 1.0}}}, ["Pass@4"]) == {}


def test_markdown_says_whose_numbers_are_whose(exhibit: Exhibit, folder: Path) -> None:
    text = (folder / "tab2.md").read_text(encoding="utf-8")
    ours, theirs = text.split("Reported by the paper, Qwen2.5-7B\n")
    assert "Measured here, 0.00 million parameters\n\n| technique | path Pass@4 |" in ours
    assert "| **Not in the paper's table** |  |  |  |  |  |  |\n| DPO | " in ours
    assert "| technique | AIME24 Pass@8 |" in theirs


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    exhibit = draw(tmp_path, tables(tmp_path, models=("base", "sft_short", "sft_long")))
    base, *_, zero_grpo, dpo, _ = exhibit.tables[0].rows
    assert {cell.text for cell in (*zero_grpo.cells[:6], *dpo.cells[:6])} == {"not run yet"}
    assert [cell.text for cell in zero_grpo.cells[6:8]] == ["27.37", "4.08"]
    assert {cell.text for cell in base.cells[6:]} == {"\N{EN DASH}"}
    assert {"Zero-GRPO has not been run yet.", "DPO has not been run yet."} <= set(exhibit.deviations)
    assert not any("zero_grpo" in name for name in ids(tmp_path / "tab2.svg"))


@pytest.mark.parametrize(
    ("seeds", "says"),
    [((0,), "one training seed, so it covers questions"), ((0, 1, 2), "between the 3 training seeds is part of it")],
)
def test_the_text_says_what_the_intervals_cover(tmp_path: Path, seeds: tuple[int, ...], says: str) -> None:
    measured = read_metrics(tables(tmp_path, seeds=seeds)["metrics"], SETTINGS, TRAINED_ON)
    assert measured.seeds == len(seeds)
    assert says in " ".join(what_was_done(measured, JOB))


def test_what_is_said_of_models_and_questions_is_the_scales(exhibit: Exhibit, folder: Path, tmp_path: Path) -> None:
    own = " ".join([*exhibit.done, *exhibit.deviations, exhibit.tables[0].note])
    published = draw(tmp_path, tables(folder), PUBLISHED)
    there = " ".join([*published.done, *published.deviations, published.tables[0].note])
    for said in (
        "pretrained for each training seed",
        "trained from scratch",
        "programs write them",
        "generated questions",
    ):
        assert said in own and said not in there
    for said in ("some/base-7B was fine-tuned", "here it is some/base-7B.", "some/long-writer writes the long ones"):
        assert said in there and said not in own
    assert "here they are path, rows, rows_hard." in there


def test_the_same_metrics_give_the_same_bytes(exhibit: Exhibit, folder: Path, tmp_path: Path) -> None:
    draw(tmp_path, tables(folder))
    for suffix in ("svg", "md"):
        assert (tmp_path / f"tab2.{suffix}").read_bytes() == (folder / f"tab2.{suffix}").read_bytes()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pl.DataFrame(rows, schema=column_types(MetricTable))
    write_table(MetricTable.cast(table), MetricTable, path, provenance())
    return path


def test_a_missing_metric_is_named(tmp_path: Path) -> None:
    settings = Evaluation(n=4, k=2, bootstrap_resamples=50, confidence=0.95)
    rows = [row for row in metric_rows() if (row["model"], row["metric"]) != ("base", "Pass@2")]
    with pytest.raises(DataError, match="lacks Pass@2 of base on rows"):
        read_metrics(write(tmp_path / "metrics.parquet", rows), settings)


@pytest.mark.parametrize("kept", [{"kind": "within_domain"}, {"model": "sft_long_m4"}])
def test_nothing_to_show_is_refused(tmp_path: Path, kept: dict[str, str]) -> None:
    rows = [row for row in metric_rows() if all(row[key] == value for key, value in kept.items())]
    with pytest.raises(DataError, match=r"has no scores of base, .* on benchmarks of kind in_domain"):
        read_metrics(write(tmp_path / "metrics.parquet", rows), SETTINGS, TRAINED_ON)


def test_one_benchmark_is_enough(tmp_path: Path) -> None:
    settings = Evaluation(n=4, k=2, bootstrap_resamples=50, confidence=0.95)
    rows = [row for row in metric_rows() if row["benchmark"] == "rows" and row["model"] == "base"]
    measured = read_metrics(write(tmp_path / "metrics.parquet", rows), settings, TRAINED_ON)
    table = comparison(measured, read_reported(REPORTED, "table2"), JOB, "1 million")
    assert [cell.text for cell in table.rows[1].cells[:2]] == ["not run yet", "not run yet"]


@pytest.mark.parametrize("text", ["", "table2: 3", "table3: {}", "table2: [", "table2: {sft_long: 7}"])
def test_malformed_reported_numbers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reported.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match="does not hold the paper's table2"):
        read_reported(path, "table2")
