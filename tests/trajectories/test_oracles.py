"""Oracles: right ones are right, wrong ones wrong, variants are different solutions, slips are masked."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byte_level import byte_level_tokenizer
from raml.answers.format import MARKER
from raml.config import Oracle
from raml.questions.verify import FAMILIES
from raml.trajectories.oracles.write import completion, distinct_solutions, write_solution

SUMS = ["chain_sum", "leg_counting", "word_problem"]
SETTINGS = Oracle(variants_per_question=32, slip_rate=0.2, check_rate=0.5)
EVERY_LEVEL = [(name, level) for name, family in FAMILIES.items() for level in family.levels if level]


def question(family: str, level: int, seed: int) -> dict[str, str]:
    import json

    draft = FAMILIES[family].generate(level, random.Random(seed))
    return {"prompt": draft.prompt, "answer": draft.answer, "metadata": json.dumps(draft.metadata)}


@pytest.mark.parametrize(("family", "level"), EVERY_LEVEL)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_answers_are_right_unless_meant_wrong(family: str, level: int, seed: int) -> None:
    drawn = question(family, level, seed)
    verify = FAMILIES[family].verify
    for style in ("short", "long"):
        assert verify(drawn, write_solution(family, drawn["prompt"], style, random.Random(seed), SETTINGS).answer)
    wrong = distinct_solutions(family, drawn["prompt"], "wrong", random.Random(seed), SETTINGS)
    if family not in ("rows_sort", "rows_top"):  # whose order, or largest number, survives most slips
        assert any(not verify(drawn, solution.answer) for solution in wrong)


@pytest.mark.parametrize(("family", "level"), EVERY_LEVEL)
def test_variants_are_distinct_and_without_slips_read_differently(family: str, level: int) -> None:
    drawn = question(family, level, 4)
    plain = SETTINGS.model_copy(update={"slip_rate": 0.0, "check_rate": 0.0})
    solutions = distinct_solutions(family, drawn["prompt"], "long", random.Random(0), plain)
    texts = [" ".join(solution.thinking) for solution in solutions]
    assert len(set(texts)) == len(texts)
    if family in {"rows", "rows_top", "rows_sort"}:
        assert len(texts) == {1: 6, 2: 24, 3: 32}[level]


def test_slips_are_masked_and_mended() -> None:
    prompt = question("rows", 2, 7)["prompt"]
    solution = write_solution("rows", prompt, "long", random.Random(2), SETTINGS)
    slips = [position for position, imitate in enumerate(solution.imitate) if not imitate]
    assert slips
    for position in slips:
        assert solution.thinking[position + 1] == "Wait"
        assert solution.thinking[position] != solution.thinking[position + 2]


def test_dead_ends_are_search_and_not_masked() -> None:
    drawn = question("path", 2, 1)
    solutions = distinct_solutions("path", drawn["prompt"], "long", random.Random(0), SETTINGS)
    assert any("Wait" in solution.thinking for solution in solutions)
    assert all(all(solution.imitate) for solution in solutions)


EQUATION = re.compile(r"(-?\d+) ([-+*]) (-?\d+) = (-?\d+)")
OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}


def holds(equation: tuple[str, str, str, str]) -> bool:
    one, operation, other, result = equation
    return OPERATIONS[operation](int(one), int(other)) == int(result)


@pytest.mark.parametrize("family", SUMS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([1, 2, 3]))
def test_steps_of_sums_are_right_but_for_slips(family: str, seed: int, level: int) -> None:
    prompt = question(family, level, seed)["prompt"]
    for style in ("short", "long"):
        solution = write_solution(family, prompt, style, random.Random(seed), SETTINGS)
        for piece, imitate in zip(solution.thinking, solution.imitate, strict=True):
            assert all(holds(equation) == imitate for equation in EQUATION.findall(piece))
        assert EQUATION.findall(" ".join(solution.thinking))
    wrong = write_solution(family, prompt, "wrong", random.Random(seed), SETTINGS)
    assert not all(map(holds, EQUATION.findall(" ".join(wrong.thinking))))
    assert all(wrong.imitate)


def test_numbers_of_two_digits_are_taken_apart() -> None:
    prompt = "the following arithmetic problem: 53 - 27 ="
    plain = SETTINGS.model_copy(update={"slip_rate": 0.0, "check_rate": 1.0})
    solution = write_solution("chain_sum", prompt, "long", random.Random(0), plain)
    assert " ".join(solution.thinking) == (
        "Take 53 - 27. 53 - 27: 53 - 20 = 33, 33 - 7 = 26. 53 - 27 = 26. Hold on, 26 + 27 = 53, ok."
    )


@pytest.mark.parametrize("family", [*SUMS, "spell_backward", "rows"])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_tokenizer_writes_the_same_completion(family: str, seed: int) -> None:
    tokenizer = byte_level_tokenizer(400)
    drawn = question(family, 2, seed)
    solution = write_solution(family, drawn["prompt"], "long", random.Random(seed), SETTINGS)
    ids, mask = completion(tokenizer, solution)
    assert len(ids) == len(mask) and ids[-1] == tokenizer.eos_token_id
    text = tokenizer.decode(ids[:-1])
    assert text == f"{' '.join(solution.thinking)}\n</think>{MARKER}{drawn['answer']}}}"
    wrong = [piece for piece, imitate in zip(solution.thinking, solution.imitate, strict=True) if not imitate]
    masked = [tokenizer.decode([token]) for token, learn in zip(ids, mask, strict=True) if not learn]
    # A token may begin with the blank before a wrong attempt, never with that after one.
    assert "".join("".join(masked).split()) == "".join("".join(wrong).split())
    without, _ = completion(tokenizer, solution, close_thinking=False)
    assert tokenizer.decode(without[:-1]) == text.replace("\n</think>", "")
