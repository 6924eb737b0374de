import pytest

from raml.answers import MARKER, Judgement, judge, reward


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (f"3 + 4 </think>{MARKER}7}}", Judgement("7", True, True, 1.0)),
        (f"3 + 4 </think>{MARKER}8}}", Judgement("8", False, True, 0.0)),
        (rf"{MARKER}8 \boxed{{7}}}}", Judgement(r"8 \boxed{7}", False, True, 0.0)),
        (r"3 + 4, so \boxed{7}", Judgement("7", True, False, -0.5)),
        (f"{MARKER}7}} and chatter", Judgement("7", True, False, -0.5)),
        (f"{MARKER}8}}{MARKER}7}}", Judgement("7", True, False, -0.5)),
        ("The answer is 7.", Judgement("7", True, False, -0.5)),
        ("The answer is 8.", Judgement("8", False, False, -1.0)),
        (f"{MARKER}}}", Judgement(None, False, False, -1.0)),
        (f"{MARKER}7", Judgement(None, False, False, -1.0)),
        ("", Judgement(None, False, False, -1.0)),
    ],
)
def test_equation_21(completion: str, expected: Judgement) -> None:
    assert judge(completion, "7", answer_type="integer") == expected
    assert reward(completion, "7", answer_type="integer") == expected.reward


def test_a_verifier_of_the_family_replaces_the_comparison() -> None:
    seen = []

    def verify(answer: str) -> bool:
        seen.append(answer)
        return answer == "B C"

    assert reward(f"{MARKER} B  C }}", "not even an integer", answer_type="integer", verify=verify) == 1.0
    assert reward(f"{MARKER} C }}", "", verify=verify) == 0.0
    assert reward("nothing", "", verify=verify) == -1.0
    assert seen == ["B C", "C"]
