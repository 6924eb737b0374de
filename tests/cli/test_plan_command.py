import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Plan = Callable[..., Any]


@pytest.fixture
def plan(ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Run `raml plan` at the paper's scale, unless another is given, on a terminal of so many columns."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: str, scale: str = "paper", columns: int = 130) -> Any:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("rich._console", None)  # rich looks at the width once
        return ask("plan", "--scale", scale, *arguments)

    return run


def test_the_plan_of_a_scale_is_shown_with_what_it_takes_for_granted(plan: Plan) -> None:
    shown = plan().out
    for text in ("7.62 G parameters", "8 x NVIDIA A800", "sft_short_m32", "zero_grpo", "figure 11", "8 devices"):
        assert text in shown
    assert "prompts and completions as long as allowed" in shown
    caveat = "with `engine.name: torch` it takes many times as long"
    assert caveat in " ".join(shown.split()) and caveat not in " ".join(plan(scale="micro").out.split())


@pytest.mark.parametrize("scale", ["micro", "minimal", "paper"])
def test_eighty_columns_are_enough(plan: Plan, scale: str) -> None:
    narrow, wide = (plan(scale=scale, columns=columns).out for columns in (80, 200))
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.split() == wide.split()  # nothing is cut, and no cell is broken over two lines


def test_all_numbers_as_json_follow_changed_values(plan: Plan) -> None:
    memories = []
    for processes in (8, 64):
        told = plan("--json", "--config", "seeds=[0, 1, 2]", "--config", f"hardware.processes={processes}")
        made = json.loads(told.out)
        runs = {run["model"]: run for run in made["runs"]}
        assert made["seeds"] == 3 and runs.keys() >= {"sft_short", "sft_long", "dpo", "zero_grpo", "sft_grpo"}
        assert all(0 < run["memory_gb"] < 80 for run in made["runs"])
        memories.append(runs["sft_long"]["memory_gb"] / runs["sft_long"]["rows_at_once"])
    assert memories[1] < memories[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "nonsense"], "error: unknown scale 'nonsense'; allowed: "),
        (["--completion-tokens", "0"], "error: --completion-tokens = 0: must be at least 1"),
        (["--config", "hardware"], "error: --config 'hardware': write KEY=VALUE"),
        (["--config", "seeds=[0"], "error: --config 'seeds=[0': write KEY=VALUE"),
        (["--config", "colour=1"], "unknown key colour"),
        (["--scale", "paper", "--config", "hardware.memory_gb=16"], "memory_gb = 16 leaves 14.4 GB"),
        (["--scale", "paper", "--config", "hardware.processes=7"], "batch_size = 256 must be a multiple of"),
        (
            ["--scale", "paper", "--config", "hardware.processes=128"],
            "each of 128 processes 8 completions; they must",
        ),
    ],
)
def test_bad_input_ends_with_one_line_and_exit_code_2(plan: Plan, arguments: list[str], message: str) -> None:
    told = plan(*arguments, scale="micro")
    assert told.code == 2 and message in told.error()


def test_a_plan_needs_no_torch() -> None:
    code = "import sys; from raml.cli import main\ntry: main()\nexcept SystemExit: assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "plan", "--scale", "paper"], check=True, capture_output=True, cwd=ROOT)


def test_the_guide_shows_what_the_command_prints(plan: Plan) -> None:
    guide = (ROOT / "docs" / "training.md").read_text()
    shown = plan("--prompt-tokens", "200", "--completion-tokens", "4000").out
    [tables] = re.findall(r"    Training, one seed\n(.*?)    Device time", guide, re.DOTALL)
    rows = [line[4:] for line in tables.splitlines() if line.strip() != "..."]
    assert len(rows) > 10 and any("figure 11, summaries" in row for row in rows)
    printed_rows = [line.rstrip() for line in shown.splitlines()]
    assert all(row in printed_rows for row in rows)
    printed = " ".join(shown.split())
    assert "completions of 4,000 tokens on average" in printed
    [summary] = re.findall(r"    (Device time: .*?at\s+work\.)", guide, re.DOTALL)
    assert " ".join(summary.split()) in printed
    [bound] = re.findall(r"then it is ([\d,]+) h, an upper\s+bound", guide)
    assert f"{bound} h for 1 seed" in " ".join(plan().out.split())
