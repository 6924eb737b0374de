"""Rewrite trajectories in the tokens of another model, which is to be trained on them.

    python -m raml.trajectories.retokenise --scale S --config '{}' --trajectories T... --questions Q \
        --tokenizer results/S/models/seed0/base --out results/S/trajectories/long.parquet

The text and what it was judged to be stay. The prompt becomes that of the question by the other model's chat template,
and what ended gets the other model's end of text.
"""

from typing import Any

import polars as pl
from transformers import PreTrainedTokenizerBase

from raml.config import Section
from raml.errors import DataError
from raml.progress import track
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, run
from raml.storage import read_provenance, read_table, write_table
from raml.trajectories.chat import question_ids
from raml.trajectories.pretrained import load_tokenizer
from raml.trajectories.rows import spans


class Job(Section):
    """The tokenizer alone decides: nothing to configure."""


def main(step: Step[Job]) -> None:
    """Write the table anew."""
    files, parts = step.files, step.lists["trajectories"]
    trajectories = pl.concat(read_table(part, Trajectory) for part in parts)
    asked = dict(read_table(files["questions"], Question).select("id", "prompt").iter_rows())
    if unknown := sorted(set(trajectories["question_id"]) - set(asked)):
        raise DataError(f"{parts[0].parent} answers {unknown[0]!r}, which {files['questions']} does not hold")
    tokenizer = load_tokenizer(files["tokenizer"])
    rows = []
    for (question,), of_question in track(
        trajectories.group_by("question_id", maintain_order=True),
        "tokenising",
        trajectories["question_id"].n_unique(),
        "question",
    ):
        prompt = question_ids(tokenizer, asked[question])
        found = (retokenised(row, prompt, tokenizer) for row in of_question.iter_rows(named=True))
        rows += [row for row in found if row is not None]
    print(f"{len(rows)} trajectories; left out: {len(trajectories) - len(rows)} without text or end")
    table = pl.DataFrame(rows, schema=column_types(Trajectory))
    writer = read_provenance(parts[0]).model_hash
    write_table(table, Trajectory, files["out"], step.provenance(model_hash=writer))


def retokenised(
    row: dict[str, Any], prompt_ids: list[int], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any] | None:
    """A row of `schemas.Trajectory` in the tokens of `tokenizer`; None if nothing would be left of it."""
    ids = tokenizer.encode(row["text"], add_special_tokens=False)
    if row["finished"]:
        ids = [*ids, tokenizer.eos_token_id]
    if not ids:
        return None
    thinking_end, answer = spans(ids, tokenizer)
    return row | {
        "prompt_ids": prompt_ids,
        "token_ids": ids,
        "loss_mask": [True] * len(ids),
        "text": tokenizer.decode(ids, skip_special_tokens=True),  # a tokenizer may normalise what it reads
        "thinking_start": 0,
        "thinking_end": thinking_end,
        "answer_start": answer[0] if answer else None,
        "answer_end": answer[1] if answer else None,
        "n_tokens": len(ids),
    }


if __name__ == "__main__":
    run(main, Job, inputs=["questions", "tokenizer"], many=["trajectories"], outputs=["out"])
