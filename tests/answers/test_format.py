import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.answers import MARKER, THINK_END, THINK_START, is_formatted

FORMATTED = [
    f"{MARKER}7}}",
    f"12 - 5 = 7 {THINK_END}{MARKER}7}}",
    f"{THINK_START}12 - 5 = 7{THINK_END}{MARKER}7}}",
    f"\n {THINK_START}\n12 - 5{THINK_END} So it is 7. {MARKER}7}}\n",
    rf"{MARKER}\frac{{1}}{{2}}}}",
    rf"{MARKER}\left\{{ 1 \right.}}",  # an escaped brace needs no partner
    f"{THINK_END} \n\n**Final Answer**\n\\boxed{{ 1 2 3 }} <eos>",
    "**  Final   Answer ** \\boxed {7}",
    f"${MARKER}7}}$.",
    f"{MARKER}7}}<\uff5cend\u2581of\u2581sentence\uff5c>",
    f"{MARKER}7}} <eos> <pad> <pad>",
    f"first \\boxed{{6}} {{ no, {MARKER}7}}",  # a box without the marker, a stray brace
]

UNFORMATTED = {
    "empty": "",
    "box alone": r"\boxed{7}",
    "wrong case": r"**final answer** \boxed{7}",
    "two markers": f"{MARKER}7}}{MARKER}7}}",
    "marker within the box": f"{MARKER}7{MARKER}7}}}}",
    "never closed": f"{MARKER}7",
    "inner brace never closed": rf"{MARKER}\frac{{1}}{{2}}",
    "only an escaped brace": rf"{MARKER}7\}}",
    "empty box": f"{MARKER} }}",
    "text after the box": f"{MARKER}7}} I think",
    "two full stops": f"{MARKER}7}}..",
    "brace too many": f"{MARKER}7}}}}",
    "thinking closed twice": f"{THINK_END} {THINK_END}{MARKER}7}}",
    "thinking closed after the marker": f"{MARKER}7}}{THINK_END}",
    "thinking never closed": f"{THINK_START} 5 + 2{MARKER}7}}",
    "thinking not first": f"Well. {THINK_START}5 + 2{THINK_END}{MARKER}7}}",
    "thinking opened after it was closed": f"{THINK_END}{THINK_START}{MARKER}7}}",
}


@pytest.mark.parametrize("completion", FORMATTED)
def test_formatted(completion: str) -> None:
    assert is_formatted(completion)


@pytest.mark.parametrize("completion", UNFORMATTED.values(), ids=UNFORMATTED.keys())
def test_unformatted(completion: str) -> None:
    assert not is_formatted(completion)


@pytest.mark.parametrize("completion", FORMATTED)
def test_cut_off_inside_the_answer_is_unformatted(completion: str) -> None:
    assert not is_formatted(completion[: completion.rindex("}")])


@given(st.text())
def test_any_thinking_without_marker_or_tags_keeps_the_format(thinking: str) -> None:
    harmless = thinking.replace("<", "").replace("*", "").replace("\\", "")
    assert is_formatted(f"{harmless}{THINK_END}{MARKER}7}}")
    assert not is_formatted(harmless)
