"""`raml times`."""

import json
import os
import sys
from pathlib import Path

import pytest

from raml.cli import main
from raml.lineage.timings import read_times

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the benchmark files of one run, which the command is called in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for name, seconds in (("train_dpo/seed0", 30.0), ("train_dpo/seed1", 10.0), ("[red]", 1.5)):
        path = tmp_path / f"benchmarks/micro/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:30\t512.25\t1\t1\t1\t0\t0\t50.0\tNA\n")
        os.utime(path, (1000, 1000))
    return tmp_path


def times(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["raml", "times", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_rules_are_shown_longest_first(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert times(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert shown.index("train_dpo") < shown.index("[red]")
    for text in ("40.0", "96.4%", "512", "3 jobs: 42 s one after the other, 30 s as they ran", "seed 1: 1 jobs, 10 s"):
        assert text in shown
    assert "CPU time of short jobs" in " ".join(shown.split())
    assert not (checkout / "results").exists()


def test_json_is_what_is_saved(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert times(monkeypatch, "--save", "--json") == 0
    path = checkout / "results/micro/times.json"
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert read_times(path).seconds == 41.5
    assert path.read_text() == json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True) + "\n"


def test_saving_says_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert times(monkeypatch, "--save") == 0
    assert "written: results/micro/times.json" in capsys.readouterr().out


def test_a_scale_that_was_not_run_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert times(monkeypatch, "--scale", "huge") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: benchmarks/huge holds no timings of jobs")


def test_a_malformed_file_ends_with_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "benchmarks/micro/decide.tsv").write_text("s\n")
    assert times(monkeypatch) == 2
    assert "benchmarks/micro/decide.tsv is no benchmark file of Snakemake" in capsys.readouterr().err
