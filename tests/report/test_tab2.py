from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from report_results import BENCHMARKS, EVALUATION, MODELS, Results, metric_rows, provenance

from raml.errors import DataError
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.tab2 import comparison, read_metrics, read_reported, what_was_done
from raml.schemas import MetricTable
from raml.storage import write_table

REPORTED = Path("config/reported.yaml")


@pytest.fixture(scope="module")
def exhibit(results: Results) -> Exhibit:
    return read_exhibit(results.exhibit("tab2"))


def test_our_numbers_stand_beside_the_papers(exhibit: Exhibit) -> None:
    table = exhibit.tables[0]
    sides = [(column.side, column.reported) for column in table.columns]
    assert sides[:4] == [("Measured here, 0.00 million parameters", False)] * 4
    assert sides[4:] == [("Reported by the paper, Qwen2.5-7B", True)] * 6
    assert [row.heading for row in table.rows] == ["Base", "SFT short", "SFT long", "Zero-GRPO"]
    long = table.rows[2].cells
    assert (long[0].text, long[0].small) == ("50.0", "45.0 to 55.0")
    assert [cell.text for cell in long[4:]] == ["36.69", "10.29", "82.98", "45.79", "25.15", "10.46"]
    assert "Not like for like" in table.note


def test_what_was_not_measured_is_said(exhibit: Exhibit) -> None:
    base, *_, zero_grpo = exhibit.tables[0].rows
    assert {cell.text for cell in zero_grpo.cells[:4]} == {"not run yet"}
    assert [cell.text for cell in zero_grpo.cells[4:6]] == ["27.37", "4.08"]
    assert {cell.text for cell in base.cells[4:]} == {"–"}  # noqa: RUF001
    assert "Zero-GRPO has not been run yet." in exhibit.deviations


def test_the_text_says_what_the_intervals_cover(results: Results, exhibit: Exhibit, tmp_path: Path) -> None:
    assert ("training seeds", 1) in exhibit.n
    assert "one training seed, so it covers questions and not training noise" in " ".join(exhibit.done)
    path = tmp_path / "metrics.parquet"
    rows = [row | {"n_samples": 3 * row["n_samples"]} for row in metric_rows()]
    write_table(MetricTable.cast(pl.DataFrame(rows)), MetricTable, path, provenance())
    done = " ".join(what_was_done(read_metrics(path, EVALUATION), EVALUATION))
    assert "the spread between the 3 training seeds is part of it" in done and "one training seed" not in done


def test_transfer_benchmarks_have_their_own_table(exhibit: Exhibit) -> None:
    trained, transfer = exhibit.tables
    assert [c.group for c in trained.columns if not c.reported] == ["rows", "rows", "rows_hard", "rows_hard"]
    assert {c.group for c in transfer.columns} == {"sort (same domain)", "path (other domain)"}


def test_the_figure_has_a_mark_series_for_each_metric_and_model(results: Results) -> None:
    root = ElementTree.fromstring(results.figure("tab2").read_bytes())
    found = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    assert {f"tab2-{metric}-{model}" for metric in ("pass2", "mg-pass2", "avg4") for model in MODELS} <= found
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {*BENCHMARKS, "Pass@2 (%)", "mG-Pass@2 (%)", "Avg@4 (%)", "Base", "SFT short", "SFT long"} <= texts


def test_markdown_says_whose_numbers_are_whose(results: Results) -> None:
    text = (results.root / "tables/tab2.md").read_text(encoding="utf-8")
    ours, theirs = text.split("Reported by the paper, Qwen2.5-7B\n")
    assert "Measured here, 0.00 million parameters\n\n| technique | rows Pass@2 |" in ours
    assert "| SFT long | 50.0 (45.0 to 55.0) |" in ours
    assert "| technique | AIME24 Pass@8 |" in theirs


def test_the_same_metrics_give_the_same_bytes(results: Results) -> None:
    paths = [results.figure("tab2"), results.exhibit("tab2"), results.root / "tables/tab2.md"]
    first = [path.read_bytes() for path in paths]
    results.draw_tab2()
    assert [path.read_bytes() for path in paths] == first


def test_a_missing_metric_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.parquet"
    rows = [row for row in metric_rows() if (row["model"], row["metric"]) != ("base", "Pass@2")]
    write_table(MetricTable.cast(pl.DataFrame(rows)), MetricTable, path, provenance())
    with pytest.raises(DataError, match="lacks Pass@2 of base on rows"):
        read_metrics(path, EVALUATION)


def test_one_benchmark_is_enough(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "metrics.parquet"
    rows = [row for row in metric_rows() if row["benchmark"] == "rows" and row["model"] == "base"]
    write_table(MetricTable.cast(pl.DataFrame(rows)), MetricTable, path, provenance())
    table = comparison(read_metrics(path, EVALUATION), read_reported(REPORTED), EVALUATION, "1 million")
    assert [cell.text for cell in table.rows[1].cells[:2]] == ["not run yet", "not run yet"]
    results.draw_tab2(metrics=path, figure=tmp_path / "t.svg", exhibit=tmp_path / "t.json", markdown=tmp_path / "t.md")


@pytest.mark.parametrize("text", ["", "table2: 3", "table3: {}", "table2: [", "table2: {sft_long: 7}"])
def test_malformed_reported_numbers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reported.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match="does not hold the paper's table2"):
        read_reported(path)
