"""What the tests of the steps share: small tables in the micro tokenizer's words, and a run as the workflow does."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from raml.answers.format import MARKER, THINK_END
from raml.config import Probing, Section, canonical_json
from raml.schemas import Question, Trajectory
from raml.step import run
from raml.storage import Provenance
from raml.trajectories.engine import PROGRAM
from raml.trajectories.tokenizer import build_tokenizer, prompt_ids, token_ids

ORIGIN = Provenance(scale="test", config_hash="0", code_version="0", seed=3)
TOKENIZER = build_tokenizer()
PROBING = Probing(
    models=["sft_long", "base"], benchmarks=["rows", "path"], trajectories_per_question=2, stride=1,
    token_budget=64, end_of_thinking=THINK_END, threads=1,
)  # fmt: skip


def ids(words: str) -> list[int]:
    return token_ids(TOKENIZER, words.split())


def prompt(question: str) -> list[int]:
    return prompt_ids(TOKENIZER, f"rows a {question[-1]} ?")


def question_table(answers: Mapping[str, str]) -> pl.DataFrame:
    """Questions by their ids, which begin with the benchmark and end with a digit."""
    shared = {"source": "t", "family": "rows", "domain": "d", "kind": "in_domain", "answer_type": "integers"}
    rows = [
        {**shared, "id": name, "split": name.split("-")[0], "prompt": f"rows a {name[-1]} ?", "answer": answer,
         "difficulty": 1, "metadata": "{}"}
        for name, answer in answers.items()
    ]  # fmt: skip
    return Question.cast(pl.DataFrame(rows).select(Question.column_names()))


def sample(question: str, number: int, thinking: str, *, answer: str = "7 3", **changes: Any) -> dict[str, Any]:
    """A completion with `thinking`; correct and ended unless changed."""
    before = ids(thinking)
    written = [*before, *token_ids(TOKENIZER, [THINK_END, MARKER, *answer.split(), "}", "<eos>"])]
    return {
        "question_id": question, "writer": "sft_long", "sample": number, "seed": 3, **PROGRAM.columns(),
        "prompt_ids": prompt(question), "token_ids": written, "loss_mask": [True] * len(written), "text": thinking,
        "thinking_start": 0, "thinking_end": len(before), "answer_start": len(before) + 2,
        "answer_end": len(written) - 2, "finished": True, "correct": True, "formatted": True, "reward": 1.0,
        "n_tokens": len(written), **changes,
    }  # fmt: skip


def sample_table(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=Trajectory.create_empty().schema)


def start(main: Callable[..., None], job: Section, options: Mapping[str, object], **kinds: Sequence[str]) -> Path:
    """Run a step; which of its options are inputs and which are names say `kinds`, as of `raml.step.run`."""
    arguments = ["--scale", "test", "--seed", "3", "--config", canonical_json(job)]
    for name, value in options.items():
        arguments += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    run(main, type(job), outputs=["out"], arguments=arguments, **kinds)
    return Path(str(options["out"]))
