import os
import subprocess
import sys

import pytest

import raml
from raml.cli import app, main


def raml_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["raml", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert raml_command(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"raml {raml.__version__}\n"


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
        (["plan", "--scale", "x" * 300], "a name of 319 characters, which no file can have: config/scales/xxx"),
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
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raml.claims.results.load_results", interrupted)
    assert raml_command(monkeypatch, "claims") == 130


def test_every_command_is_registered_once() -> None:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    assert names == [
        *("claims", "compare", "trace", "verify", "restore", "doctor", "probe", "landscape", "plan", "times", "status")
    ]
