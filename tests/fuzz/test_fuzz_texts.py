"""Whatever a model has written, it is judged, summarised, verified and cleaned, without an error and soon."""

import random

import pytest
from fuzzing import cases, damaged_text
from hypothesis import example, given
from hypothesis import strategies as st

from raml.answers import judge, same_answer
from raml.answers.code import extract_code, is_formatted_code, unpickled_text
from raml.errors import InputError
from raml.questions.cleaning import ANSWER_FILTERS, FILTERS
from raml.questions.stripping import strip
from raml.questions.verify import FAMILIES, verify
from raml.trajectories.chat import question_ids
from raml.trajectories.rows import spans
from raml.trajectories.summaries import occurs, program_summaries, without_answer
from raml.trajectories.tokenizer import build_tokenizer

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

WORDS = [
    "**Final Answer**", "**", "Final", "Answer", " ", "\n", "\\boxed{", "{", "}", "\\{", "\\}", "\\", "</think>",
    "<think>", "<eos>", "<|im_end|>", "<", "answer is ", "answer:", "$", "$$", ".", ",", "-", "0", "12", "9" * 40,
    "\u2212", "\u0663", "\u00b2", "A", "B", "Wait", "Hold on", "ok", ";", ":", "=", "+4", "b 3 ;", "12 + 15 = 27.",
    "```", "```python\n", "print(1)", "\\text{", "(B)", "\\frac{1}{2}", "\ud7ff", "\u2028", "\x85", "\t",
]  # fmt: skip
HTML = [
    "<a ", "<script>", "</script>", "<!--", "-->", "<sup>", "</sup>", "&amp;", "&lt;", "&#", "&#x110000;", "https://",
    "www.", "[", "](", "http://x(", ")", "<", ">", "\n", " ", "\u00a0", "x", ".", "figure", "the following", "prove",
]  # fmt: skip
GOLD = {"integer": "-12", "integers": "3, 4 5", "labels": "B a c", "choice": "B"}
QUESTIONS = {
    name: {
        "id": "q", "family": name, "metadata": "{}", "answer_type": family.answer_type,
        "prompt": (draft := family.generate(family.levels[-1], random.Random(0))).prompt, "answer": draft.answer,
    }
    for name, family in FAMILIES.items()
}  # fmt: skip
texts = damaged_text(WORDS, 3_000)


@cases(20_000)
@given(text=texts, kind=st.sampled_from(sorted(GOLD)))
@example(text="**" + " " * 20_000 + "Final", kind="integer")
@example(text="answer is" * 5_000, kind="labels")
@example(text="\\boxed{" * 5_000, kind="integer")
@example(text="\\boxed{" + "1 " * 20_000 + "}", kind="integers")
@example(text="\\boxed{" + "0" * 20_000 + "}", kind="integer")
@example(text="<|" * 20_000, kind="choice")
def test_judging(text: str, kind: str) -> None:
    judgement = judge(text, GOLD[kind], answer_type=kind)
    assert judgement.reward in (1.0, 0.0, -0.5, -1.0)
    assert same_answer(text, GOLD[kind], kind) in (True, False)
    extract_code(text), is_formatted_code(text)


@cases(300)
@given(text=damaged_text([*WORDS, "x^2", "\\sqrt{", "\\sum_{i=1}^{9}", "10^{10^{10}}", "\\infty", "[1, 2)"]))
@example(text="\\boxed{10^{10^{10^{10}}}}")
@example(text="\\boxed{" + "(" * 2_000 + "}")
def test_judging_mathematics(text: str) -> None:
    assert judge(text[:2_000], "\\frac{7}{3}").reward in (1.0, 0.0, -0.5, -1.0)


@cases(10_000)
@given(text=texts, name=st.sampled_from(sorted(FAMILIES)), seed=st.integers(0, 3))
@example(text="9" * 200_000, name="chain_sum", seed=0)
def test_verifying_and_summarising(text: str, name: str, seed: int) -> None:
    question = QUESTIONS[name]
    assert verify(question, text) in (True, False)
    without_answer(text, str(question["answer"])), occurs(text, text)
    try:
        assert len(program_summaries(name, text, 2, random.Random(seed))) == 2
    except InputError:
        assert name == "spell_backward"


TOKENIZER = build_tokenizer()


@cases(5_000)
@given(text=texts)
def test_spans_in_tokens(text: str) -> None:
    ids = TOKENIZER(text[:2_000], add_special_tokens=False)["input_ids"]
    thinking, answer = spans(ids, TOKENIZER)
    assert 0 <= thinking <= len(ids) and (answer is None or 0 <= answer[0] <= answer[1] <= len(ids))
    try:
        question_ids(TOKENIZER, text[:2_000])
    except InputError as error:
        assert "is not a word of the tokenizer" in str(error)


@cases(5_000)
@given(text=damaged_text(HTML, 300))
@example(text="<" * 20_000)
@example(text="<!--" * 5_000)
@example(text="<script>" * 2_000)
@example(text="[" * 20_000)
@example(text="[](http://x" + "(" * 5_000)
@example(text="&amp;" * 1_000 + "amp;" * 1_000)
@example(text="<sup>" * 3_000)
def test_cleaning_questions(text: str) -> None:
    stripped = strip(text)
    assert strip(stripped) == stripped
    for one in (*FILTERS, *ANSWER_FILTERS):
        one.applies(stripped, text)


@cases(5_000)
@given(
    data=st.binary(max_size=60),
    head=st.sampled_from([b"", b"\x80\x04", b"\x80\x04X\x01\x00\x00\x00a", b"cos\nsystem\n"]),
)
def test_pickles_are_read_and_not_followed(data: bytes, head: bytes) -> None:
    try:
        assert isinstance(unpickled_text(head + data), str)
    except InputError as error:
        assert "\n" not in str(error)
