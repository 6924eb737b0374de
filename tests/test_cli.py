import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import raml
from raml.cli import app, main

CLAIM: dict[str, Any] = {
    "id": "fig3",
    "exhibit": "Fig. 3",
    "statement": "NLL [nats] falls",
    "paper": "Section 3",
    "reported": None,
    "measured": 0.5,
    "unit": "nats",
    "interval": [0.25, 0.75],
    "n": {"questions": 3},
    "verdict": "holds",
    "reason": "above 0",
    "details": {},
    "artifacts": [],
    "command": "make reproduce",
}


def raml_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["raml", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "results" / "micro").mkdir(parents=True)
    return tmp_path / "results" / "micro"


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert raml_command(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"raml {raml.__version__}\n"


def test_claims_are_shown(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    not_run = {**CLAIM, "id": "fig9", "measured": None, "interval": None, "verdict": "not_run"}
    (results / "claims.json").write_text(json.dumps([CLAIM, not_run]))
    assert raml_command(monkeypatch, "claims") == 0
    shown = capsys.readouterr().out
    for text in ("fig3", "NLL [nats] falls", "0.5", "above 0", "0.25 to 0.75", "holds", "fig9", "not_run"):
        assert text in shown


def test_claims_as_json_are_the_file(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "claims.json").write_text(json.dumps([CLAIM]))
    assert raml_command(monkeypatch, "claims", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [CLAIM]


@pytest.mark.parametrize("content", [None, "{", '[{"id": "fig3"}]', "{}"])
def test_unusable_claims_end_with_one_line_and_exit_code_2(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (results / "claims.json").write_text(content)
    assert raml_command(monkeypatch, "claims") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: results/micro/claims.json")
    assert captured.err.count("\n") == 1


def test_an_unknown_scale_ends_with_exit_code_2(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command(monkeypatch, "claims", "--scale", "huge") == 2
    assert "results/huge/claims.json does not exist" in capsys.readouterr().err


def test_starting_imports_nothing_heavy() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", "import sys, raml.cli; print(*sys.modules)"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "raml.cli" in imported
    heavy = {"torch", "polars", "transformers", "matplotlib", "numpy", "snakemake", "jinja2", "rich", "pydantic"}
    assert not heavy & set(imported)


def test_help_starts_at_once() -> None:
    seconds = []
    for _ in range(3):  # CPU time: a busy machine stretches the other
        before = os.times()
        shown = subprocess.run(
            [sys.executable, "-c", "from raml.cli import app, main; main()", "--help"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.5
    assert all(command in shown for command in ("claims", "probe", "landscape", "plan", "times"))


@pytest.mark.parametrize("command", ["claims", "probe", "landscape", "plan", "times"])
def test_every_command_explains_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert raml_command(monkeypatch, command, "--help") == 0
    assert f"raml {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["probe"], "Missing option '--model'; see raml probe --help"),
        (["claims", "--scales", "x"], "No such option: --scales"),
        (["guess"], "No such command 'guess'"),
        (["claims", "--scale", "\udcff"], "argument 3 is not UTF-8"),
    ],
)
def test_a_wrong_command_line_ends_with_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert raml_command(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and message in captured.err


def test_without_a_command_the_help_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command(monkeypatch) == 2
    captured = capsys.readouterr()
    assert "landscape" in captured.out and captured.err == ""
    assert captured.out.count(" landscape ") == 1  # each command once


def test_an_interrupt_ends_with_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raml.claims.table.load_results", interrupted)
    assert raml_command(monkeypatch, "claims") == 130


def test_every_command_is_registered_once() -> None:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    assert names == ["claims", "probe", "landscape", "plan", "times"]
