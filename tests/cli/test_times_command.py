"""`raml times`."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

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


def test_rules_are_shown_longest_first(
    checkout: Path, raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command("times") == 0
    shown = capsys.readouterr().out
    assert shown.index("train_dpo") < shown.index("[red]")
    for text in ("40.0", "96.4%", "512", "3 jobs: 42 s one after the other, 30 s as they ran", "seed 1: 1 jobs, 10 s"):
        assert text in shown
    assert not (checkout / "results").exists()


def test_json_is_what_is_saved(
    checkout: Path, raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command("times", "--save", "--json") == 0
    path = checkout / "results/micro/times.json"
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert read_times(path).seconds == 41.5
    assert path.read_text() == json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ("huge", "benchmarks/huge holds no timings of jobs"),
        ("micro", "benchmarks/micro/decide.tsv is no benchmark file of Snakemake"),
    ],
)
def test_timings_that_cannot_be_read_end_with_one_line(
    scale: str, message: str, checkout: Path, raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "benchmarks/micro/decide.tsv").write_text("s\n")
    assert raml_command("times", "--scale", scale) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(f"error: {message}") and captured.err.count("\n") == 1
