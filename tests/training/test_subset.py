"""Which rows of a group the gradient comes from: exactly n of each, the same on every process, and nothing lost."""

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.training.subset import chosen_rows, moving_rows, parts, take_rows, trim


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


def test_every_row_is_chosen_about_equally_often() -> None:
    counts = [0] * 16
    for step in range(800):
        for row in chosen_rows(["q"] * 16, 16, 4, seed=1, step=step):
            counts[row] += 1
    assert all(150 < count < 250 for count in counts)  # 200 expected, standard deviation 12


def batch(prompts: list[int], completions: list[int]) -> dict[str, Any]:
    """Rows with prompts and completions of these lengths, their tokens all different."""
    widths = max(prompts), max(completions)
    prompt_mask = torch.tensor([[0] * (widths[0] - length) + [1] * length for length in prompts])
    mask = torch.tensor([[1] * length + [0] * (widths[1] - length) for length in completions])
    ids = torch.arange(1, len(prompts) * sum(widths) + 1).view(len(prompts), -1)
    return {
        "prompt_ids": ids[:, : widths[0]] * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": ids[:, widths[0] :] * mask,
        "completion_mask": mask,
        "old_per_token_logps": -ids[:, widths[0] :].float(),
        "advantages": torch.arange(len(prompts)) - 1.0,
        "num_items_in_batch": mask.sum(),
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=8), st.data())
def test_taking_and_trimming_loses_padding_alone(lengths: list[tuple[int, int]], data: Any) -> None:
    whole = batch([prompt for prompt, _ in lengths], [completion for _, completion in lengths])
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, unique=True))
    taken = trim(take_rows(whole, rows))
    for side in ("prompt", "completion"):
        assert taken[f"{side}_mask"].any(0).all()  # no column of padding is left
        for position, row in enumerate(rows):
            before = whole[f"{side}_ids"][row][whole[f"{side}_mask"][row].bool()]
            assert taken[f"{side}_ids"][position][taken[f"{side}_mask"][position].bool()].equal(before)
    assert taken["old_per_token_logps"].equal(whole["old_per_token_logps"][rows][:, : taken["completion_ids"].shape[1]])
    assert taken["advantages"].tolist() == [row - 1.0 for row in rows]
    assert taken["num_items_in_batch"] == whole["num_items_in_batch"]


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 9))
def test_parts_share_out_the_rows_by_length(lengths: list[int], size: int) -> None:
    whole = batch([1] * len(lengths), lengths)
    rows = list(range(0, len(lengths), 2))
    found = parts(whole, rows, size)
    assert sorted(row for part in found for row in part) == rows
    assert max(map(len, found)) <= size and len(found) == -(-len(rows) // size)
    in_order = [lengths[row] for part in found for row in part]
    assert in_order == sorted(in_order)


def test_rows_without_an_advantage_do_not_move_the_policy() -> None:
    assert moving_rows({"advantages": torch.tensor([0.0, 0.5, 0.0, -0.1])}) == [1, 3]
    assert moving_rows({"advantages": torch.zeros(4)}, 0) == [0]  # a backward pass needs one
    assert moving_rows({"advantages": torch.tensor([0.0, 0.5, 0.0, -0.1])}, 3) == [1, 3, 0]  # another process has 3
