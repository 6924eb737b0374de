"""Let a model write `n` trajectories for every question, and judge them."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import torch
from pydantic import Field
from transformers import PreTrainedTokenizerBase

from raml.answers.format import THINK_END
from raml.config import Sampling, Section
from raml.progress import track
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.engine import Engine, Request
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.rows import trajectory_row
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.tokenizer import prompt_ids, token_ids


class Job(Section):
    """How the model writes, and how many trajectories for each question."""

    sampling: Sampling
    n: int = Field(gt=0)
    thinking: bool = Field(description="false: the prompt ends the thinking, only the answer is written")


def main(step: Step[Job]) -> None:
    """Write the table of trajectories; the file records the model's hash."""
    sampling = step.config.sampling
    torch.set_num_threads(sampling.threads)
    questions = read_table(step.files["questions"], Question)
    model, tokenizer = load_pretrained(step.files["model"])
    engine = TorchSampler(model, sampling, [tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id)
    prompts = [prompt_ids(tokenizer, prompt) for prompt in questions["prompt"]]
    if not step.config.thinking:
        prompts = [[*prompt, *token_ids(tokenizer, [THINK_END])] for prompt in prompts]
    rows = sampled_rows(questions, prompts, engine, tokenizer, step.names["writer"], step.config.n, step.seed)
    table = pl.DataFrame(rows, schema=column_types(Trajectory))
    write_table(table, Trajectory, step.files["out"], step.provenance(model_hash=model_hash(step.files["model"])))


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
    run(main, Job, inputs=["model", "questions"], outputs=["out"], names=["writer"])
