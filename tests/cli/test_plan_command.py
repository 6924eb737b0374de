import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "130")


@pytest.mark.parametrize("scale", ["micro", "paper"])
def test_eighty_columns_are_enough(monkeypatch: pytest.MonkeyPatch, ask: Ask, scale: str) -> None:
    wide = ask("plan", "--scale", scale).out
    monkeypatch.setenv("COLUMNS", "80")
    narrow = ask("plan", "--scale", scale).out
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.split() == wide.split()  # nothing is cut, and no cell is broken over two lines


def test_all_numbers_as_json(ask: Ask) -> None:
    costs = json.loads(ask("plan", "--scale", "paper", "--json", "--config", "seeds=[0, 1, 2]").out)
    assert costs["seeds"] == 3
    assert {run["model"] for run in costs["runs"]} >= {"sft_short", "sft_long", "dpo", "zero_grpo", "sft_grpo"}
    assert all(0 < run["memory_gb"] < 80 for run in costs["runs"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "nonsense"], "error: unknown scale 'nonsense'; allowed: "),
        (["--completion-tokens", "0"], "Invalid value for '--completion-tokens': Input should be greater"),
        (["--config", "hardware"], "Invalid value for '--config': 'hardware': write KEY=VALUE"),
        (["--config", "colour=1"], "unknown key colour"),
        (["--scale", "paper", "--config", "hardware.memory_gb=16"], "memory_gb = 16 leaves 14.4 GB"),
        (["--scale", "paper", "--config", "hardware.processes=7"], "batch_size = 256 must be a multiple of"),
    ],
)
def test_bad_input_ends_with_one_line_and_exit_code_2(ask: Ask, arguments: list[str], message: str) -> None:
    told = ask("plan", *arguments)
    assert told.code == 2 and message in told.error()


def test_a_plan_is_quick_and_needs_no_torch() -> None:
    code = "import sys; from raml.cli import main\ntry: main()\nexcept SystemExit: assert 'torch' not in sys.modules"
    before = os.times()
    subprocess.run([sys.executable, "-c", code, "plan", "--scale", "paper"], check=True, capture_output=True, cwd=ROOT)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.0


def test_the_guide_shows_what_the_command_prints(ask: Ask) -> None:
    guide = (ROOT / "docs" / "training.md").read_text()
    printed = ask("plan", "--scale", "paper", "--prompt-tokens", "200", "--completion-tokens", "4000").out
    [tables] = re.findall(r"    Training, one seed\n(.*?)    Device time", guide, re.DOTALL)
    rows = [line[4:] for line in tables.splitlines() if line.strip() != "..."]
    assert len(rows) > 10 and any("figure 11, summaries" in row for row in rows)
    assert {*rows} <= {line.rstrip() for line in printed.splitlines()}
    [summary] = re.findall(r"    (Device time: .*?at\s+work\.)", guide, re.DOTALL)
    assert " ".join(summary.split()) in " ".join(printed.split())
    [bound] = re.findall(r"then it is ([\d,]+) h, an upper\s+bound", guide)
    assert f"{bound} h for 1 seed" in " ".join(ask("plan", "--scale", "paper").out.split())
