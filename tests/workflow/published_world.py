"""A scale whose questions and models are published, as small as can be: files and folders instead of the Hub.

Its writers answer `4` or `5` at random, whatever they are asked, and its questions have the answer 4: some of their
trajectories are right and some are wrong. Writers and base model have different vocabularies. Short trajectories of the
training questions are published.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from byte_level import byte_level_tokenizer
from raml.answers.format import MARKER

SCALE = "tiny"
CONTEXT = 400
THINKING = "We add them. "
TRAINED_ON = [f"What is {10 + i} minus {6 + i}?" for i in range(12)]
RIGHT, WRONG = (f"</think>{MARKER}{answer}}}" for answer in "45")


def save_model(
    folder: Path, tokenizer: PreTrainedTokenizerFast, likely: Mapping[str, float], context: int = CONTEXT
) -> None:
    """A model that writes the tokens `likely` with these logits above all others', whatever it has read."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=context,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    with torch.no_grad():
        model.model.embed_tokens.weight += 1.0  # the last hidden state is about 1 everywhere
        for text, logit in likely.items():
            (token,) = tokenizer.encode(text, add_special_tokens=False)
            model.lm_head.weight[token] += logit / model.config.hidden_size
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_questions(path: Path, asked: list[str]) -> None:
    """Questions with the answer 4 as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"problem": text, "answer": 4, "level": 5}) + "\n" for text in asked))


def published_rollouts(path: Path) -> dict[str, str]:
    """Write rollouts of all training questions, half of them right, and say how they are read."""
    texts = [f"We add {number}. {answer}" for number in range(4) for answer in (RIGHT, WRONG)]
    rows = [
        {"problem": question, "answer": 4, "generations": texts, "labels": [True, False] * 4} for question in TRAINED_ON
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"prompt": "problem", "completions": "generations", "labels": "labels"}
    return {"dataset": str(path), "revision": "main", "split": "train", **columns}


def make_world(folder: Path, minimal: Mapping[str, Any]) -> dict[str, Any]:
    """Write questions and models below `folder`; return a scale of them, for the rest like the scale `minimal`."""
    write_questions(folder / "train.jsonl", TRAINED_ON)
    write_questions(folder / "held_out" / "test.jsonl", [f"What is {i} plus {4 - i}?" for i in range(4)])
    likely = {THINKING: 7.0, RIGHT: 7.0, WRONG: 6.0, "<|endoftext|>": 8.0}
    writer = byte_level_tokenizer(400, [THINKING, RIGHT, WRONG])
    save_model(folder / "writer", writer, likely)
    save_model(folder / "base", byte_level_tokenizer(330), {"<|endoftext|>": 4.0})

    def questions(path: str, split: str, **more: Any) -> dict[str, Any]:
        columns = {"prompt": "problem", "answer": "answer", "domain": "mathematics"}
        return {"dataset": str(folder / path), "revision": "main", "split": split, **columns, **more}

    def model(name: str, **more: Any) -> dict[str, Any]:
        return {"model": str(folder / name), "revision": "main", **more}

    sampling = {**minimal["sampling"], "max_tokens": 24}
    lengths = {"max_prompt_tokens": 256, "max_tokens": 120}
    writer_of_six = model("writer", engine=minimal["engine"], sampling=sampling, rollouts=6, jobs=2)
    scale = {key: value for key, value in minimal.items() if key not in ("questions", "oracle", "pretraining")}
    return scale | {
        "scale": SCALE,
        "published": {
            "train": questions("train.jsonl", "train"),
            "n": 8,
            "benchmarks": {
                "plus": questions("held_out", "test", only={"level": 5}, kind="in_domain", n=4),
                "again": questions("held_out", "test", kind="other_domain", n=4),
            },
        },
        "architecture": {**minimal["architecture"], "vocabulary": 330, "tied": False, "context": CONTEXT},
        "base": model("base"),
        "writers": {
            "short": {**writer_of_six, "published_rollouts": published_rollouts(folder / "rollouts.jsonl")},
            "long": writer_of_six,
        },
        "sft": {style: {**settings, **lengths} for style, settings in minimal["sft"].items()},
        "dpo": {**minimal["dpo"], **lengths},
        "grpo": {**minimal["grpo"], "max_prompt_tokens": 256, "max_tokens": 24},
        "sweeps": {**minimal["sweeps"], "long_shares": []},
        "sampling": {**sampling, "max_tokens": 24},
        "probing": {**minimal["probing"], "benchmarks": ["plus"]},
        "efficiency": {
            **minimal["efficiency"],
            "benchmarks": ["plus"],
            "summariser": model("writer", prompt="{question} {thinking}", engine=minimal["engine"], sampling=sampling),
        },
        "community": {
            "Zero-1M": model("base", engine=minimal["engine"], training="on_policy", questions=57_000),
            "Distil.1M": model("writer", engine=minimal["engine"], training="off_policy", questions=1_000),
        },
    }


def write_scale(root: Path, folder: Path) -> None:
    """Add the scale `SCALE` to the checkout `root`, its questions and models below `folder`."""
    minimal = yaml.safe_load((root / "config" / "scales" / "minimal.yaml").read_text())
    (root / "config" / "scales" / f"{SCALE}.yaml").write_text(yaml.safe_dump(make_world(folder, minimal)))
