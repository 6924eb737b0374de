"""Write the oracles' trajectories: short, long and deliberately wrong ones.

Each trajectory is judged by the verifier that judges models. One that is not well formatted, or a short
or long one that is not correct, fails the job; a wrong one whose slip leaves the answer right is dropped.
"""

import random
from typing import Any

import polars as pl
from pydantic import Field
from transformers import PreTrainedTokenizerBase

from raml.config import Oracle, Section
from raml.errors import RamlError
from raml.progress import track
from raml.questions.family import stable_seed
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, check_lengths, run
from raml.storage import read_table, write_table
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import PROGRAM
from raml.trajectories.oracles.solution import OracleStyle
from raml.trajectories.oracles.write import completion, distinct_solutions
from raml.trajectories.pretrained import load_tokenizer
from raml.trajectories.rows import trajectory_row


class Job(Section):
    """How the oracles write, and which of them; `--outs` are in the order of `styles`."""

    oracle: Oracle
    styles: list[OracleStyle] = Field(min_length=1)


def main(step: Step[Job]) -> None:
    """Write one table per style."""
    check_lengths({"styles": step.config.styles, "--outs": step.lists["outs"]})
    questions = read_table(step.files["questions"], Question)
    tokenizer = load_tokenizer(step.files["tokenizer"])
    for style, path in zip(step.config.styles, step.lists["outs"], strict=True):
        rows = [
            row
            for question in track(questions.iter_rows(named=True), f"oracle {style}", len(questions), "question")
            for row in question_rows(question, style, tokenizer, step.config.oracle, step.seed)
        ]
        table = pl.DataFrame(rows, schema=column_types(Trajectory))
        write_table(table, Trajectory, path, step.provenance())


def question_rows(
    question: dict[str, Any], style: OracleStyle, tokenizer: PreTrainedTokenizerBase, settings: Oracle, seed: int
) -> list[dict[str, Any]]:
    """All distinct solutions of one question as rows of `schemas.Trajectory`.

    Raises:
        RamlError: the verifier disagrees with the oracle.
    """
    rng = random.Random(stable_seed(seed, "oracle", style, question["id"]))
    prompt = question_ids(tokenizer, question["prompt"])
    rows: list[dict[str, Any]] = []
    for solution in distinct_solutions(question["family"], question["prompt"], style, rng, settings):
        completion_ids, loss_mask = completion(tokenizer, solution)
        row = trajectory_row(
            question, f"oracle_{style}", len(rows), seed, prompt, completion_ids, loss_mask, tokenizer, PROGRAM
        )
        if style == "wrong" and row["correct"]:
            continue  # a slip that leaves the answer right, for example the order of the sums
        if row["correct"] == (style == "wrong") or not row["formatted"]:
            raise RamlError(f"the {style} oracle answers {question['id']} wrongly: {row['text']!r}")
        rows.append(row)
    return rows


if __name__ == "__main__":
    run(main, Job, inputs=["questions", "tokenizer"], many_outputs=["outs"])
