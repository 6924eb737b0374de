"""The paper's whole DAG, really run with tiny models and data sets: vLLM, accelerate, every rule (`make rehearsal`)."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from checkout import ROOT, Checkout, environment

from raml.schemas import CleaningCount, Evaluation, ForcedAnswer, Question, Trajectory
from raml.storage import read_table
from rehearsal.__main__ import main as write_world
from rehearsal.texts import ANSWER

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(3600)]

REHEARSAL = ["--config", "scale=rehearsal"]


@pytest.fixture(scope="module")
def results(new_checkout: Callable[[], Checkout]) -> Path:
    """The results of the whole run."""
    checkout = new_checkout()
    write_world([str(checkout.root / ".cache" / "rehearsal")])
    start = time.monotonic()
    ran = subprocess.run(
        checkout.command("--keep-going", *REHEARSAL),
        cwd=checkout.root,
        env=environment(),
        capture_output=True,
        text=True,
    )
    print(f"the rehearsal took {time.monotonic() - start:.0f} s")
    assert ran.returncode == 0, ran.stderr[-20_000:]
    assert not checkout.planned(*REHEARSAL)  # nothing is left to do
    return checkout.root / "results" / "rehearsal"


def test_every_claim_that_has_a_test_is_decided(results: Path) -> None:
    claims = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text())["claims"]
    verdicts = {claim["id"]: claim["verdict"] for claim in json.loads((results / "claims.json").read_text())}
    untested = {claim["id"] for claim in claims if "test" not in claim}
    assert verdicts.keys() == {claim["id"] for claim in claims}
    assert {claim for claim, verdict in verdicts.items() if verdict == "not_run"} == untested


def test_the_report_shows_every_figure(results: Path) -> None:
    figures = sorted(path.stem for path in (results / "figures").glob("*.json"))
    assert {"fig2", "fig4", "fig8", "fig9", "fig11", "tab1", "tab2", "tab3"} <= set(figures)
    for figure in figures:
        assert f'id="{figure}-desc"' in (results / "report" / f"{figure}.html").read_text()


def test_vllm_wrote_whatever_is_sampled(results: Path) -> None:
    tables = [
        *(results / "trajectories" / "written").rglob("*.parquet"),
        *(results / "evaluations" / "samples").rglob("*.parquet"),
        *(results / "evaluations" / "sweeps").rglob("*.parquet"),
        *(results / "evaluations" / "community").rglob("*.parquet"),
    ]
    assert len(tables) == 5 + 6 + 2 + 9
    for path in tables:
        table = read_table(path, Trajectory)
        assert set(table["engine"]) == {"vllm"} and set(table["dtype"]) == {"float32"}


def test_questions_are_cleaned_and_trajectories_are_right_and_wrong(results: Path) -> None:
    cleaning = read_table(results / "questions" / "cleaning.parquet", CleaningCount)
    assert cleaning["dropped"].to_list() == [1] * 5
    train = read_table(results / "questions" / "train.parquet", Question)
    assert set(train["answer"]) == {ANSWER} and not train["prompt"].str.contains("<p>").any()
    for style in ("short", "long"):
        table = read_table(results / "trajectories" / f"{style}.parquet", Trajectory)
        assert set(table["correct"]) == {True, False}


def test_every_kind_of_answer_is_sometimes_right(results: Path) -> None:
    evaluations = read_table(results / "evaluations" / "evaluations.parquet", Evaluation)
    right = dict(evaluations.group_by("benchmark").agg(pl.col("c").sum()).iter_rows())
    assert right.keys() == {
        *("MATH500-L5", "AIME24", "AIME24-fig7", "LiveMathBench-Hard-en", "LiveMathBench-Hard-cn"),
        *("GPQA-Diamond", "LiveCodeBench"),
    }
    assert min(right.values()) > 0
    assert all(0 < c < n for c, n in evaluations.group_by("model").agg(pl.col("c", "n").sum()).select("c", "n").rows())


def test_summaries_leak_and_do_not(results: Path) -> None:
    answers = read_table(results / "evaluations" / "efficiency" / "seed0.parquet", ForcedAnswer)
    assert set(answers["method"]) == {"thinking", "budget", "no_thinking", "summary", "control"}
    assert set(answers.filter(method="summary")["leaked"]) == {True, False}
    assert set(answers.filter(~pl.col("leaked"))["correct"]) == {True, False}


@pytest.mark.parametrize("model", ["sft_short", "sft_long", "sft_long_m1", "dpo", "zero_grpo", "grpo_n1", "sft_grpo"])
def test_every_technique_takes_a_gradient(results: Path, model: str) -> None:
    lines = (results / "models" / "seed0" / model / "training.jsonl").read_text().splitlines()
    assert max(json.loads(line)["grad_norm"] for line in lines) > 0
