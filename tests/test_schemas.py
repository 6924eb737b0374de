from typing import Any

import dataframely as dy
import polars as pl
import pytest

from raml.schemas import Trajectory

TRAJECTORY: dict[str, Any] = {
    "question_id": "q", "writer": "oracle_short", "sample": 0, "seed": 0, "engine": "program",
    "engine_version": "0.1.0", "dtype": "none", "prompt_ids": [1], "token_ids": [5, 6], "loss_mask": [True, True],
    "text": "a b", "thinking_start": 0, "thinking_end": 1, "answer_start": None, "answer_end": None, "finished": True,
    "correct": True, "formatted": True, "reward": 1.0, "n_tokens": 2,
}  # fmt: skip


def check(changes: dict[str, Any]) -> None:
    Trajectory.validate(pl.DataFrame([{**TRAJECTORY, **changes}], schema=Trajectory.create_empty().schema))


@pytest.mark.parametrize(
    "changes",
    [
        {"token_ids": [], "loss_mask": [], "n_tokens": 0},
        {"prompt_ids": []},
        {"loss_mask": [True]},
        {"n_tokens": 3},
        {"reward": 2.0},
        {"sample": -1},
        {"correct": None},
        {"thinking_end": -1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_broken_trajectory_is_refused(changes: dict[str, Any]) -> None:
    check({})
    with pytest.raises(dy.exc.ValidationError):
        check(changes)
