import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raml.cli import main

ROOT = Path(__file__).parents[2]


def raml_plan(monkeypatch: pytest.MonkeyPatch, *arguments: str, columns: str = "130") -> int:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("rich._console", None)  # rich looks at the width once
    monkeypatch.setattr(sys, "argv", ["raml", "plan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("scale", ["micro", "minimal", "paper"])
def test_eighty_columns_are_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scale: str
) -> None:
    shown = []
    for columns in ("80", "200"):
        assert raml_plan(monkeypatch, "--scale", scale, columns=columns) == 0
        shown.append(capsys.readouterr().out)
    narrow, wide = shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.split() == wide.split()  # nothing is cut, and no cell is broken over two lines


def test_all_numbers_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert raml_plan(monkeypatch, "--scale", "paper", "--json", "--config", "seeds=[0, 1, 2]") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["seeds"] == 3
    assert {run["model"] for run in made["runs"]} >= {"sft_short", "sft_long", "dpo", "zero_grpo", "sft_grpo"}
    assert all(0 < run["memory_gb"] < 80 for run in made["runs"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "nonsense"], "error: unknown scale 'nonsense'; allowed: "),
        (["--completion-tokens", "0"], "error: --completion-tokens = 0: must be at least 1"),
        (["--config", "hardware"], "error: --config 'hardware': write KEY=VALUE"),
        (["--config", "colour=1"], "unknown key colour"),
        (["--scale", "paper", "--config", "hardware.memory_gb=16"], "memory_gb = 16 leaves 14.4 GB"),
        (["--scale", "paper", "--config", "hardware.processes=7"], "batch_size = 256 must be a multiple of"),
        (
            ["--scale", "paper", "--config", "hardware.processes=128"],
            "each of 128 processes 8 completions; they must",
        ),
    ],
)
def test_bad_input_ends_with_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert raml_plan(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and message in printed.err
    assert printed.err.count("\n") == 1


def test_a_plan_is_quick_and_needs_no_torch() -> None:
    code = "import sys; from raml.cli import main\ntry: main()\nexcept SystemExit: assert 'torch' not in sys.modules"
    before = os.times()
    subprocess.run([sys.executable, "-c", code, "plan", "--scale", "paper"], check=True, capture_output=True, cwd=ROOT)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.0


def test_the_guide_shows_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (ROOT / "docs" / "training.md").read_text()
    assert raml_plan(monkeypatch, "--scale", "paper", "--prompt-tokens", "200", "--completion-tokens", "4000") == 0
    shown = capsys.readouterr().out
    [tables] = re.findall(r"    Training, one seed\n(.*?)    Device time", guide, re.DOTALL)
    rows = [line[4:] for line in tables.splitlines() if line.strip() != "..."]
    assert len(rows) > 10 and any("figure 11, summaries" in row for row in rows)
    printed_rows = [line.rstrip() for line in shown.splitlines()]
    assert all(row in printed_rows for row in rows)
    printed = " ".join(shown.split())
    [summary] = re.findall(r"    (Device time: .*?at\s+work\.)", guide, re.DOTALL)
    assert " ".join(summary.split()) in printed
    assert raml_plan(monkeypatch, "--scale", "paper") == 0
    [bound] = re.findall(r"then it is ([\d,]+) h, an upper\s+bound", guide)
    assert f"{bound} h for 1 seed" in " ".join(capsys.readouterr().out.split())
