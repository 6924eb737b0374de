"""Which trajectories are trained on: limits, whole batches, their order."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from off_policy import sft, trajectories

from raml.errors import DataError
from raml.training.examples import in_batches, usable


@pytest.mark.parametrize(
    ("style", "correct", "changes", "message"),
    [
        ("wrong", True, {}, "of {n} trajectories {n} are wrong"),
        ("long", False, {}, "of {n} trajectories {n} are correct"),
        ("long", True, {"max_tokens": 3}, "and {n} more than max_tokens = 3"),
        ("long", True, {"max_prompt_tokens": 2}, "{n} have a prompt of more than max_prompt_tokens = 2 and 0 more"),
    ],
)
def test_where_nothing_is_left_the_error_says_why(
    style: str, correct: bool, changes: dict[str, int], message: str
) -> None:
    table = trajectories(style)
    with pytest.raises(DataError, match=f"^t: nothing to train on; .*{message.format(n=len(table))}"):
        usable(table, sft(**changes), correct=correct, where="t")


def test_long_ones_are_left_out_and_never_cut() -> None:
    table = trajectories()
    middle = int(table["n_tokens"].median())  # type: ignore[arg-type]
    left = usable(table, sft(max_tokens=middle), correct=True, where="t")
    assert 0 < left.height < table.height
    assert left.height == table.filter(table["n_tokens"] <= middle).height


def test_only_finished_right_ones_and_none_twice() -> None:
    table = trajectories()
    with pytest.raises(DataError, match=rf"0 are wrong, {len(table)} right but cut off, 0 "):
        usable(table.with_columns(finished=pl.lit(False)), sft(), correct=True, where="t")
    wrong = trajectories("wrong").with_columns(finished=pl.lit(False))
    assert usable(wrong, sft(), correct=False, where="t").height == len(wrong)
    for rows, correct in ((table, True), (wrong, False)):
        again = rows.with_columns(sample=pl.col("sample") + 100)
        kept = usable(pl.concat([again, rows]), sft(), correct=correct, where="t")
        assert kept.equals(usable(rows, sft(), correct=correct, where="t"))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 8))
def test_batches_are_whole_keep_their_rows_and_begin_with_the_longest(lengths: list[int], batch_size: int) -> None:
    rows = list(enumerate(lengths))
    if len(rows) < batch_size:
        with pytest.raises(DataError, match=rf"t: {len(rows)} to train on are less than one batch; lower batch_size"):
            in_batches(rows, batch_size, lambda row: row[1], "t")
        return
    ordered = in_batches(rows, batch_size, lambda row: row[1], "t")
    assert len(rows) - batch_size < len(ordered) <= len(rows)
    assert len(ordered) % batch_size == 0
    for start in range(0, len(ordered), batch_size):
        batch = ordered[start : start + batch_size]
        assert Counter(batch) == Counter(rows[start : start + batch_size])
        assert [length for _, length in batch] == sorted((length for _, length in batch), reverse=True)
