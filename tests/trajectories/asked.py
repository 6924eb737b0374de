"""Questions of families and a tiny random model, for the tests of the steps that sample."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from raml.questions.verify import family_of
from raml.schemas import Question, column_types
from raml.storage import Provenance, write_table
from raml.trajectories.tokenizer import build_tokenizer

PROVENANCE = Provenance(scale="tiny", config_hash="0", code_version="0")


def question(name: str) -> dict[str, Any]:
    """The easiest question of a family, as a row."""
    family = family_of(name)
    draft = family.generate(family.levels[0], random.Random(name))
    return {
        "id": f"{name}-0", "source": family.source, "family": name, "domain": family.domain, "split": name,
        "kind": "in_domain", "prompt": draft.prompt, "answer": draft.answer, "answer_type": family.answer_type,
        "difficulty": 1, "metadata": json.dumps(draft.metadata),
    }  # fmt: skip


def save_questions(path: Path, *rows: dict[str, Any]) -> pl.DataFrame:
    """The table, written."""
    table = pl.DataFrame(rows, schema=column_types(Question))
    write_table(table, Question, path, PROVENANCE)
    return table


def save_model(folder: Path) -> None:
    """A random model with the micro tokenizer."""
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=1,
        num_key_value_heads=1, max_position_embeddings=256,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
