"""The training benchmark measures what it says, on a tiny model."""

from pathlib import Path

import polars as pl
from grpo_start import HARDWARE, PROVENANCE, TOKENIZER, grpo, questions, save_questions, save_start

from benchmarks.training import training_benchmark
from raml.config import Oracle, load_scale
from raml.schemas import Trajectory, column_types
from raml.storage import write_table
from raml.trajectories.oracle import question_rows


def test_all_is_measured(tmp_path: Path) -> None:
    oracle = Oracle(variants_per_question=2, slip_rate=0.0, check_rate=0.0)
    rows = [
        row
        for question in questions().rows(named=True)
        for row in question_rows(question, "long", TOKENIZER, oracle, 0)
    ]
    write_table(pl.DataFrame(rows, schema=column_types(Trajectory)), Trajectory, tmp_path / "long.parquet", PROVENANCE)
    micro = load_scale("micro")
    tuned = micro.sft["long"].model_copy(update={"batch_size": 4, "exposures_per_question": 4, "max_tokens": 64})
    scale = micro.model_copy(update={"sft": {"long": tuned}, "grpo": grpo(iterations=2), "hardware": HARDWARE})
    asked = save_questions(tmp_path / "questions.parquet")
    found = training_benchmark(
        scale, save_start(tmp_path / "start"), asked, tmp_path / "long.parquet", steps=4, rounds=1
    )
    for name in ("sft", "grpo"):
        assert found[name]["bare_seconds"] > 0 and found[name]["ratio"] < 5
        assert found[name]["ratio"] == found[name]["trl_seconds"] / found[name]["bare_seconds"]
    assert 0 < found["one_of_group"]["ratio"] < 1.5
    assert 0 < found["generation_share"] < 1
    assert 1 < found["mean_tokens"] <= 16
