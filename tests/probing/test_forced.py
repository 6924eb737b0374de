"""Token ids at the seams: marker, answer, braces, chat template."""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from byte_level import byte_level_tokenizer
from raml.answers.format import INSTRUCTION, MARKER
from raml.errors import InputError
from raml.probing.forced import (
    END_OF_THINKING_SENTENCE,
    END_OF_THINKING_TAG,
    default_end_of_thinking,
    forced_probe,
)
from raml.probing.prompts import exact_ids, question_ids
from raml.probing.text import pieces, tokenise
from raml.trajectories.tokenizer import build_tokenizer
from raml.trajectories.tokenizer import prompt_ids as micro_prompt_ids


@cache
def byte_level(*, merges: bool = True) -> PreTrainedTokenizerFast:
    r"""Merges `{\` and `}}`, as those of many language models do, or nothing."""
    return byte_level_tokenizer(600 if merges else 259)


def prefixing(vocabulary: dict[str, int], **parts: Any) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


WORDS = [word for word in build_tokenizer().get_vocab() if word.isalnum() or word[0] in "+-"]


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
def test_the_word_level_tokenizer_forces_marker_and_answer_as_they_are(words: list[str]) -> None:
    tokenizer = build_tokenizer()
    answer = " ".join(words)
    probe = forced_probe(tokenizer, answer)
    assert list(probe.marker_ids) == tokenizer.encode(MARKER, add_special_tokens=False)
    assert list(probe.answer_ids) == tokenizer.encode(answer, add_special_tokens=False)
    closed = forced_probe(tokenizer, answer, end_of_thinking=END_OF_THINKING_TAG)
    assert closed.answer_ids == probe.answer_ids
    assert list(closed.marker_ids) == tokenizer.encode(END_OF_THINKING_TAG, add_special_tokens=False) + list(
        probe.marker_ids
    )


@settings(max_examples=200)
@given(
    answer=st.text(st.sampled_from(r"0123{}\frac é😀x"), min_size=1, max_size=12).filter(lambda text: text.strip()),
    end=st.sampled_from([None, END_OF_THINKING_SENTENCE, END_OF_THINKING_TAG]),
    merges=st.booleans(),
)
def test_forced_ids_are_the_text_and_split_at_the_brace(answer: str, end: str | None, merges: bool) -> None:
    tokenizer = byte_level(merges=merges)
    before = (end or "") + MARKER
    probe = forced_probe(tokenizer, answer, end_of_thinking=end)
    assert tokenizer.decode([*probe.marker_ids, *probe.answer_ids]).rstrip("}") == (before + answer.strip()).rstrip("}")
    assert before.startswith(tokenizer.decode(probe.marker_ids))
    assert len(before) - len(tokenizer.decode(probe.marker_ids)) <= 1  # the opening brace at most
    assert answer.strip() in tokenizer.decode(probe.answer_ids)


def test_a_token_that_spans_brace_and_answer_is_part_of_the_answer() -> None:
    tokenizer = byte_level()
    probe = forced_probe(tokenizer, r"\frac{1}{2}")
    shown = tokenizer.convert_ids_to_tokens(list(probe.answer_ids))
    assert shown[0].startswith("{\\") and shown[-1].endswith("}}")
    assert list(probe.answer_ids) != tokenizer.encode(r"\frac{1}{2}", add_special_tokens=False)
    assert forced_probe(tokenizer, " 42\n") == forced_probe(tokenizer, "42")  # blanks around it are dropped
    plain = forced_probe(byte_level(merges=False), r"\frac{1}{2}")
    assert byte_level(merges=False).decode(plain.answer_ids) == r"\frac{1}{2}"


def test_an_answer_that_the_tokenizer_drops_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "{": 1, "}": 2, "x": 3}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace("\u200b", ""), normalizers.Replace("é", "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    dropping = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    with pytest.raises(InputError, match="the answer 'é' tokenises to nothing"):
        forced_probe(dropping, "é", marker="{")
    assert forced_probe(dropping, "x", marker="{").answer_ids == (3,)


SENTENCE = {"end_of_thinking": END_OF_THINKING_SENTENCE}


@pytest.mark.parametrize(
    ("tokenizer", "answer", "options", "message"),
    [
        (byte_level, "", {}, "the answer is blank"),
        (byte_level, " \n", {}, "the answer is blank"),
        (byte_level, "\frac{1}{2}", {}, "holds a control character"),
        (byte_level, "4\x1b", {}, "holds a control character"),
        (build_tokenizer, "1234", {}, "no token for '1234' in the answer"),
        (build_tokenizer, "4", SENTENCE, "no token for 'Therefore,' in the forced text"),
        (lambda: SimpleNamespace(is_fast=False), "4", {}, "SimpleNamespace is a slow tokenizer"),
    ],
)
def test_what_cannot_be_forced_is_refused(
    tokenizer: Callable[[], Any], answer: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        forced_probe(tokenizer(), answer, **options)


def test_an_artificial_blank_before_the_line_break_is_dropped() -> None:
    letters = sorted(set(MARKER + "1}Thus" + "▁"))
    vocabulary = {"<unk>": 0} | {letter: index for index, letter in enumerate(letters, 1)}
    tokenizer = prefixing(vocabulary, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first"))
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode(MARKER, add_special_tokens=False))[0] == "▁"
    assert tokenizer.convert_ids_to_tokens(list(forced_probe(tokenizer, "1").marker_ids))[0] == "\n"


def test_the_end_of_thinking_follows_the_vocabulary() -> None:
    assert default_end_of_thinking(build_tokenizer()) == "</think>"
    assert default_end_of_thinking(byte_level()) == "Therefore, after all this, I believe the answer is"


def test_a_question_goes_through_the_chat_template() -> None:
    tokenizer = byte_level()
    for options, asked in (({}, f"1 + 1?\n\n{INSTRUCTION}"), ({"instruction": ""}, "1 + 1?")):
        expected = f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
        assert tokenizer.decode(question_ids(tokenizer, "1 + 1?", **options)) == expected


def test_the_micro_prompt_is_that_of_the_workflow() -> None:
    tokenizer = build_tokenizer()
    assert list(question_ids(tokenizer, "rows 3 ; ?", instruction="")) == micro_prompt_ids(tokenizer, "rows 3 ; ?")
    with pytest.raises(InputError, match=r"no token for 'Work' in the instruction; .* --instruction ''"):
        question_ids(tokenizer, "rows 3 ; ?")
    with pytest.raises(InputError, match="no token for 'sheep' in the prompt"):
        question_ids(tokenizer, "rows sheep", instruction="")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template; .* --prompt FILE"),
        ("{{ raise_exception('no users') }}", "template fails .*no users"),
        ("{{ 1/0 }}", "template fails .ZeroDivisionError"),
    ],
)
def test_a_tokenizer_without_a_working_template_is_refused(template: str | None, message: str) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level().backend_tokenizer, chat_template=template)
    with pytest.raises(InputError, match=message):
        question_ids(tokenizer, "1 + 1?")
    assert exact_ids(tokenizer, "1 + 1?") == tuple(tokenizer.encode("1 + 1?"))
    with pytest.raises(InputError, match="the prompt is empty"):
        exact_ids(tokenizer, "")


@given(text=st.text(max_size=40), micro=st.booleans())
def test_pieces_are_the_text(text: str, micro: bool) -> None:
    tokens = tokenise(build_tokenizer() if micro else byte_level(), text)
    shown = pieces(text, tokens.spans)
    assert len(shown) == len(tokens.ids)
    assert "".join(shown) == (text if shown else "")
    tokens = tokenise(byte_level(), "a😀b")
    assert pieces("a😀b", tokens.spans) == ["a", "😀", "", "", "", "b"]  # a character of several tokens, once
