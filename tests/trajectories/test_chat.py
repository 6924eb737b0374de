"""Questions as prompts by any tokenizer's chat template, and spans in any tokenizer's tokens."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byte_level import byte_level_tokenizer
from raml.answers.format import MARKER
from raml.errors import InputError
from raml.questions.family import Family
from raml.questions.verify import IN_MICRO_WORDS
from raml.trajectories.chat import question_ids
from raml.trajectories.rows import spans
from raml.trajectories.tokenizer import build_tokenizer, prompt_ids

BYTE_LEVEL = byte_level_tokenizer(400)


@pytest.mark.parametrize("family", IN_MICRO_WORDS, ids=lambda family: family.name)
def test_a_micro_models_prompt_is_what_it_was_trained_on(family: Family) -> None:
    prompt = family.generate(family.levels[-1], random.Random(0)).prompt
    assert question_ids(build_tokenizer(), prompt) == prompt_ids(build_tokenizer(), prompt)


def test_a_chat_models_prompt_ends_where_it_begins_to_write() -> None:
    ids = question_ids(BYTE_LEVEL, "What is 2 + 2?")
    assert BYTE_LEVEL.decode(ids) == "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"


def test_unknown_words_are_refused() -> None:
    with pytest.raises(InputError, match=r"'banana' in 'A \+9 banana \?' is not a word of the tokenizer"):
        question_ids(build_tokenizer(), "A +9 banana ?")


def parts(text: str, tokenizer: Any = BYTE_LEVEL) -> tuple[str, str | None]:
    ids = tokenizer.encode(text, add_special_tokens=False)
    thinking_end, answer = spans(ids, tokenizer)
    return tokenizer.decode(ids[:thinking_end]), None if answer is None else tokenizer.decode(ids[slice(*answer)])


def test_edges_that_merge_with_what_stands_beside_them_are_found() -> None:
    text = f"So it is 4.{MARKER}4}}\n\nDone."
    ids, marker = (BYTE_LEVEL.encode(part, add_special_tokens=False) for part in (text, MARKER))
    assert not any(ids[start : start + len(marker)] == marker for start in range(len(ids)))  # `.\n\n` is a token
    assert parts(text) == ("So it is 4.\n\n", "4")


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        (f"We add.\n</think>{MARKER}\\frac{{1}}{{2}}}}\n\nDone.", "We add.\n", "\\frac{1}{2}"),
        (f"A {MARKER}4", "A", None),
        ("We add.", "We add.", None),
        (f"Über {MARKER}4}}</think> 7", f"Über {MARKER}4}}", None),
    ],
)
def test_thinking_and_answer_in_byte_level_tokens(text: str, thinking: str, answer: str | None) -> None:
    found, given_answer = parts(text)
    assert found.rstrip() == thinking.rstrip()
    assert given_answer is None if answer is None else given_answer is not None and answer in given_answer


@given(
    st.text(st.characters(exclude_characters="<>{}*\\"), max_size=40), st.text("0123456789+-x ", min_size=1, max_size=8)
)
def test_spans_follow_the_text_whatever_it_holds(thinking: str, answer: str) -> None:
    found, boxed = parts(f"{thinking}</think>{MARKER}{answer}}}")
    assert found.startswith(thinking) or thinking.startswith(found.rstrip("\N{REPLACEMENT CHARACTER}"))
    assert boxed is not None and answer in boxed
    assert len(boxed) <= len(answer) + 2
