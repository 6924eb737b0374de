"""The paper's scale is the same DAG: drawn whole and offline, a part run on the rehearsal's models without vLLM."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from checkout import Checkout, children_cpu_seconds, environment

from raml.answers.format import MARKER
from raml.config import load_scale
from raml.schemas import Evaluation, Question, Trajectory
from raml.storage import read_table
from rehearsal.__main__ import main as write_world
from rehearsal.texts import ANSWER, EASY, WRONG

pytestmark = pytest.mark.workflow

PUBLISHED = {
    "fetch_questions": 1,
    "fetch_base": 1,
    "fetch_writer": 2,
    "fetch_summariser": 1,
    **{
        f"{rule}_{table}": jobs
        for rule, jobs in {"write": 8, "retokenise": 1}.items()
        for table in ("short", "long", "held_out_long")
    },
    **{"fetch_community": 9, "sample_community": 9, "score_community": 1},
}
# With rollouts by vLLM, runs that share a process elsewhere.
APART = {f"train_grpo_n{n}": 1 for n in (1, 2, 4, 8)}
MICRO_ONLY = {
    *("build_questions", "build_tokenizer", "write_oracles", "write_held_out", "pretrain"),
    *("train_base", "train_regimes_base", "train_regimes_sft", "train_regimes_grpo"),
}
# Of the rules that both scales have, those whose jobs follow from models and benchmarks. All others have as many jobs.
OUTER_LOOP = {
    **{"train_sft_short": 1, "train_sft_long": 1, "train_dpo": 1, "train_zero_grpo": 1, "train_sft_grpo": 1},
    **{"train_trajectories_short": 1, "train_trajectories_long": 1},
    **{"sample_base": 1, "sample_sft": 1, "sample_policies": 1, "sample_sweep": 2, "score": 1},
    **{"probe": 3, "token_roles": 1, "landscape": 1, "weight_updates": 2, "outer_loss": 1},
    "efficiency": 1,
    **APART,
}
COMMUNITY = ("DAPO-Qwen-32B", "s1.1-32B")
BENCHMARKS = {
    *("MATH500-L5", "AIME24", "AIME24-fig7", "LiveMathBench-Hard-en", "LiveMathBench-Hard-cn"),
    *("GPQA-Diamond", "LiveCodeBench"),
}
UNNEEDED = ("torch", "transformers", "datasets", "huggingface_hub", "polars", "httpx", "requests")


def test_the_papers_scale_has_exactly_these_jobs(checkout: Checkout) -> None:
    planned = checkout.planned("--config", "scale=paper")
    own = {**PUBLISHED, **OUTER_LOOP}
    assert {rule: planned.get(rule) for rule in own} == own
    minimal = checkout.planned()
    assert minimal.keys() - planned.keys() == MICRO_ONLY
    assert planned.keys() - minimal.keys() == PUBLISHED.keys() | APART.keys()
    others = planned.keys() - own.keys()
    assert {rule: planned[rule] for rule in others} == {rule: minimal[rule] for rule in others}


def test_the_rehearsal_has_every_rule_of_the_papers_scale(checkout: Checkout) -> None:
    paper, rehearsal = (checkout.planned("--config", f"scale={scale}") for scale in ("paper", "rehearsal"))
    assert paper.keys() - rehearsal.keys() == {"train_grpo_n4", "train_grpo_n8"}  # a shorter sweep
    assert rehearsal.keys() <= paper.keys()


def test_each_further_seed_trains_and_fetches_no_model_again(checkout: Checkout) -> None:
    one = checkout.planned("--config", "scale=paper")
    three = checkout.planned("--config", "scale=paper", "seeds=[0,1,2]")
    assert {rule: count for rule, count in three.items() if rule in PUBLISHED} == PUBLISHED
    per_seed = [rule for rule in OUTER_LOOP if rule != "score"]
    assert {rule: three[rule] for rule in per_seed} == {rule: 3 * one[rule] for rule in per_seed}


@pytest.mark.parametrize("scale", ["minimal", "paper"])
def test_drawing_a_dag_takes_neither_torch_nor_the_network(checkout: Checkout, tmp_path: Path, scale: str) -> None:
    for module in UNNEEDED:
        (tmp_path / f"{module}.py").write_text(f"raise ImportError('{module} is not needed for this')\n")
    command = checkout.command("--dry-run", "--quiet", "--config", f"scale={scale}")
    before = children_cpu_seconds()
    ran = subprocess.run(
        command, cwd=checkout.root, env={**environment(), "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert children_cpu_seconds() - before < 10


def test_only_what_fetches_is_online(checkout: Checkout) -> None:
    shown = checkout.run("--dry-run", "--printshellcmds", "--config", "scale=paper").stdout
    step = r"^Shell command: (HF_HUB_OFFLINE=0 )?.*?-m (raml\.(?!training\.launch)\S+)"
    started = re.findall(step, shown, re.MULTILINE)
    online, offline = ({module for flag, module in started if bool(flag) == is_online} for is_online in (True, False))
    assert online == {"raml.questions.published", "raml.trajectories.fetch"}
    assert {"raml.trajectories.sample", "raml.training.sft", "raml.training.grpo"} <= offline
    assert not online & offline


def test_published_rollouts_take_the_place_of_their_writer(checkout: Checkout) -> None:
    columns = {"prompt": "problem", "completions": "generations", "labels": "labels"}
    source = {"dataset": "owner/rollouts", "revision": "main", "split": "train", **columns}
    both = {style: {"published_rollouts": source} for style in ("short", "long")}
    planned = checkout.planned("--config", "scale=paper", f"writers={json.dumps(both)}")
    written = {name: count for name, count in planned.items() if name.startswith(("write_", "retokenise_", "read_"))}
    assert written == {"read_short": 1, "read_long": 1, "write_held_out_long": 8, "retokenise_held_out_long": 1}
    assert planned["fetch_writer"] == 1  # the long one, for the benchmark questions


def test_any_scale_can_have_community_models(checkout: Checkout) -> None:
    engine = {"name": "torch", "dtype": "float32"}
    model = {"model": "/some/folder", "revision": "main", "engine": engine, "training": "on_policy", "questions": 1}
    planned = checkout.planned("--config", "scale=minimal", f"community={json.dumps({'a': model, 'b.1': model})}")
    expected = {"fetch_community": 2, "sample_community": 2, "score_community": 1}
    assert {rule: count for rule, count in planned.items() if "community" in rule} == expected


@pytest.fixture(scope="module")
def trained(new_checkout: Callable[[], Checkout]) -> Path:
    """Results of a part of the rehearsal: questions, writers, SFT and DPO on what they wrote, community models."""
    checkout = new_checkout()
    write_world([str(checkout.root / ".cache" / "rehearsal")])
    write_scale(checkout.root / "config" / "scales", published_rollouts(checkout.root / "rollouts.jsonl"))
    wanted = [
        "models/seed0/dpo/model.safetensors",
        "trajectories/held_out_long.parquet",
        "evaluations/community.parquet",
    ]
    wanted.append("models/seed0/sft_short/model.safetensors")
    ran = checkout.run("--config", "scale=tiny", "--", *(f"results/tiny/{file}" for file in wanted))
    assert ran.returncode == 0, ran.stderr
    return checkout.root / "results" / "tiny"


def published_rollouts(path: Path) -> dict[str, str]:
    """Write rollouts of all training questions, half of them right, and say how they are read."""
    texts = [f"We add {number}. {MARKER}{answer}}}" for number in range(5) for answer in (ANSWER, WRONG)]
    rows = [
        {"problem": question, "answer": ANSWER, "generations": texts, "labels": [True, False] * 5} for question in EASY
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"prompt": "problem", "completions": "generations", "labels": "labels"}
    return {"dataset": str(path), "revision": "main", "split": "train", **columns}


def write_scale(folder: Path, rollouts: dict[str, str]) -> None:
    """Add `tiny` to the scales in `folder`: the rehearsal in plain processes, without vLLM, with fewer models.

    Short trajectories are read from `rollouts`.
    """
    scale = load_scale("rehearsal", folder=folder).model_dump(mode="json")
    engine = {"name": "torch", "dtype": "float32"}
    for writer in scale["writers"].values():
        writer["engine"] = engine
    scale["writers"]["short"]["published_rollouts"] = rollouts
    community = {name: {**scale["community"][name], "engine": engine} for name in COMMUNITY}
    hardware = {**scale["hardware"], "processes": 1, "launcher": None, "rollouts": "torch"}
    tiny = {**scale, "scale": "tiny", "hardware": hardware, "community": community}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny))


@pytest.mark.dag
@pytest.mark.timeout(900)
def test_published_questions_and_trajectories_reach_training(trained: Path) -> None:
    train = read_table(trained / "questions" / "train.parquet", Question)
    assert train.height == 8 and set(train["answer"]) == {"4"}
    parts = sorted((trained / "trajectories" / "written" / "long").iterdir())
    assert [path.name for path in parts] == ["part0.parquet", "part1.parquet"]
    written = pl.concat(read_table(path, Trajectory) for path in parts)
    rewritten = read_table(trained / "trajectories" / "long.parquet", Trajectory)
    judged = ["question_id", "sample", "correct", "text"]
    assert rewritten.select(judged).equals(written.select(judged))
    assert set(rewritten["correct"]) == {True, False}
    assert rewritten["n_tokens"].sum() > written["n_tokens"].sum()  # to the base model `</think>` is no token
    held_out = read_table(trained / "trajectories" / "held_out_long.parquet", Trajectory)
    assert {question.rsplit("-", 1)[0] for question in held_out["question_id"]} == BENCHMARKS
    for model in ("sft_long", "dpo"):
        log = (trained / "models" / "seed0" / model / "training.jsonl").read_text().splitlines()
        assert log and all(json.loads(line)["loss"] > 0 for line in log)


@pytest.mark.dag
@pytest.mark.timeout(900)
def test_published_rollouts_reach_training(trained: Path) -> None:
    read = read_table(trained / "trajectories" / "short.parquet", Trajectory)
    assert set(read["engine"]) == {"published"} and read["question_id"].n_unique() == 8
    assert read.group_by("question_id").len()["len"].to_list() == [8] * 8  # of ten, as many as the writer writes
    assert not (trained / "trajectories" / "written" / "short").exists()
    assert not (trained / "models" / "writers" / "short").exists()
    assert "| right | 32 | 0 |\n| wrong | 0 | 32 |" in (trained / "tables" / "rollouts_short.md").read_text()
    log = (trained / "models" / "seed0" / "sft_short" / "training.jsonl").read_text().splitlines()
    assert log and all(json.loads(line)["loss"] > 0 for line in log)


@pytest.mark.dag
@pytest.mark.timeout(900)
def test_community_models_are_evaluated(trained: Path) -> None:
    evaluations = read_table(trained / "evaluations" / "community.parquet", Evaluation)
    assert set(evaluations["model"]) == set(COMMUNITY)
    assert all(c > 0 for _, c in evaluations.group_by("model").agg(pl.col("c").sum()).iter_rows())
