"""Let models write `n` trajectories for every question, and judge them.

Several models of one training seed share a process, since importing torch takes longer than many a model's sampling;
each one's samples are those that it would write in a process of its own. `--models`, `--writers` and `--outs` go
together one by one; models that name the same file share a table.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from pydantic import Field
from transformers import PreTrainedTokenizerBase

from raml.answers.format import THINK_END
from raml.config import BenchmarkKind, Sampling, Section
from raml.errors import DataError
from raml.progress import track
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, check_lengths, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Engine, Request
from raml.trajectories.pretrained import load_pretrained, on_device
from raml.trajectories.rows import trajectory_row
from raml.trajectories.sampler import TorchSampler


class Job(Section):
    """How the models write, how many trajectories for each question, and on which questions."""

    sampling: Sampling
    n: int = Field(gt=0)
    kinds: list[BenchmarkKind] | None = Field(description="of benchmarks; null: all questions")
    thinking: bool = Field(description="false: the prompt ends the thinking, only the answer is written")


def main(step: Step[Job]) -> None:
    """Write each table of `outs` once, the trajectories of its models in order; the file records their hashes."""
    folders, writers, outs = step.lists["models"], step.name_lists["writers"], step.lists["outs"]
    check_lengths({"--models": folders, "--writers": writers, "--outs": outs})
    torch.set_num_threads(step.config.sampling.threads)
    questions: pl.DataFrame = read_table(step.files["questions"], Question)
    if step.config.kinds is not None:
        questions = questions.filter(pl.col("kind").is_in(step.config.kinds))
    if questions.is_empty():
        raise DataError(f"{step.files['questions']} holds no question of kinds {step.config.kinds}")
    for table in dict.fromkeys(outs):
        together = [
            (folder, writer) for folder, writer, out in zip(folders, writers, outs, strict=True) if out == table
        ]
        rows = [row for folder, writer in together for row in _written(folder, writer, questions, step)]
        hashes = ",".join(model_hash(folder) for folder, _ in together)
        trajectories = pl.DataFrame(rows, schema=column_types(Trajectory))
        write_table(trajectories, Trajectory, table, step.provenance(model_hash=hashes))


def _written(folder: Path, writer: str, questions: pl.DataFrame, step: Step[Job]) -> list[dict[str, Any]]:
    """Rows of the trajectories that one model writes."""
    model, tokenizer = load_pretrained(folder)
    engine = TorchSampler(
        on_device(model), step.config.sampling, [tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id
    )
    prompts = [question_ids(tokenizer, prompt) for prompt in questions["prompt"]]
    if not step.config.thinking:
        end_of_thinking = tokenizer.encode(THINK_END, add_special_tokens=False)
        prompts = [[*prompt, *end_of_thinking] for prompt in prompts]
    return sampled_rows(questions, prompts, engine, tokenizer, writer, step.config.n, step.seed)


def sampled_rows(
    questions: pl.DataFrame,
    prompts: Sequence[Sequence[int]],
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    writer: str,
    n: int,
    seed: int,
) -> list[dict[str, Any]]:
    """`n` rows of `schemas.Trajectory` for each row of `questions` (`schemas.Question`) and its prompt, in order."""
    requests = [
        Request(question_id, tuple(prompt), sample)
        for question_id, prompt in zip(questions["id"], prompts, strict=True)
        for sample in range(n)
    ]
    completions = engine.sample(requests, seed)

    rows = []
    for index, question in enumerate(track(questions.iter_rows(named=True), "judging", len(questions), "question")):
        judgements: dict[str, Any] = {}
        for request, completion in zip(requests[index * n :][:n], completions[index * n :][:n], strict=True):
            ids = completion.token_ids
            rows.append(
                trajectory_row(
                    question, writer, request.sample, seed, request.prompt_ids, ids, None, tokenizer, judgements
                )
            )
    return rows


if __name__ == "__main__":
    run(main, Job, inputs=["questions"], many=["models"], many_outputs=["outs"], many_names=["writers"])
