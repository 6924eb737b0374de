"""Let models write `n` trajectories for every question, and judge them.

Several models of one training seed share a process, since importing torch takes longer than many a model's sampling;
each one's samples are those that it would write in a process of its own. `--models`, `--writers` and `--outs` go
together one by one; models that name the same file share a table. What is written is kept in shards below `--work`
until the table is there.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import polars as pl
import torch
from pydantic import Field, model_validator
from transformers import PreTrainedTokenizerBase

from raml.answers.format import THINK_END
from raml.config import BenchmarkKind, EngineSettings, Sampling, Section
from raml.errors import DataError
from raml.progress import track
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, check_lengths, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Completion, Origin, Request
from raml.trajectories.engines import open_engine
from raml.trajectories.gpus import take_gpus
from raml.trajectories.pretrained import load_tokenizer
from raml.trajectories.rows import trajectory_row
from raml.trajectories.shards import ShardedEngine, Shards


class Part(Section):
    """One of `of` parts of the questions, of about equal size, counted from 0."""

    number: int = Field(ge=0)
    of: int = Field(gt=0)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.number >= self.of:
            raise ValueError(f"part {self.number} of {self.of}: the last one is {self.of - 1}")
        return self


class Job(Section):
    """How the models write, how many trajectories for each question, and on which questions."""

    engine: EngineSettings
    sampling: Sampling
    n: int = Field(gt=0)
    kinds: list[BenchmarkKind] | None = Field(description="of benchmarks; null: all questions")
    thinking: bool = Field(description="false: the prompt ends the thinking, only the answer is written")
    part: Part = Field(default=Part(number=0, of=1), description="of the questions that this job asks")


def main(step: Step[Job]) -> None:
    """Write each table of `outs` once, the trajectories of its models in order; the file records their hashes."""
    folders, writers, outs = step.lists["models"], step.name_lists["writers"], step.lists["outs"]
    check_lengths({"--models": folders, "--writers": writers, "--outs": outs})
    take_gpus(step.config.engine.tensor_parallel)
    torch.set_num_threads(step.config.sampling.threads)
    questions = _questions(step)
    for table in dict.fromkeys(outs):
        together = [
            (folder, writer) for folder, writer, out in zip(folders, writers, outs, strict=True) if out == table
        ]
        rows: list[dict[str, Any]] = []
        finished: list[Shards] = []
        hashes: list[str] = []
        for folder, writer in together:
            hashes.append(model_hash(folder))
            found, shards = _written(folder, hashes[-1], writer, questions, step)
            rows += found
            finished += shards
        trajectories = pl.DataFrame(rows, schema=column_types(Trajectory))
        write_table(trajectories, Trajectory, table, step.provenance(model_hash=",".join(hashes)))
        for done in finished:
            done.delete()


def _questions(step: Step[Job]) -> pl.DataFrame:
    questions: pl.DataFrame = read_table(step.files["questions"], Question)
    if step.config.kinds is not None:
        questions = questions.filter(pl.col("kind").is_in(step.config.kinds))
    if questions.is_empty():
        raise DataError(f"{step.files['questions']} holds no question of kinds {step.config.kinds}")
    number, of = step.config.part.number, step.config.part.of
    if len(questions) < of:
        raise DataError(f"{step.files['questions']} has {len(questions)} questions, too few for {of} parts")
    first, last = (len(questions) * edge // of for edge in (number, number + 1))
    return questions[first:last]


def _written(
    folder: Path, hashed: str, writer: str, questions: pl.DataFrame, step: Step[Job]
) -> tuple[list[dict[str, Any]], list[Shards]]:
    """Rows of the trajectories that one model writes, and the shards that hold them until they are in a table.

    `hashed` is the model's hash.
    """
    job = step.config
    tokenizer = load_tokenizer(folder)
    prompts = [question_ids(tokenizer, prompt) for prompt in questions["prompt"]]
    if not job.thinking:
        end_of_thinking = tokenizer.encode(THINK_END, add_special_tokens=False)
        prompts = [[*prompt, *end_of_thinking] for prompt in prompts]
    requests = [
        Request(question_id, tuple(prompt), sample)
        for question_id, prompt in zip(questions["id"], prompts, strict=True)
        for sample in range(job.n)
    ]
    engine = open_engine(folder, tokenizer, job.engine, job.sampling)
    identity = {**step.provenance(model_hash=hashed).model_dump(), **engine.origin.columns()}
    sharded = ShardedEngine(engine, step.files["work"], identity, job.sampling.batch_size)
    completions = sharded.sample(requests, step.seed, f"sampling {writer}")
    judged = judged_rows(questions, requests, completions, tokenizer, writer, engine.origin, step.seed)
    return list(judged), sharded.shards


def judged_rows(
    questions: pl.DataFrame,
    requests: Sequence[Request],
    completions: Sequence[Completion],
    tokenizer: PreTrainedTokenizerBase,
    writer: str,
    origin: Origin,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Rows of `schemas.Trajectory`; each row of `questions` has as many of the `requests`, in order."""
    n = len(requests) // len(questions)
    for index, question in enumerate(track(questions.iter_rows(named=True), "judging", len(questions), "question")):
        judgements: dict[str, Any] = {}
        for request, completion in zip(requests[index * n :][:n], completions[index * n :][:n], strict=True):
            yield trajectory_row(
                question, writer, request.sample, seed, request.prompt_ids, completion.token_ids, None, tokenizer,
                origin, judgements,
            )  # fmt: skip


if __name__ == "__main__":
    run(
        main, Job,
        inputs=["questions"], many=["models"], outputs=["work"], many_outputs=["outs"], many_names=["writers"],
    )  # fmt: skip
