"""The scales of a published base model on generated questions: drawn whole, and run on a model as small as can be."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from checkout import ROOT, Checkout

from raml.schemas import Question, Trajectory
from raml.storage import read_provenance, read_table
from rehearsal.models import VOCABULARY, chain, model
from rehearsal.tokenizers import CONTEXT, QWEN, tokenizer

pytestmark = pytest.mark.workflow

SCALES = ROOT / "config" / "scales"
GENERATED = {"build_questions": 1, "write_oracles": 1, "write_held_out": 1, "fetch_base": 1}
FROM_SCRATCH = {"build_tokenizer", "pretrain", "train_base", "train_regimes_base", "train_regimes_sft"}


@pytest.mark.parametrize("scale", ["small", "small-cpu"])
def test_questions_are_generated_and_the_base_is_fetched(checkout: Checkout, scale: str) -> None:
    planned = checkout.planned("--config", f"scale={scale}")
    assert {rule: planned.get(rule) for rule in GENERATED} == GENERATED
    assert not planned.keys() & FROM_SCRATCH
    assert not {rule for rule in planned if rule.startswith(("write_short", "fetch_writer", "fetch_questions"))}
    minimal = checkout.planned()
    assert minimal.keys() - planned.keys() == FROM_SCRATCH | {"train_regimes_grpo"}
    assert planned.keys() - minimal.keys() == {"fetch_base"}


def test_the_cut_has_every_job_of_the_whole(checkout: Checkout) -> None:
    whole, cut = (checkout.planned("--config", f"scale={scale}") for scale in ("small", "small-cpu"))
    assert cut == whole


@pytest.mark.dag
@pytest.mark.timeout(600)
def test_programs_write_in_the_bases_tokens_and_it_learns_from_them(
    new_checkout: Callable[[], Checkout], tmp_path: Path
) -> None:
    checkout = new_checkout()
    tokens = tokenizer(QWEN, "<|endoftext|>")
    model(tokens, chain(0.6, "<|endoftext|>", closes=False), 0).save_pretrained(tmp_path / "base")
    tokens.save_pretrained(tmp_path / "base")
    minimal = yaml.safe_load((SCALES / "minimal.yaml").read_text())
    lengths = {"max_prompt_tokens": 450, "max_tokens": 300}
    questions = {"family": "word_problem", "levels": [1]}
    raw = minimal | {
        "scale": "tiny",
        "questions": {
            "train": [{**questions, "n": 4}],
            "development": [{**questions, "n": 1}],
            "benchmarks": {"stories": {**questions, "n": 2, "kind": "in_domain"}},
        },
        "pretraining": None,
        "base": {"model": str(tmp_path / "base"), "revision": "main", "dtype": "float32"},
        "architecture": {**minimal["architecture"], "vocabulary": VOCABULARY, "tied": False, "context": CONTEXT},
        "sft": {style: {**settings, **lengths} for style, settings in minimal["sft"].items()},
        "dpo": {**minimal["dpo"], **lengths},
        "grpo": {**minimal["grpo"], **lengths},
        "sweeps": {**minimal["sweeps"], "long_shares": []},
        "probing": {**minimal["probing"], "benchmarks": ["stories"]},
        "efficiency": {**minimal["efficiency"], "benchmarks": ["stories"]},
    }
    (checkout.root / "config" / "scales" / "tiny.yaml").write_text(yaml.safe_dump(raw))
    wanted = ["models/seed0/sft_long/model.safetensors", "trajectories/held_out_long.parquet"]
    ran = checkout.run("--config", "scale=tiny", "--", *(f"results/tiny/{file}" for file in wanted))
    assert ran.returncode == 0, ran.stderr
    results = checkout.root / "results" / "tiny"
    asked = read_table(results / "questions" / "train.parquet", Question)
    long = read_table(results / "trajectories" / "oracle_long.parquet", Trajectory)
    wrong = read_table(results / "trajectories" / "oracle_wrong.parquet", Trajectory)
    held_out = read_table(results / "trajectories" / "held_out_long.parquet", Trajectory)
    assert set(long["question_id"]) == set(asked["id"]) == set(wrong["question_id"])
    assert pl.concat([long, held_out])["correct"].all() and not wrong["correct"].any()
    assert all("</think>\n\n**Final Answer**\n\\boxed{" in text for text in long["text"])
    log = (results / "models" / "seed0" / "sft_long" / "training.jsonl").read_text().splitlines()
    assert log and all(json.loads(line)["loss"] > 0 for line in log)
    assert read_provenance(results / "trajectories" / "oracle_long.parquet").scale == "tiny"
