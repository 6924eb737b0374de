"""`raml claims`: what was decided, and what would be with other values."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden.cut import EXPECTED, ROOT
from raml.storage import read_json

CLAIM: dict[str, Any] = {
    "id": "fig3", "exhibit": "fig3", "statement": "NLL [nats] falls", "paper": "Section 3", "quantity": "rho",
    "reported": None, "verdict": "holds", "verdict_holm": "holds", "reason": "Rho lies below -0.3.", "p": 0.004,
    "p_holm": 0.08, "limits": "With one training seed.", "n": {"questions": 23, "seeds": 1}, "needs": "a model",
    "decidable_at": ["micro", "paper"], "command": "snakemake results/micro/claims.json",
    "effects": [
        {
            "name": "rho of sft_long", "label": "rho: SFT long", "quantity": "rho/correct", "model": "sft_long",
            "baseline": None, "over": "all benchmarks", "unit": "Spearman's rho", "estimate": -0.5123,
            "interval": [-0.6, -0.41], "threshold": -0.3, "side": "below", "questions": 23, "seeds": 1,
            "verdict": "holds",
        }
    ],
}  # fmt: skip
NOT_RUN = {
    key: value for key, value in CLAIM.items() if key not in ("effects", "p", "p_holm", "limits", "n", "verdict_holm")
} | {"id": "fig4", "exhibit": "fig4", "verdict": "not_run", "reason": "It needs a cluster."}
Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("results/micro").mkdir(parents=True)
    return tmp_path


def decided(*claims: dict[str, Any]) -> None:
    Path("results/micro/claims.json").write_text(json.dumps(claims))


def test_claims_with_effects_and_verdicts_fit_into_80_columns(ask: Ask) -> None:
    changed = CLAIM | {"id": "prop2.1-construction", "verdict": "contradicted", "verdict_holm": "inconclusive"}
    decided(CLAIM, NOT_RUN, changed | {"by_construction": True})
    told = ask("claims")
    assert told.code == 0
    printed = " ".join(told.out.split())
    for text in ("rho: SFT long -0.512 [-0.6, -0.41]", "below -0.3", "It needs a cluster.", "built in", "inconclusive"):
        assert text in printed
    assert "1 holds, 1 contradicted, 1 not_run" in printed and "Why: raml claims fig3 --scale micro" in printed
    assert "After Holm's correction for 2 tests 1 hold (fig3)." in printed
    assert max(map(len, told.out.splitlines())) <= 80 and "\N{HORIZONTAL ELLIPSIS}" not in told.out


def test_named_claims_are_shown_in_full(ask: Ask) -> None:
    number = {"key": "table2.x", "reported": 20.0, "measured": 33.5, "tolerance": 10.0, "within": False}
    reported = {"table2.x": {"P8": 20.0, "mG8": 7.5}, "figure7": {"values": None, "models": 4}}
    decided(CLAIM | {"against_reported": [number], "reported": reported}, NOT_RUN)
    printed = " ".join(ask("claims", "fig3").out.split())
    for text in (
        "fig3 holds: NLL [nats] falls", "why: Rho lies below -0.3.", "limits: With one training seed.",
        "p: 0.004, after Holm 0.08", "in the paper: Section 3", "reported: 2 numbers, 7.5 to 20",
        "n: 23 questions, 1 seeds", "needs: a model", "can be decided at: micro, paper",
        "table2.x: 33.5, the paper 20 (tolerance 10, beyond it)", "command: snakemake results/micro/claims.json",
    ):  # fmt: skip
        assert text in printed
    assert "cluster" not in printed


def test_claims_are_chosen_by_name_exhibit_and_verdict(ask: Ask) -> None:
    open_one = CLAIM | {"id": "tab2", "exhibit": "tab2", "verdict": "inconclusive"}
    decided(CLAIM, open_one, CLAIM | {"id": "tab2-grpo", "exhibit": "tab2"})
    for arguments, ids in (
        (["tab2"], ["tab2", "tab2-grpo"]), (["tab2-grpo"], ["tab2-grpo"]), (["--verdict", "not_run"], []),
        (["--verdict", "holds"], ["fig3", "tab2-grpo"]), (["tab2", "--verdict", "holds"], ["tab2-grpo"]),
    ):  # fmt: skip
        chosen = json.loads(ask("claims", "--json", *arguments).out)
        assert [one["id"] for one in chosen] == ids and all(CLAIM.keys() <= one.keys() for one in chosen)
    assert "has no claim 'tab9'; it has fig3, tab2, tab2-grpo" in ask("claims", "tab9").error()
    assert "no claim has this verdict" in ask("claims", "--verdict", "not_run").out


def test_results_that_cannot_be_used_end_with_one_line(ask: Ask) -> None:
    told = ask("claims")
    assert told.code == 2 and "does not exist; make it with `snakemake --cores 2 results/micro/claims" in told.error()
    decided(CLAIM, CLAIM | {"command": "snakemake --cores 2 results/small/claims.json --config scale=small"})
    assert "results/micro/claims.json holds results of scale 'small'" in ask("claims").error()


def test_results_that_the_registry_has_left_behind_are_called_stale(ask: Ask) -> None:
    decided(CLAIM)
    shutil.copytree(ROOT / "config", "config")
    told = ask("claims")
    assert told.code == 0 and told.err.startswith(
        "warning: results/micro/claims.json is stale: claim 'prop2.1' is new; decide again with `snake"
    )


@pytest.fixture
def measured(checkout: Path) -> Path:
    """The quantities of a part of a real run, with the configuration."""
    shutil.copytree(ROOT / "config", "config")
    Path("results/micro/tables").mkdir()
    shutil.copy(EXPECTED / "quantities.parquet", "results/micro/tables/quantities.parquet")
    shutil.copy(EXPECTED / "claims.json", "results/micro/claims.json")
    return checkout


def test_claims_are_decided_again_with_other_values_and_nothing_is_written(measured: Path, ask: Ask) -> None:
    before = {path: path.read_bytes() for path in measured.rglob("*") if path.is_file()}

    def again(*arguments: str) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in json.loads(ask("claims", "--json", *arguments).out)}

    recorded = {one["id"]: one for one in read_json(EXPECTED / "claims.json")}
    same = again("--confidence", "0.95")
    strict = again("--set", "fig3.threshold=-0.6", "--set", "prop2.1-downhill.min_questions=40")
    sure = again("--confidence", "0.999", "fig3")
    assert {name: one["verdict"] for name, one in same.items()} == {
        name: one["verdict"] for name, one in recorded.items()
    }
    assert recorded["fig3"]["verdict"] == "holds" and strict["fig3"]["verdict"] != "holds"
    assert strict["fig3"]["effects"][0]["threshold"] == -0.6 and strict["fig3"]["effects"][0]["estimate"] < -0.5
    assert "of the 40 questions that the claim asks for" in strict["prop2.1-downhill"]["reason"]
    assert strict["fig2"]["verdict"] == "contradicted"  # others stand
    assert list(sure) == ["fig3"] and sure["fig3"]["verdict"] == "inconclusive"  # its p is 0.004
    wide, narrow = (one["fig3"]["effects"][0]["interval"] for one in (sure, same))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert {path: path.read_bytes() for path in measured.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "fig3"], "Invalid value for '--set': 'fig3': write KEY=VALUE"),
        (["--set", "threshold=1"], "--set threshold: write CLAIM.KEY=VALUE, as in fig3.threshold=-0.6"),
        (["--set", "fig3.threshold=["], "fig3.threshold=[ is not valid YAML"),
        (["--set", "fig99.threshold=1"], "config/claims.yaml has no claim 'fig99'; it has prop2.1, "),
        (["--set", "fig3.treshold=1"], "claim 'fig3': unknown key treshold; allowed here: "),
        (["--confidence", "1.5"], "Invalid value for '--confidence': "),
        (["--confidence", "0.9", "--scale", "small"], "quantities.parquet"),
    ],
)
def test_bad_values_end_with_one_line_and_exit_code_2(
    measured: Path, ask: Ask, arguments: list[str], message: str
) -> None:
    told = ask("claims", *arguments)
    assert told.code == 2 and message in told.error()
