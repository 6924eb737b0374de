"""The chain behind a number, from the workflow's own graph and from what files record."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raml.errors import InputError
from raml.lineage.trace import find

ROOT = Path(__file__).parents[2]


def traced(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`raml trace` in a process of its own, since Snakemake sets up the one that it runs in."""
    command = [sys.executable, "-c", "from raml.cli import main; main()", "trace", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def tab2() -> dict[str, Any]:
    ran = traced("claims/tab2", "--json")
    assert ran.returncode == 0, ran.stderr
    chain: dict[str, Any] = json.loads(ran.stdout)
    return chain


def test_a_claim_is_followed_to_the_questions(tab2: dict[str, Any]) -> None:
    rules = [stage["rule"] for stage in tab2["stages"]]
    assert rules[:3] == ["decide", "quantities", "score"] and rules[-1] == "build_questions"
    order = ["score", "sample_sft", "train_sft_long", "train_base", "pretrain", "build_questions"]
    assert [rule for rule in rules if rule in order] == order
    assert "landscape" not in rules  # other claims' measurements are not behind it
    assert tab2["claim"]["id"] == "tab2" and tab2["claim"]["measured"] is not None


def test_recorded_hashes_are_set_against_the_workflow(tab2: dict[str, Any]) -> None:
    stages = {stage["rule"]: stage for stage in tab2["stages"]}
    questions = stages["build_questions"]
    assert questions["module"] == "raml.questions.build" and "--config '{" in questions["command"]
    for file in questions["files"]:
        assert file["here"] and file["recorded_in"] == file["path"] and len(file["sha256"]) == 12
        # The rule's parameter hashes to what the step wrote, so that hashes hold for files without metadata too.
        assert file["provenance"]["config_hash"] == questions["config_hash"]
    samples = stages["sample_sft"]["files"]
    assert stages["sample_sft"]["seeds"] == [0, 1, 2] and len(samples) == 6
    if not any(file["here"] for file in samples):
        # Exhibits were drawn from them and keep what they said.
        assert {file["provenance"]["seed"] for file in samples} == {0, 1, 2}
        assert all(file["recorded_in"].startswith("results/micro/figures/") for file in samples)


def test_the_chain_is_shown() -> None:
    ran = traced("figures/fig3")
    assert ran.returncode == 0, ran.stderr
    for text in (
        "1. draw_raw: 1 job",
        "results/micro/figures/fig3.svg  (here, sha256 ",
        "seeds 0, 1, 2",
        "machine of the analysis: ",
    ):
        assert text in ran.stdout
    assert "python -m raml.report.draw_raw --scale micro --config ... " in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["claims/tab9"], "has no claim 'tab9'; it has prop2.1"),
        (["tables/tab1.md", "--scale", "huge"], "unknown scale 'huge'"),
    ],
)
def test_bad_input_ends_with_one_line(
    arguments: list[str], message: str, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    told = ask("trace", *arguments)
    assert told.code == 2 and message in told.error()


def test_what_no_rule_makes_and_what_was_not_run_say_so(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert "raml times --scale micro --save" in ask("trace", "times.json").out
    assert "nothing was measured" in ask("trace", "claims/sec4.3").out


def test_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    figures = tmp_path / "results/micro/figures"
    figures.mkdir(parents=True)
    for name in ("fig1.svg", "fig1.json", "fig11.svg"):
        (figures / name).touch()
    assert find("figures/fig1", "micro").path.as_posix() == "results/micro/figures/fig1.json"
    assert find("results/small/claims.json", "micro").scale == "small"
    assert find("models/seed0/base", "micro").path.name == "model.safetensors"
    for name in ("", "../x", "/etc/passwd"):
        with pytest.raises(InputError, match="neither"):
            find(name, "micro")
