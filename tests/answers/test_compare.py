import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.answers import same_answer
from raml.errors import InputError

TYPES = ["integer", "integers", "labels"]


@pytest.mark.parametrize(
    ("answer", "gold", "answer_type", "same"),
    [
        ("7", "7", "integer", True),
        (" +07 ", "7", "integer", True),
        ("$-7$", "-7", "integer", True),
        ("\N{MINUS SIGN}7", "-7", "integer", True),
        ("1,234", "1234", "integer", True),
        ("1,23", "123", "integer", False),
        ("7.0", "7", "integer", False),
        ("7 7", "7", "integer", False),
        ("\u0667", "7", "integer", False),  # a digit, but not one of ours
        ("", "7", "integer", False),
        ("1 2 3", "1, 2,3", "integers", True),
        ("01 -2", "1 -2", "integers", True),
        ("2 1 3", "1 2 3", "integers", False),
        ("1 2", "1 2 3", "integers", False),
        ("1,,2", "1 2", "integers", False),
        ("A B", "A,B", "labels", True),
        ("B A", "A B", "labels", False),
        ("a B", "A B", "labels", False),
        ("A,", "A", "labels", False),
    ],
)
def test_typed_answers(answer: str, gold: str, answer_type: str, same: bool) -> None:
    assert same_answer(answer, gold, answer_type) is same


@given(st.lists(st.integers(), min_size=1), st.sampled_from([" ", ", ", ",", " ,  "]))
def test_integers_are_compared_by_value(numbers: list[int], separator: str) -> None:
    gold = " ".join(map(str, numbers))
    assert same_answer(separator.join(f"{n:+04d}" for n in numbers), gold, "integers")
    assert not same_answer(separator.join(map(str, [*numbers, 1])), gold, "integers")
    assert not same_answer(separator.join(map(str, [numbers[0] + 1, *numbers[1:]])), gold, "integers")


def test_integers_too_long_for_int() -> None:
    digits = "9" * (sys.get_int_max_str_digits() + 1)
    assert same_answer(digits, "0" + digits, "integer")
    assert not same_answer(digits, digits + "9", "integer")


@pytest.mark.parametrize(
    ("gold", "answer_type"),
    [("x", "integer"), ("1 x", "integers"), ("A,", "labels"), ("1 2", "choice"), ("1", "words")],
)
def test_gold_of_another_type_is_bad_input(gold: str, answer_type: str) -> None:
    with pytest.raises(InputError, match=answer_type):
        same_answer("1", gold, answer_type)


@pytest.mark.parametrize("answer_type", [*TYPES, "math"])
def test_empty_gold_is_bad_input(answer_type: str) -> None:
    with pytest.raises(InputError, match="empty"):
        same_answer("1", " $ $ ", answer_type)


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("0.5", r"\frac{1}{2}", True),
        (r"$\frac{2}{4}$", "1/2", True),
        ("0.333333", r"\frac{1}{3}", True),
        ("0.333", r"\frac{1}{3}", False),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        ("(x-1)(x+1)", "x^2-1", True),
        ("x=3", "3", True),
        ("=5.", "5", True),
        ("1,000", "1000", True),
        (r"50\%", "50", True),
        (r"50\%", "0.5", True),
        (r"\( 5 \)", "5", True),
        (r"\$5", "5", True),
        (r"\{2,1\}", r"\{1,2\}", True),
        ("5 or 6", "6", False),
        ("$5$ or $6$", "6", False),
        # What does not parse equals nothing, even where a bare number could be fished out of it.
        ("10 { 5", "5", False),
        (r"\frac{5}{", "5", False),
        ("\ud800\x00", "5", False),
        ("(" * 40, "5", False),
    ],
)
def test_mathematical_answers(answer: str, gold: str, same: bool) -> None:
    assert same_answer(answer, gold) is same


@pytest.mark.parametrize("gold", [r"\frac{1}{", "答案"])
def test_gold_that_does_not_parse_is_bad_input(gold: str) -> None:
    with pytest.raises(InputError, match="cannot parse the gold answer"):
        same_answer("1", gold)
