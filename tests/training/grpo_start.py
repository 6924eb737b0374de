"""A tiny model that half knows how to answer, questions to train it on, and settings, for the tests of GRPO."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import torch
from off_policy import PROVENANCE, TOKENIZER, hardware, start_model
from transformers import LlamaForCausalLM

from raml.answers import Judgement
from raml.config import GRPO, QuestionSet
from raml.questions.build import draw
from raml.schemas import Question, column_types
from raml.storage import write_table
from raml.training.mixture import Document
from raml.training.pretrain import collate, masked_loss, save_model
from raml.trajectories.oracles.solution import Solution
from raml.trajectories.oracles.write import completion
from raml.trajectories.tokenizer import prompt_ids

HARDWARE = hardware()


def grpo(**changes: Any) -> GRPO:
    """Two questions of 16 completions a step."""
    values = {
        "start": "base", "max_prompt_tokens": 64, "max_tokens": 16, "learning_rate": 1e-3, "warmup_ratio": 0.0,
        "steps": 2, "evaluate_at": [], "batch_size": 32, "group_size": 16, "update_trajectories": 16, "iterations": 1,
        "clip_low": 0.2, "clip_high": 0.3, "kl": 0.0, "temperature": 1.0, "top_p": 1.0, "top_k": 0, **changes,
    }  # fmt: skip
    return GRPO.model_validate(values)


def judge_labels(text: str, *_: Any, **__: Any) -> Judgement:
    """Rewards the share of A among the labels: each completion tells what is better, from the first step on."""
    labels = [word for word in text.split() if word in set("ABC")]
    return Judgement(None, False, True, labels.count("A") / max(1, len(labels)))


@cache
def questions() -> pl.DataFrame:
    """Three labels to be put in order: one answer in six is right by chance."""
    rows = draw(QuestionSet(family="rows_sort", levels=[1], n=7), split="train", kind="train", seed=0, used=set())
    return pl.DataFrame(rows, schema=column_types(Question))


def save_start(folder: Path) -> Path:
    """The tiny model's folder."""
    model = _half_trained()
    if not folder.exists():
        save_model(model, TOKENIZER, folder, PROVENANCE)
    return folder


def save_questions(path: Path) -> Path:
    """The table of `questions`."""
    write_table(questions(), Question, path, PROVENANCE)
    return path


@cache
def _half_trained() -> LlamaForCausalLM:
    torch.set_num_threads(1)
    model = start_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rng = random.Random(0)
    for _ in range(40):
        documents = []
        for question in questions().iter_rows(named=True):
            labels = question["answer"].split()
            rng.shuffle(labels)
            ids, learn = completion(TOKENIZER, Solution(answer=" ".join(labels)), close_thinking=True)
            prompt = prompt_ids(TOKENIZER, question["prompt"])
            documents.append(Document([*prompt, *ids], [*[False] * len(prompt), *learn]))
        loss = masked_loss(model, collate(documents, 0))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model
