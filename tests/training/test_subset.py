"""Which rows of a group the gradient comes from: exactly n of each, the same on every process, and nothing lost."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from raml.training.subset import chosen_rows


@st.composite
def groups(draw: Any) -> tuple[list[str], int, int]:
    """Questions of rows, group size, n."""
    size = draw(st.integers(2, 16))
    names = draw(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
    return [name for name in names for _ in range(size)], size, draw(st.integers(1, size))


@settings(deadline=None)
@given(groups(), st.integers(0, 99), st.integers(0, 99))
def test_every_group_gives_exactly_n_rows(drawn: tuple[list[str], int, int], seed: int, step: int) -> None:
    questions, size, n = drawn
    rows = chosen_rows(questions, size, n, seed=seed, step=step)
    assert rows == sorted(set(rows)) and set(rows) <= set(range(len(questions)))
    assert [row // size for row in rows] == [group for group in range(len(questions) // size) for _ in range(n)]
    assert rows == chosen_rows(questions, size, n, seed=seed, step=step)


@settings(deadline=None)
@given(groups(), st.integers(0, 99))
def test_a_process_chooses_what_it_would_choose_of_the_whole_batch(
    drawn: tuple[list[str], int, int], step: int
) -> None:
    questions, size, n = drawn
    middle = len(questions) // size // 2 * size
    first = chosen_rows(questions[:middle], size, n, seed=3, step=step)
    second = chosen_rows(questions[middle:], size, n, seed=3, step=step)
    assert [*first, *(middle + row for row in second)] == chosen_rows(questions, size, n, seed=3, step=step)


@settings(deadline=None)
@given(groups(), st.integers(0, 99))
def test_more_rows_include_the_fewer(drawn: tuple[list[str], int, int], step: int) -> None:
    questions, size, n = drawn
    fewer = set(chosen_rows(questions, size, n, seed=0, step=step))
    assert fewer <= set(chosen_rows(questions, size, min(n + 1, size), seed=0, step=step))
