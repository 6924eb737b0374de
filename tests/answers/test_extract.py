import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.answers import MARKER, extract_answer, extract_loose

plain = st.text(st.characters(exclude_characters="{}\\*", exclude_categories=["Cs"]), max_size=8)
escaped = st.sampled_from([r"\{", r"\}", r"\\", r"\frac", r"\text"])
balanced = st.recursive(
    st.one_of(plain, escaped),
    lambda inner: st.one_of(st.tuples(inner, inner).map("".join), inner.map(lambda text: f"{{{text}}}")),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (f"{MARKER}7}}", "7"),
        (f"thinking </think> {MARKER} 12  5\n7 }} <eos>", "12 5 7"),
        (rf"{MARKER}\frac{{1}}{{\sqrt{{2}}}}}}", r"\frac{1}{\sqrt{2}}"),
        (rf"{MARKER}\{{1, 2\}}}}", r"\{1, 2\}"),
        (f"{MARKER}7}} no, {MARKER}8}}", "8"),
        (f"{MARKER}7}} and then chatter", "7"),
        (rf"{MARKER}7}} or \boxed{{8}}", "7"),
        (f"{MARKER}7}} no, {MARKER}8", None),
        (f"{MARKER} }}", None),
        (r"\boxed{7}", None),
        ("", None),
    ],
)
def test_extract_answer(completion: str, answer: str | None) -> None:
    assert extract_answer(completion) == answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"so \boxed{6}, no, \boxed{\frac{1}{2}} it is", r"\frac{1}{2}"),
        (r"The answer is 5. \boxed{7} \boxed{8", "7"),
        (r"The answer is 5. \boxed{}", "5"),
        ("The answer is 7.", "7"),
        ("the answer is 6\nWait. The ANSWER IS: 3.5\nDone.", "3.5"),
        ("**Answer:** 12 apples", "12 apples"),
        ("answer :\n  $x + 1$ <eos>", "x + 1"),
        ("the answer isn't known", None),
        ("answers: many", None),
        ("The answer is .", None),
        ("", None),
    ],
)
def test_extract_loose(completion: str, answer: str | None) -> None:
    assert extract_loose(completion) == answer


@given(plain, balanced, st.sampled_from(["", " ", ".", "<eos>", " more text"]))
def test_any_balanced_content_comes_back(before: str, content: str, after: str) -> None:
    answer = " ".join(content.split()) or None
    assert extract_answer(f"{before}{MARKER}{content}}}{after}") == answer


@pytest.mark.parametrize("piece", ["\\boxed{", "{", MARKER, "** ", "answer is ", " "])
def test_time_is_linear_in_the_length(piece: str) -> None:
    """Quadratic code would need minutes."""
    completion = piece * 50_000
    started = time.monotonic()
    extract_answer(completion)
    extract_loose(completion)
    assert time.monotonic() - started < 5
