"""`raml times`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark_files import HEADER
from raml.lineage.timings import read_times


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the benchmark files of one run, which the command is called in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name, seconds in (("train_dpo/seed0", 30.0), ("train_dpo/seed1", 10.0), ("[red]", 1.5)):
        path = tmp_path / f"benchmarks/micro/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:30\t512.25\t1\t1\t1\t0\t0\t50.0\tNA\n")
        os.utime(path, (1000, 1000))
    return tmp_path


def test_rules_are_shown_longest_first(checkout: Path, ask: Callable[..., Any]) -> None:
    told = ask("times")
    assert told.code == 0 and told.out.index("train_dpo") < told.out.index("[red]")
    for text in ("40.0", "96.4%", "512", "3 jobs: 42 s one after the other, 30 s as they ran", "seed 1: 1 job, 10 s"):
        assert text in told.out
    assert not (checkout / "results").exists()


def test_json_is_what_is_saved(checkout: Path, ask: Callable[..., Any]) -> None:
    path = checkout / "results/micro/times.json"
    assert ask("times", "--save", "--json").out == path.read_text()
    assert read_times(path).seconds == 41.5 and json.loads(path.read_text())["scale"] == "micro"


def test_timings_that_cannot_be_read_end_with_one_line(checkout: Path, ask: Callable[..., Any]) -> None:
    told = ask("times", "--scale", "huge")
    assert told.code == 2 and told.error().startswith("error: benchmarks/huge holds no timings of jobs")
