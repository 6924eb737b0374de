"""What is said of a claim that was made again: by the bytes of its files, its verdict and its number."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from raml.claims.result import ClaimResult
from raml.lineage import verify
from raml.lineage.jobs import Job
from raml.lineage.verify import Chain, verification

TABLE = "results/minimal/tables/curves.parquet"
FIGURE = "results/minimal/figures/fig3.svg"


def claim(estimate: float = -0.5, **changed: Any) -> ClaimResult:
    effect = {
        "name": "rho", "label": "rho", "quantity": "q", "model": "m", "baseline": None, "over": "all benchmarks",
        "unit": "rho", "estimate": estimate, "interval": (-0.6, -0.4), "threshold": 0.0, "side": "below",
        "questions": 20, "seeds": 1, "verdict": "holds",
    }  # fmt: skip
    values: dict[str, Any] = {
        "id": "fig3", "exhibit": "fig3", "statement": "s", "paper": "p", "quantity": "q", "reported": None,
        "verdict": "holds", "reason": "r", "effects": [effect], "measured": {"rho": estimate},
        "interval": {"rho": (-0.6, -0.4)}, "artifacts": [TABLE, FIGURE], "command": "c", "p_holm": 0.01,
        "verdict_holm": "holds",
    }  # fmt: skip
    return ClaimResult.model_validate(values | changed)


def job(rule: str, output: str, *inputs: str) -> Job:
    command = f"python -m raml.{rule} --config {{}}"
    same = {"module": f"raml.{rule}", "config_hash": "0", "code_version": "0", "code": "0", "seed": None}
    return Job.model_validate({"rule": rule, "command": command, "inputs": inputs, "outputs": [output], **same})


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A checkout and a copy of it, in the first of which we are."""
    here, there = tmp_path / "here", tmp_path / "there"
    for path in (TABLE, FIGURE):
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_text(path)
    shutil.copytree(here, there)
    monkeypatch.chdir(here)
    return here, there


def verified(
    there: Path, monkeypatch: pytest.MonkeyPatch, again: ClaimResult, recorded: ClaimResult | None = None
) -> verify.Verification:
    """The outcome where `again` is what the tables in the folder decide."""
    jobs = [job("probe", TABLE), job("draw", FIGURE, TABLE)]
    chain = Chain(recorded or claim(), "minimal", job("decide", "results/minimal/claims.json", TABLE), jobs)
    monkeypatch.setattr(verify, "decide_again", lambda *_: again)
    return verification(chain, there, verify.recorded_hashes(chain))


def test_the_same_bytes_are_identical(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = verified(folders[1], monkeypatch, claim(p_holm=None, verdict_holm=None))
    assert (made.outcome, made.compared, made.differing, made.first) == ("identical", 2, [], None)


def test_other_bytes_with_a_number_in_the_interval(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (folders[1] / TABLE).write_text("other")
    (folders[1] / FIGURE).unlink()
    made = verified(folders[1], monkeypatch, claim(-0.41))
    assert (made.outcome, made.differing) == ("within tolerance", [TABLE, FIGURE])
    assert made.fields == ["effects", "measured"]
    assert made.first is not None and (made.first.path, made.first.rule) == (TABLE, "probe")
    [number] = made.numbers
    assert (number.recorded, number.remade, number.allowed) == (-0.5, -0.41, (-0.6, -0.4))


@pytest.mark.parametrize("changed", [{"estimate": -0.39}, {"verdict": "inconclusive"}, {"effects": []}])
def test_what_is_different(
    changed: dict[str, Any], folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[1] / TABLE).write_text("other")
    assert verified(folders[1], monkeypatch, claim(**changed)).outcome == "different"


def test_tolerances_of_the_papers_numbers(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (folders[1] / TABLE).write_text("other")

    def beside(measured: float) -> ClaimResult:
        number = {
            "key": "table2.base.AIME24.P8", "reported": 10.0, "measured": measured, "difference": 0.0,
            "interval": (0.0, 0.0), "tolerance": 5.0, "within": True,
        }  # fmt: skip
        return claim(against_reported=[number])

    assert verified(folders[1], monkeypatch, beside(14.9), beside(10.0)).outcome == "within tolerance"
    found = verified(folders[1], monkeypatch, beside(15.1), beside(10.0))
    assert found.outcome == "different" and "tolerance 5" in found.numbers[1].source
    assert verified(folders[1], monkeypatch, claim(against_reported=[]), beside(10.0)).outcome == "different"
