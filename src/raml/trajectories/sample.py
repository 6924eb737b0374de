"""Let a model write `n` trajectories for every question, and judge them."""

from typing import Any

import polars as pl
import torch
from pydantic import Field
from transformers import PreTrainedTokenizerBase

from raml.config import Sampling, Section
from raml.progress import track
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.engine import Engine, Request
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.rows import trajectory_row
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.tokenizer import prompt_ids


class Job(Section):
    """How the model writes, and how many trajectories for each question."""

    sampling: Sampling
    n: int = Field(gt=0)


def main(step: Step[Job]) -> None:
    """Write the table of trajectories; the file records the model's hash."""
    sampling = step.config.sampling
    torch.set_num_threads(sampling.threads)
    questions = read_table(step.files["questions"], Question)
    model, tokenizer = load_pretrained(step.files["model"])
    engine = TorchSampler(model, sampling, [tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id)
    rows = sampled_rows(questions, engine, tokenizer, step.names["writer"], step.config.n, step.seed)
    table = pl.DataFrame(rows, schema=column_types(Trajectory))
    write_table(table, Trajectory, step.files["out"], step.provenance(model_hash=model_hash(step.files["model"])))


def sampled_rows(
    questions: pl.DataFrame, engine: Engine, tokenizer: PreTrainedTokenizerBase, writer: str, n: int, seed: int
) -> list[dict[str, Any]]:
    """`n` rows of `schemas.Trajectory` for each row of `questions` (`schemas.Question`), in their order."""
    prompts = [tuple(prompt_ids(tokenizer, prompt)) for prompt in questions["prompt"]]
    requests = [
        Request(question_id, prompt, sample)
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
    run(main, Job, inputs=["model", "questions"], outputs=["out"], names=["writer"])
