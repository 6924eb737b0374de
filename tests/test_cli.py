import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import raml
from raml.cli import app

Ask = Callable[..., Any]

CLAIM: dict[str, Any] = {
    "id": "fig3", "exhibit": "Fig. 3", "statement": "NLL [nats] falls", "paper": "Section 3", "reported": None,
    "measured": 0.5, "unit": "nats", "interval": [0.25, 0.75], "n": {"questions": 3}, "verdict": "holds",
    "reason": "above 0", "details": {}, "artifacts": [], "command": "make reproduce",
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write a file of claims in the folder where the command runs: text, or the changes of each claim."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "results" / "micro").mkdir(parents=True)

    def claims(*changes: dict[str, Any], text: str = "") -> None:
        rows = [{**CLAIM, **each} for each in changes]
        (tmp_path / "results" / "micro" / "claims.json").write_text(text or json.dumps(rows))

    return claims


def test_claims_are_shown(write: Callable[..., None], ask: Ask) -> None:
    write({}, {"id": "fig9", "measured": None, "interval": None, "verdict": "not_run"})
    shown = ask("claims").out
    for text in ("fig3", "NLL [nats] falls", "0.5", "[0.25, 0.75]", "1 holds, 1 not_run", "fig9 not_run: above 0"):
        assert text in shown
    assert "fig3 holds" not in shown


def test_claims_fit_into_100_columns_with_their_adjusted_verdicts(
    write: Callable[..., None], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    long = {
        "id": "prop2.1-construction", "statement": "word " * 20, "measured": -1.234e-6,
        "interval": [-2.345e-06, 1.234e-06], "line": -0.0001, "claimed": "below", "verdict": "contradicted",
        "p": 0.00012, "p_holm": 0.12, "verdict_holm": "inconclusive",
        "reported": {"figure6": {"Wait": 1.22, "Hold on": 279.5}},
    }  # fmt: skip
    write(long, {"reported": {"figure7": {"values": None}}})
    shown = ask("claims").out
    for text in (
        "-1.23e-06", "[-2.34e-06, 1.23e-06]", "claimed < -0.0001", "contradicted", "0.00012", "0.12", "inconclusive",
        "Wait 1.22", "279.5", "a plot",
    ):  # fmt: skip
        assert text in shown
    assert max(len(line) for line in shown.splitlines()) <= 100
    assert "..." not in shown and "\N{HORIZONTAL ELLIPSIS}" not in shown


def test_claims_are_chosen_by_name_exhibit_and_verdict(write: Callable[..., None], ask: Ask) -> None:
    write({}, {"id": "tab2", "exhibit": "tab2", "verdict": "inconclusive"}, {"id": "tab2-grpo", "exhibit": "tab2"})
    for arguments, ids in (
        ([], ["fig3", "tab2", "tab2-grpo"]),
        (["tab2"], ["tab2", "tab2-grpo"]),
        (["tab2-grpo"], ["tab2-grpo"]),
        (["--verdict", "holds"], ["fig3", "tab2-grpo"]),
        (["tab2", "--verdict", "holds"], ["tab2-grpo"]),
        (["--verdict", "not_run"], []),
    ):
        found = json.loads(ask("claims", "--json", *arguments).out)
        assert [claim["id"] for claim in found] == ids
        assert "fig3" not in ids or found[0] == CLAIM  # as in the file
    assert "has no claim 'tab9'; it has fig3, tab2, tab2-grpo" in ask("claims", "tab9").error()
    assert "no claim has this verdict" in ask("claims", "--verdict", "not_run").out


def test_what_is_named_is_shown_in_full(write: Callable[..., None], ask: Ask) -> None:
    number = {"key": "table2.x", "reported": 20.0, "measured": 33.5, "tolerance": 10.0, "within": False}
    write({"needs": "a model", "decidable_at": ["micro", "paper"], "against_reported": [number]})
    shown = ask("claims", "fig3").out
    for text in (
        "fig3 holds: above 0", "needs: a model", "can be decided at: micro, paper", "n: 3 questions",
        "command: make reproduce", "table2.x: 33.5, the paper 20 (tolerance 10, beyond it)",
    ):  # fmt: skip
        assert text in shown


def test_results_of_another_scale_are_refused(write: Callable[..., None], ask: Ask) -> None:
    write({}, {"command": "snakemake --cores 2 results/small/claims.json --config scale=small"})
    error = ask("claims").error()
    assert "results/micro/claims.json holds results of scale 'small'" in error
    assert "snakemake --cores 2 results/micro/claims.json --config scale=micro" in error


def test_results_that_the_registry_has_left_behind_are_called_stale(write: Callable[..., None], ask: Ask) -> None:
    write({})
    shutil.copytree(Path(__file__).parents[1] / "config", "config")
    told = ask("claims")
    assert told.code == 0 and "NLL [nats] falls" in told.out
    assert told.err.startswith("warning: results/micro/claims.json is stale: claim 'prop2.1' is new; decide again")
    assert "`snakemake --cores 2 results/micro/claims.json --config scale=micro`" in told.err


@pytest.mark.parametrize("content", [None, "{", '[{"id": "fig3"}]', "{}"])
def test_unusable_claims_end_with_one_line_and_exit_code_2(
    write: Callable[..., None], ask: Ask, content: str | None
) -> None:
    if content is not None:
        write(text=content)
    told = ask("claims")
    assert told.code == 2 and told.error().startswith("error: results/micro/claims.json")


def test_starting_imports_nothing_heavy() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", "import sys, raml.cli; print(*sys.modules)"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "raml.cli" in imported
    heavy = {"torch", "polars", "transformers", "matplotlib", "numpy", "snakemake", "jinja2", "rich", "pydantic"}
    assert not heavy & set(imported)


@pytest.mark.parametrize("command", ["claims", "probe", "landscape", "plan", "times"])
def test_every_command_explains_its_options(ask: Ask, command: str) -> None:
    told = ask(command, "--help")
    assert told.code == 0 and f"raml {command}" in told.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["probe"], "Missing option '--model'; see raml probe --help"),
        (["claims", "--scales", "x"], "No such option: --scales"),
        (["guess"], "No such command 'guess'"),
        (["claims", "--scale", "\udcff"], "argument 3 is not UTF-8"),
        (
            ["claims", "--scale", "huge"],
            "results/huge/claims.json does not exist; make it with `snakemake --cores 2 res",
        ),
        (["plan", "--scale", "x" * 300], "a name of 319 characters, which no file can have: config/scales/xxx"),
    ],
)
def test_a_wrong_command_line_ends_with_one_line_and_exit_code_2(ask: Ask, arguments: list[str], message: str) -> None:
    told = ask(*arguments)
    assert told.code == 2 and message in told.error()


COMMANDS = (
    "claims",
    "compare",
    "trace",
    "verify",
    "restore",
    "doctor",
    "probe",
    "landscape",
    "plan",
    "times",
    "status",
)


def test_without_a_command_the_help_is_shown(ask: Ask) -> None:
    told = ask()
    assert told.code == 2 and told.err == ""
    assert told.out.count(" landscape ") == 1  # each command once
    assert tuple(command.callback.__name__ for command in app.registered_commands if command.callback) == COMMANDS
    assert ask("--version").out == f"raml {raml.__version__}\n"


def test_an_interrupt_ends_with_exit_code_130(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raml.claims.table.load_results", interrupted)
    assert ask("claims").code == 130
