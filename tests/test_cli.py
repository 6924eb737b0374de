import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import raml

COMMANDS = (
    "claims",
    "compare",
    "doctor",
    "landscape",
    "plan",
    "probe",
    "restore",
    "status",
    "times",
    "trace",
    "verify",
)
WITH_TABLES = ("claims", "compare", "doctor", "plan", "status", "times", "trace", "verify")
Ask = Callable[..., Any]


def test_version(ask: Ask) -> None:
    assert ask("--version").out == f"raml {raml.__version__}\n"


def test_starting_imports_nothing_heavy() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", "import sys, raml.cli; print(*sys.modules)"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "raml.cli" in imported
    heavy = {"torch", "polars", "transformers", "matplotlib", "numpy", "snakemake", "jinja2", "rich", "pydantic"}
    assert not heavy & set(imported)


def test_help_starts_at_once_and_names_every_command_once() -> None:
    seconds = []
    for _ in range(3):  # CPU time: a busy machine stretches the other
        before = os.times()
        command = [sys.executable, "-c", "from raml.cli import main; main()", "--help"]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.5
    assert all(shown.count(f"│ {command} ") == 1 for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options_and_every_table_is_to_be_had_as_json(ask: Ask, command: str) -> None:
    told = ask(command, "--help")
    assert told.code == 0 and f"raml {command}" in told.out
    assert ("--json" in told.out) == (command in WITH_TABLES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["probe"], "Missing option '--model'; see raml probe --help"),
        (["claims", "--scales", "x"], "No such option: --scales"),
        (["guess"], "No such command 'guess'"),
        (["claims", "--scale", "\udcff"], "argument 3 is not UTF-8"),
        (["plan", "--scale", "x" * 300], "error: config/scales/xxx"),
    ],
)
def test_a_wrong_command_line_ends_with_one_line_and_exit_code_2(ask: Ask, arguments: list[str], message: str) -> None:
    told = ask(*arguments)
    assert told.code == 2 and message in told.error()


def test_without_a_command_the_help_is_shown(ask: Ask) -> None:
    told = ask()
    assert told.code == 2 and "landscape" in told.out and told.err == ""


def test_an_interrupt_ends_with_exit_code_130(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raml.claims.results.load_results", interrupted)
    assert ask("claims").code == 130
