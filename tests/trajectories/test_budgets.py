from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byte_level import byte_level_tokenizer
from raml.answers.format import MARKER, THINK_END
from raml.trajectories.budgets import end_ids, ends_within, thinking_ids
from raml.trajectories.tokenizer import build_tokenizer

IDS = st.lists(st.integers(0, 500), max_size=60)
COUNTS = st.integers(0, 80)


def trajectory(thinking: list[int], after: list[int], answer_start: int | None) -> dict[str, Any]:
    return {
        "token_ids": [*thinking, *after],
        "thinking_start": 0,
        "thinking_end": len(thinking),
        "answer_start": answer_start,
    }


@given(IDS, st.lists(st.integers(0, 500), min_size=1, max_size=9), COUNTS)
def test_a_trajectory_ends_within_a_budget_if_its_own_answer_follows(
    thinking: list[int], after: list[int], budget: int
) -> None:
    answered = trajectory(thinking, after, len(thinking))
    assert thinking_ids(answered) == thinking
    assert ends_within(answered, budget) == (len(thinking) <= budget)
    assert not ends_within(trajectory(thinking, [], None), budget)  # cut off: there is no answer to keep


@pytest.mark.parametrize("tokenizer", [build_tokenizer(), byte_level_tokenizer(330)], ids=["words", "bytes"])
def test_end_of_thinking_and_marker_are_forced_as_text(tokenizer: Any) -> None:
    for marker in (True, False):
        text = tokenizer.decode(end_ids(tokenizer, THINK_END, marker=marker))
        assert "".join(text.split()) == "".join((THINK_END + (MARKER if marker else "")).split())
