"""The gradient from n random completions of each group, the advantages from all of them (Figure 9).

Rows of a batch are grouped: `group_size` completions of one question follow one another. Rows that are not chosen
are taken out, not masked, so that they cost no forward and no backward pass.
"""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from raml.questions.family import stable_seed

Batch = dict[str, Any]


def chosen_rows(question_ids: Sequence[str], group_size: int, n: int, *, seed: int, step: int) -> list[int]:
    """Indices of `n` random rows of each group, ascending.

    What is chosen depends on (`seed`, `step`, question, group size) alone: not on the process, nor on the other
    questions. Of two values of `n` the larger chooses all that the smaller does and more.

    Args:
        question_ids: the question of each row; `group_size` equal ones follow one another.
        group_size: completions of a question.
        n: rows to choose of each group, at most `group_size`.
        seed: of the run.
        step: optimiser steps done before the batch was written.
    """
    rows = []
    for start in range(0, len(question_ids), group_size):
        order = list(range(start, start + group_size))
        random.Random(stable_seed("update", seed, step, question_ids[start])).shuffle(order)
        rows += sorted(order[:n])
    return rows


def moving_rows(batch: Batch, least: int = 1) -> list[int]:
    """Indices of the rows that the policy gradient comes from: those whose advantage is not 0.

    In a group with equal rewards all advantages are exactly 0, and so are its losses and gradients. Some such rows
    are added if fewer than `least` (or, for a backward pass, one) would be left.
    """
    moving = batch["advantages"].nonzero()[:, 0].tolist()
    still = (batch["advantages"] == 0).nonzero()[:, 0].tolist()
    return [*moving, *still[: max(least, 1) - len(moving)]] if len(moving) < max(least, 1) else moving


def parts(batch: Batch, rows: Sequence[int], size: int) -> list[list[int]]:
    """`rows` by length of their completions, cut into parts of at most `size` rows, which need little padding."""
    lengths = batch["completion_mask"].sum(1).tolist()
    by_length = sorted(rows, key=lambda row: (lengths[row], row))
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]


def take_rows(batch: Batch, rows: Sequence[int]) -> Batch:
    """`batch` with these rows of every tensor that has rows; scalars stay as they are."""
    index = torch.tensor(rows)
    return {
        name: value.index_select(0, index.to(value.device)) if isinstance(value, Tensor) and value.ndim else value
        for name, value in batch.items()
    }


def trim(batch: Batch) -> Batch:
    """`batch` without the columns that are padding in all rows.

    Prompts are padded on the left, completions on the right; every tensor of two dimensions other than the prompts'
    has one column a completion token.
    """
    prompt_columns = int(batch["prompt_mask"].any(0).sum())
    columns = max(1, int(batch["completion_mask"].any(0).sum()))
    trimmed = {}
    for name, value in batch.items():
        if not isinstance(value, Tensor) or value.ndim < 2:
            trimmed[name] = value
        elif name in ("prompt_ids", "prompt_mask"):
            trimmed[name] = value[:, -prompt_columns:]
        else:
            trimmed[name] = value[:, :columns]
    return trimmed
