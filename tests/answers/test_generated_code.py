"""Programs as answers, and tests as LiveCodeBench publishes them."""

import base64
import json
import pickle
import pickletools
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.answers import judge, same_answer
from raml.answers.code import extract_code, gold_text, is_formatted_code, published_tests, read_tests, unpickled_text
from raml.answers.sandbox import Cases
from raml.errors import InputError

DRAFT = "print(0)\n"
DOUBLE = "print(2 * int(input()))\n"
GOLD = gold_text(Cases(None, ("1", "4"), ("2", "8")))


def block(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}```"


def packed(text: Any) -> str:
    """As the hub has private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(text))).decode()


@pytest.mark.parametrize(
    ("completion", "code", "formatted"),
    [
        (f"So:\n{block(DOUBLE)}", DOUBLE, True),
        (f"{block(DRAFT)}\n then\n{block(DOUBLE, '')}\n <|im_end|>", DOUBLE, True),
        (f"<think>{block(DRAFT)}</think>\n{block(DOUBLE)}", DOUBLE, True),
        (f"<think>{block(DOUBLE)}</think>\nThat is it.", None, False),
        (f"{block(DOUBLE)}\nIt doubles.", DOUBLE, False),
        (f"</think></think>{block(DOUBLE)}", None, False),
        ("```python\nprint(1)", None, False),
        ("print(1)", None, False),
        ("", None, False),
        (f"  ```py\n  {DOUBLE}  ```", f"  {DOUBLE}", True),
    ],
)
def test_the_last_fenced_block_is_the_program(completion: str, code: str | None, formatted: bool) -> None:
    assert is_formatted_code(completion) is formatted
    assert extract_code(completion) == code or "</think></think>" in completion


def test_programs_are_judged_like_other_answers() -> None:
    right, wrong = (f"Think.</think>\n{block(code)}" for code in (DOUBLE, "print(2)\n"))
    assert judge(right, GOLD, answer_type="code").reward == 1.0
    assert judge(wrong, GOLD, answer_type="code").reward == 0.0
    assert judge(f"{right}\nDone.", GOLD, answer_type="code").reward == -0.5
    assert judge("no program", GOLD, answer_type="code").reward == -1.0
    assert judge(right, "unused", answer_type="code", verify=lambda code: code == DOUBLE).correct


def test_a_gold_that_holds_no_tests_is_bad_input() -> None:
    for gold in ("42", "[]", '{"function": null, "inputs": [], "outputs": []}', '{"inputs": ["1"], "outputs": ["1"]}'):
        with pytest.raises(InputError, match="are no tests of a program"):
            same_answer(DOUBLE, gold, "code")
    assert not same_answer(" ", GOLD, "code")


def cases(*pairs: tuple[str, str]) -> str:
    return json.dumps([{"input": text, "output": output, "testtype": "stdin"} for text, output in pairs])


def test_tests_are_read_as_the_hub_has_them() -> None:
    expected = Cases(None, ("1", "2", "é\n3"), ("2", "4", "6"))
    private = cases(("2", "4"), ("é\n3", "6"))
    assert published_tests(cases(("1", "2")), packed(private), "") == expected
    assert published_tests(cases(("1", "2")), private, None) == expected
    assert published_tests("[]", packed(private), "solve").function == "solve"
    assert read_tests(gold_text(expected)) == expected


@pytest.mark.parametrize(
    ("private", "message"),
    [
        ("?", "neither JSON nor compressed"),
        (base64.b64encode(zlib.compress(pickle.dumps("[]"))[:-6]).decode(), "truncated, or larger"),
        (packed('[{"input": "1"}]'), "no list of mappings"),
        (packed("[" * 100_000), "private tests are not JSON"),
        (packed([1, 2]), "the pickle holds EMPTY_LIST, and not one text alone"),
        ("[]", "neither a public nor a private test"),
    ],
)
def test_other_private_tests_are_refused(private: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        published_tests("[]", private, None)


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


@given(st.text(), st.integers(1, pickle.HIGHEST_PROTOCOL))
def test_the_text_of_a_pickle_is_read(text: str, protocol: int) -> None:
    assert unpickled_text(pickle.dumps(text, protocol)) == text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_in_a_pickle_is_executed(protocol: int, capsys: pytest.CaptureFixture[str]) -> None:
    for value in (Evil(), [Evil()], ("a", Evil()), {"a": Evil()}, ("a", "b"), "a".encode, None):
        with pytest.raises(InputError):
            unpickled_text(pickle.dumps(value, protocol))
    assert capsys.readouterr().out == ""


HARMLESS = pickle.dumps("[1]" * 30)
DANGEROUS = pickle.dumps(Evil())


@given(st.binary(max_size=200) | st.lists(st.sampled_from([bytes([n]) for n in range(256)]), max_size=9).map(b"".join))
def test_any_bytes_are_a_text_or_refused(data: bytes) -> None:
    for tried in (data, HARMLESS[:7] + data + HARMLESS[7:], DANGEROUS[:9] + data, HARMLESS[:-1] + data + b"."):
        try:
            text = unpickled_text(tried)
        except InputError:
            continue
        # Whatever is taken for a text alone has no instruction that could do anything.
        names = {opcode.name for opcode, *_ in pickletools.genops(tried)}
        forbidden = {"REDUCE", "GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "BUILD", "NEWOBJ"}
        assert isinstance(text, str) and not names & forbidden


@pytest.mark.parametrize(
    "answer", ["B", "b", "(B)", "B.", "B)", r"\text{B}", r"\textbf{ (B) }", "$B$", "B) the second", "B: x"]
)
def test_a_letter_is_read_as_models_write_it(answer: str) -> None:
    assert same_answer(answer, "B", "choice")
    assert not same_answer(answer, "A", "choice")


@pytest.mark.parametrize("answer", ["", "Both", "BC", "2", r"\frac{B}{2}", "the second", "AB"])
def test_what_is_no_letter_is_wrong(answer: str) -> None:
    assert not same_answer(answer, "B", "choice")
