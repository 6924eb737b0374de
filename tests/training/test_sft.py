"""SFT: what is trained on how often, masks, determinism through TRL, and nothing to train on."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from raml.config import SFT, Architecture, Oracle, QuestionSet
from raml.errors import DataError, RamlError
from raml.questions.build import draw
from raml.schemas import Trajectory, column_types
from raml.step import Step
from raml.storage import Provenance, file_hash, write_table
from raml.training.model import build_model
from raml.training.pretrain import IGNORED, save_model
from raml.training.sft import StopOnDivergence, main, make_trainer, training_examples
from raml.trajectories.oracle import question_rows
from raml.trajectories.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()
PROVENANCE = Provenance(scale="test", config_hash="", code_version="", seed=0)


def settings(**changes: Any) -> SFT:
    values = {
        "trajectories_per_question": 4, "exposures_per_question": 6, "learning_rate": 1e-3, "batch_size": 8,
        "warmup_ratio": 0.1, "mask_wrong_attempts": True, "threads": 1, **changes,
    }  # fmt: skip
    return SFT.model_validate(values)


def trajectories(style: Any = "long", n: int = 3) -> pl.DataFrame:
    oracle = Oracle(variants_per_question=6, slip_rate=0.3, check_rate=0.0)
    questions = draw(QuestionSet(family="rows", levels=[1], n=n), split="train", kind="train", seed=0, used=set())
    rows = [row for question in questions for row in question_rows(question, style, TOKENIZER, oracle, 0)]
    return pl.DataFrame(rows, schema=column_types(Trajectory))


def kinds(examples: list[dict[str, Any]]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(example["input_ids"]) for example in examples)


@pytest.mark.parametrize("m", [1, 2, 4, 6])
def test_every_question_is_trained_on_equally_often_whatever_m(m: int) -> None:
    table = trajectories()
    examples = training_examples(table, settings(trajectories_per_question=m), random.Random(0))
    assert len(examples) == 3 * 6
    counts = kinds(examples)
    assert len(counts) == 3 * m
    assert max(counts.values()) - min(counts.values()) <= 1


def test_wrong_attempts_carry_no_loss_unless_asked() -> None:
    table = trajectories()
    masked = training_examples(table, settings(), random.Random(0))
    unmasked = training_examples(table, settings(mask_wrong_attempts=False), random.Random(0))
    prompt = len(table["prompt_ids"][0])
    without_loss = [sum(label == IGNORED for label in example["labels"]) for example in masked]
    assert max(without_loss) > prompt
    assert all(sum(label == IGNORED for label in example["labels"]) == prompt for example in unmasked)


def test_the_mask_reaches_the_trainers_batches(tmp_path: Path) -> None:
    architecture = Architecture(hidden_size=64, layers=2, heads=2, intermediate_size=96, context=256)
    model = build_model(architecture, len(TOKENIZER), 0, bos=1, eos=2, pad=0)
    examples = training_examples(trajectories(), settings(), random.Random(0))
    trainer = make_trainer(model, TOKENIZER, examples, settings(batch_size=len(examples)), 0, str(tmp_path))
    (batch,) = trainer.get_train_dataloader()
    expected = Counter(tuple(example["labels"]) for example in examples)
    got = Counter(
        tuple(labels[: int(mask.sum())].tolist())
        for labels, mask in zip(batch["labels"], batch["attention_mask"], strict=True)
    )
    assert got == expected


def test_only_correct_trajectories_are_trained_on() -> None:
    with pytest.raises(DataError, match=r"none of \d+ trajectories is correct: nothing to train on"):
        training_examples(trajectories("wrong"), settings(), random.Random(0))
    with pytest.raises(DataError, match="none of 0 trajectories"):
        training_examples(trajectories().clear(), settings(), random.Random(0))


def test_step_lowers_the_loss_and_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    architecture = Architecture(hidden_size=64, layers=2, heads=2, intermediate_size=96, context=256)
    base = build_model(architecture, len(TOKENIZER), 0, bos=1, eos=2, pad=0)
    save_model(base, TOKENIZER, tmp_path / "base", PROVENANCE)
    table = tmp_path / "long.parquet"
    write_table(trajectories(), Trajectory, table, PROVENANCE)
    hashes = []
    for name in ("first", "second"):
        files = {"base": tmp_path / "base", "trajectories": table, "out": tmp_path / name}
        main(Step("raml.training.sft", "test", settings(), 0, files, {}))
        hashes.append({file.name: file_hash(file) for file in sorted(files["out"].iterdir())})
    assert hashes[0] == hashes[1]
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(hashes[0])
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "first", dtype=torch.float32)
    row = trajectories().row(0, named=True)
    ids = torch.tensor([[*row["prompt_ids"], *row["token_ids"]]])
    assert trained(ids, labels=ids).loss < base(ids, labels=ids).loss


def test_divergence_is_named() -> None:
    state = type("State", (), {"global_step": 7})
    with pytest.raises(RamlError, match=r"SFT diverged at step 7: loss nan; lower sft\.learning_rate"):
        StopOnDivergence().on_log(None, state, None, {"loss": float("nan")})
    StopOnDivergence().on_log(None, state, None, {"loss": 1.0})
