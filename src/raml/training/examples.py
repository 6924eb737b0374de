"""Which trajectories are trained on, and in which order."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import polars as pl

from raml.config import Training
from raml.errors import DataError

T = TypeVar("T")


def usable(trajectories: pl.DataFrame, settings: Training, *, correct: bool, where: str) -> pl.DataFrame:
    """The correct (or the wrong) trajectories that are not too long, by question, writer and sample.

    Of those of a question with the same tokens only the first is kept. Correct ones must be finished, too: one cut off
    right after its answer would teach never to end. Wrong ones need not be.

    Args:
        trajectories: a table of `schemas.Trajectory`.
        settings: with the longest prompt and the longest completion in tokens; nothing is cut.
        correct: which of them.
        where: the table's name, for errors.

    Raises:
        DataError: none is left.
    """
    judged = trajectories.filter(pl.col("correct") == correct)
    if correct:
        judged = judged.filter("finished")
    prompt_fits = pl.col("prompt_ids").list.len() <= settings.max_prompt_tokens
    fitting = judged.filter(prompt_fits, pl.col("n_tokens") <= settings.max_tokens)
    if fitting.is_empty():
        unfinished = trajectories.filter(pl.col("correct") & ~pl.col("finished")).height if correct else 0
        long_prompts = judged.filter(~prompt_fits).height
        raise DataError(
            f"{where}: nothing to train on; of {len(trajectories)} trajectories "
            f"{len(trajectories) - len(judged) - unfinished} are {'wrong' if correct else 'correct'}, "
            f"{f'{unfinished} right but cut off, ' if unfinished else ''}"
            f"{long_prompts} have a prompt of more than max_prompt_tokens = {settings.max_prompt_tokens} and "
            f"{len(judged) - long_prompts} more than max_tokens = {settings.max_tokens}"
        )
    ordered = fitting.sort("question_id", "writer", "sample")
    return ordered.unique(["question_id", "token_ids"], keep="first", maintain_order=True)


def in_batches(rows: Sequence[T], batch_size: int, length: Callable[[T], int], where: str) -> list[T]:
    """`rows` in the order in which they are trained on: whole batches, in each of them the longest rows first.

    Rows of like length then share a forward pass, and devices get equal work; a step's gradient, a sum over its
    batch, stays what it was. Rows after the last whole batch are left out, so that all steps weigh a row alike
    whatever the number of devices.

    Args:
        rows: shuffled.
        batch_size: rows an optimiser step, over all processes.
        length: of a row, in tokens.
        where: what the rows are, for errors.

    Raises:
        DataError: there is no whole batch.
    """
    whole = len(rows) - len(rows) % batch_size
    if not whole:
        raise DataError(f"{where}: {len(rows)} to train on are less than one batch; lower batch_size = {batch_size}")
    starts = range(0, whole, batch_size)
    return [row for start in starts for row in sorted(rows[start : start + batch_size], key=length, reverse=True)]
