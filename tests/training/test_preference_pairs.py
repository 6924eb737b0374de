"""Preference pairs: different, evenly spread, of one question each."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from off_policy import trajectories

from raml.errors import DataError
from raml.training.pairs import preference_pairs, spread


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 160))
def test_pairs_are_different_and_use_everything_evenly(n_chosen: int, n_rejected: int, n_pairs: int) -> None:
    pairs = spread(n_chosen, n_rejected, n_pairs)
    assert len(pairs) == min(n_pairs, n_chosen * n_rejected) == len(set(pairs))
    for side, count in ((0, n_chosen), (1, n_rejected)):
        used = Counter(pair[side] for pair in pairs)
        assert set(used) <= set(range(count))
        assert len(used) == min(count, len(pairs))
        if pairs:
            assert max(used.values()) - min(used[index] for index in range(count)) <= 1


def test_both_of_a_pair_answer_one_question_one_rightly_one_wrongly() -> None:
    correct, wrong = trajectories(), trajectories("wrong")
    pairs = preference_pairs(correct, wrong, 5, "t")
    assert len(pairs) == 3 * 5
    rows = {(tuple(row["prompt_ids"]), tuple(row["token_ids"])): row["correct"]
            for row in pl.concat([correct, wrong]).iter_rows(named=True)}  # fmt: skip
    for pair in pairs:
        assert rows[tuple(pair["prompt_ids"]), tuple(pair["chosen_ids"])]
        assert not rows[tuple(pair["prompt_ids"]), tuple(pair["rejected_ids"])]
    assert pairs == preference_pairs(correct, wrong, 5, "t")


def test_a_question_with_one_kind_only_gives_no_pairs() -> None:
    correct, wrong = trajectories(), trajectories("wrong")
    first = correct["question_id"][0]
    assert len(preference_pairs(correct, wrong.filter(pl.col("question_id") != first), 5, "t")) == 2 * 5
    with pytest.raises(DataError, match=r"^t: no question has both a correct and a wrong trajectory"):
        preference_pairs(correct.filter(question_id=first), wrong.filter(pl.col("question_id") != first), 5, "t")


def test_prompts_must_agree() -> None:
    other = trajectories("wrong").with_columns(prompt_ids=pl.lit([1, 2], dtype=pl.List(pl.Int32)))
    with pytest.raises(DataError, match="were not written for the same prompt"):
        preference_pairs(trajectories(), other, 5, "t")
