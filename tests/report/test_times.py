"""Where a run's time went, as an exhibit."""

import json
from pathlib import Path

import pytest
from sweep_tables import parse

from benchmark_files import write_benchmarks
from raml.lineage.timings import measure
from raml.report import times
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.page import label
from raml.report.times_figure import SHOWN
from raml.step import run
from raml.storage import write_json


def draw(path: Path, folder: Path) -> Exhibit:
    arguments = ["--scale", "minimal", "--config", "{}", "--times", str(path)]
    arguments += ["--figure", str(folder / "times.svg"), "--exhibit", str(folder / "times-exhibit.json")]
    run(times.main, times.Job, **times.FILES, arguments=arguments)
    return read_exhibit(folder / "times-exhibit.json")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    write_json(
        measure("minimal", write_benchmarks(tmp_path / "benchmarks")).model_dump(mode="json"), tmp_path / "times.json"
    )
    return tmp_path / "times.json"


def test_the_exhibit_has_a_bar_and_a_row_for_each_rule(saved: Path, tmp_path: Path) -> None:
    exhibit = draw(saved, tmp_path)
    ids, texts = parse(tmp_path / "times.svg")
    assert {"times-bar-0", "times-bar-2"} <= set(ids) and "times-bar-3" not in ids
    assert {"train_dpo", "80 s, 84.1%, 2 jobs", "0 s, 0.1%, 1 job"} <= set(texts)
    rules, seeds = exhibit.tables
    assert [cell.text for cell in rules.rows[0].cells] == ["2", "80.0", "50.0", "84.1", "32.0", "800"]
    assert [cell.text for cell in rules.rows[2].cells][-2:] == ["\N{EN DASH}"] * 2
    assert [row.heading for row in seeds.rows] == ["shared by all", "0", "1"]
    assert ("seconds as they ran", 75) in exhibit.n
    assert "Wall-clock seconds decide" in exhibit.done[1]
    assert exhibit.done[0].startswith("Measured on ") and " core" in exhibit.done[0]
    assert "the last run" not in " ".join(exhibit.done)


def test_many_rules_share_the_last_bar(saved: Path, tmp_path: Path) -> None:
    values = json.loads(saved.read_text())
    values["rules"] = [values["rules"][1] | {"rule": f"rule_{number}"} for number in range(SHOWN + 5)]
    write_json(values, saved)
    exhibit = draw(saved, tmp_path)
    ids, texts = parse(tmp_path / "times.svg")
    assert f"times-bar-{SHOWN - 1}" in ids and f"times-bar-{SHOWN}" not in ids
    assert "6 other rules" in texts and len(exhibit.tables[0].rows) == SHOWN + 5


def test_the_same_times_give_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    draw(saved, tmp_path)
    first = [(tmp_path / name).read_bytes() for name in ("times.svg", "times-exhibit.json")]
    draw(saved, tmp_path)
    assert [(tmp_path / name).read_bytes() for name in ("times.svg", "times-exhibit.json")] == first


def test_times_of_another_scale_are_refused(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(json.loads(saved.read_text()) | {"scale": "paper"}, saved)
    with pytest.raises(SystemExit, match="2"):
        draw(saved, tmp_path)
    error = capsys.readouterr().err
    assert "is of scale 'paper'" in error and error.count("\n") == 1


def test_exhibits_that_the_paper_has_not_are_called_by_their_names() -> None:
    assert [label(name) for name in ("times", "training")] == ["Times", "Training"]
