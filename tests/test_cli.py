import json
import os
import shutil
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
    for text in ("fig3", "NLL [nats] falls", "0.5", "[0.25, 0.75]", "1 holds, 1 not_run", "fig9 not_run: above 0"):
        assert text in shown
    assert "fig3 holds" not in shown
    assert raml_command(monkeypatch, "claims", "fig3") == 0
    assert "fig3 holds: above 0" in capsys.readouterr().out


def test_claims_fit_into_100_columns_with_their_adjusted_verdicts(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    long = {
        **CLAIM, "id": "prop2.1-construction", "statement": "word " * 20, "measured": -1.234e-6,
        "interval": [-2.345e-06, 1.234e-06], "line": -0.0001, "claimed": "below", "verdict": "contradicted",
        "p": 0.00012, "p_holm": 0.12, "verdict_holm": "inconclusive",
        "reported": {"figure6": {"Wait": 1.22, "Hold on": 279.5}},
    }  # fmt: skip
    (results / "claims.json").write_text(json.dumps([long, {**CLAIM, "reported": {"figure7": {"values": None}}}]))
    assert raml_command(monkeypatch, "claims") == 0
    shown = capsys.readouterr().out
    for text in ("-1.23e-06", "[-2.34e-06, 1.23e-06]", "claimed < -0.0001", "contradicted", "0.00012", "0.12"):
        assert text in shown
    assert "inconclusive" in shown and "Wait 1.22" in shown and "279.5" in shown and "a plot" in shown
    assert max(len(line) for line in shown.splitlines()) <= 100
    assert "..." not in shown and "\N{HORIZONTAL ELLIPSIS}" not in shown


def test_claims_are_chosen_by_name_exhibit_and_verdict(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = [CLAIM, {**CLAIM, "id": "tab2", "exhibit": "tab2", "verdict": "inconclusive"}]
    claims.append({**CLAIM, "id": "tab2-grpo", "exhibit": "tab2"})
    (results / "claims.json").write_text(json.dumps(claims))
    for arguments, ids in (
        (["tab2"], ["tab2", "tab2-grpo"]),
        (["tab2-grpo"], ["tab2-grpo"]),
        (["--verdict", "holds"], ["fig3", "tab2-grpo"]),
        (["tab2", "--verdict", "holds"], ["tab2-grpo"]),
        (["--verdict", "not_run"], []),
    ):
        assert raml_command(monkeypatch, "claims", "--json", *arguments) == 0
        assert [claim["id"] for claim in json.loads(capsys.readouterr().out)] == ids
    assert raml_command(monkeypatch, "claims", "tab9") == 2
    assert "has no claim 'tab9'; it has fig3, tab2, tab2-grpo" in capsys.readouterr().err
    assert raml_command(monkeypatch, "claims", "--verdict", "not_run") == 0
    assert "no claim has this verdict" in capsys.readouterr().out


def test_what_is_named_is_shown_in_full(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    number = {"key": "table2.x", "reported": 20.0, "measured": 33.5, "tolerance": 10.0, "within": False}
    full = {**CLAIM, "needs": "a model", "decidable_at": ["micro", "paper"], "against_reported": [number]}
    (results / "claims.json").write_text(json.dumps([full]))
    assert raml_command(monkeypatch, "claims", "fig3") == 0
    shown = capsys.readouterr().out
    for text in (
        "needs: a model", "can be decided at: micro, paper", "n: 3 questions", "command: make reproduce",
        "table2.x: 33.5, the paper 20 (tolerance 10, beyond it)",
    ):  # fmt: skip
        assert text in shown


def test_results_of_another_scale_are_refused(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**CLAIM, "command": "snakemake --cores 2 results/small/claims.json --config scale=small"}
    (results / "claims.json").write_text(json.dumps([CLAIM, other]))
    assert raml_command(monkeypatch, "claims") == 2
    error = capsys.readouterr().err
    assert "results/micro/claims.json holds results of scale 'small'" in error and error.count("\n") == 1
    assert "snakemake --cores 2 results/micro/claims.json --config scale=micro" in error


def test_results_that_the_registry_has_left_behind_are_called_stale(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "claims.json").write_text(json.dumps([CLAIM]))
    shutil.copytree(Path(__file__).parents[1] / "config", "config")
    assert raml_command(monkeypatch, "claims") == 0
    captured = capsys.readouterr()
    assert "NLL [nats] falls" in captured.out
    assert captured.err.startswith("warning: results/micro/claims.json is stale: claim 'prop2.1' is new; decide again")
    assert "`snakemake --cores 2 results/micro/claims.json --config scale=micro`" in captured.err


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
    error = capsys.readouterr().err
    assert "results/huge/claims.json does not exist; make it with `snakemake --cores 2 results/huge/claims" in error


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
