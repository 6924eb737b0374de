"""Every family: its verifier accepts its generator's answer, rejects others, and levels grow."""

import json
import random
import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from raml.config import FamilyName, QuestionSet
from raml.questions import spelling, sums
from raml.questions.family import Draft
from raml.questions.verify import FAMILIES, IN_ENGLISH, IN_MICRO_WORDS, verify
from raml.trajectories.tokenizer import build_tokenizer, prompt_ids

EVERY_LEVEL = [(name, level) for name, family in FAMILIES.items() for level in family.levels]


def draw(family: str, level: int, seed: int) -> tuple[Draft, dict[str, Any]]:
    draft = FAMILIES[family].generate(level, random.Random(seed))
    row = {
        "family": family,
        "prompt": draft.prompt,
        "answer": draft.answer,
        "answer_type": FAMILIES[family].answer_type,
        "metadata": json.dumps(draft.metadata),
    }
    return draft, row


@pytest.mark.parametrize(("family", "level"), EVERY_LEVEL)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**62))
def test_verifier_accepts_the_generators_answer_only(family: str, level: int, seed: int) -> None:
    draft, row = draw(family, level, seed)
    assert verify(row, draft.answer)
    assert verify(row, f"  {draft.answer.replace(' ', '  ')} ")
    parts = draft.answer.split()
    for wrong in ("", "nonsense", f"{draft.answer} {parts[0]}", " ".join(parts[:-1]), "-1", "7" * 5000):
        assert verify(row, wrong) == (wrong == draft.answer)


def reordered(family: str, prompt: str, rng: random.Random) -> str:
    """The same question: its numbers, animals, sentences, edges or the terms of its rows in another order."""
    if FAMILIES[family] in IN_ENGLISH:
        return reordered_text(family, prompt, rng)
    if family == "number_sorting":
        direction, *numbers, mark = prompt.split()
        return " ".join([direction, *rng.sample(numbers, len(numbers)), mark])
    *cells, question = prompt.split(" ; ")
    if family.startswith("path"):
        tokens = cells[0].split()
        edges = [f"{parent} {child}" for parent, child in zip(tokens[::2], tokens[1::2], strict=True)]
        return f"{' '.join(rng.sample(edges, len(edges)))} ; {question}"
    rows = [(label, *rng.sample(terms, len(terms))) for label, *terms in map(str.split, cells)]
    return " ; ".join([*map(" ".join, rows), question])


def reordered_text(family: str, prompt: str, rng: random.Random) -> str:
    question, instruction = prompt.split("\n\nWork")
    if family == "chain_sum":
        before, numbers, after = re.fullmatch(r"(.*problem: \S+)((?: [+-] \d+)+)( =)", question).groups()  # type: ignore[union-attr]
        question = before + "".join(shuffled(re.findall(r" [+-] \d+", numbers), rng)) + after
    elif family == "leg_counting":
        before, animals = question.removesuffix("?").split("if you have ")
        question = f"{before}if you have {', '.join(shuffled(animals.split(', '), rng))}?"
    elif family == "word_problem":
        first, *events, last = re.split(r"(?<=\.) ", question)
        question = " ".join([first, *shuffled(events, rng), last])
    return f"{question}\n\nWork{instruction}"


def shuffled(parts: list[str], rng: random.Random) -> list[str]:
    return rng.sample(parts, len(parts))


@pytest.mark.parametrize(("family", "level"), EVERY_LEVEL)
def test_the_order_of_what_a_prompt_names_makes_no_other_question(family: str, level: int) -> None:
    rng = random.Random(level)
    asked: dict[str, str] = {}
    for seed in range(200):
        draft, row = draw(family, level, seed)
        other = reordered(family, draft.prompt, rng)
        assert FAMILIES[family].asked(other) == FAMILIES[family].asked(draft.prompt)
        assert verify({**row, "prompt": other}, draft.answer)
        assert verify(row, asked.setdefault(FAMILIES[family].asked(draft.prompt), draft.answer))


@pytest.mark.parametrize(("family", "level"), EVERY_LEVEL)
def test_the_same_seed_gives_the_same_question(family: str, level: int) -> None:
    assert draw(family, level, 5) == draw(family, level, 5)
    assert len({draw(family, level, seed)[0].prompt for seed in range(20)}) > 15


@pytest.mark.parametrize(("family", "level"), [pair for pair in EVERY_LEVEL if FAMILIES[pair[0]] in IN_MICRO_WORDS])
def test_prompts_and_answers_are_words_of_the_tokenizer(family: str, level: int) -> None:
    tokenizer = build_tokenizer()
    for seed in range(50):
        draft, _ = draw(family, level, seed)
        ids = prompt_ids(tokenizer, f"{draft.prompt} {draft.answer}")
        assert tokenizer.decode(ids[1:-1]) == f"{draft.prompt} {draft.answer}"


@pytest.mark.parametrize(
    ("family", "prompt", "answer", "right"),
    [
        ("rows", "A +9 -2 -3 ; B +4 -1 +0 ; rows ?", "4 3", True),
        ("rows", "A +9 -2 -3 ; B +4 -1 +0 ; rows ?", "3 4", False),
        ("rows_top", "A +9 -2 ; B +4 +5 ; top ?", "B 9", True),
        ("rows_top", "A +9 -2 ; B +4 +5 ; top ?", "A 7", False),
        ("rows_sort", "A +9 -2 ; B +1 +5 ; sort ?", "B A", True),
        ("rows_sort", "A +9 -2 ; B +1 +5 ; sort ?", "A B", False),
        ("path", "D f F i D b B h F j ; path D h ?", "b h", True),
        ("path", "D f F i D b B h F j ; path D h ?", "f i", False),
        ("path_back", "D f F i D b B h F j ; back D h ?", "h b", True),
        ("path_back", "D f F i D b B h F j ; back D h ?", "b h", False),
        ("chain_sum", "the following arithmetic problem: 5 - 12 + 4 =", "-3", True),
        ("chain_sum", "the following arithmetic problem: 5 - 12 + 4 =", "3", False),
        ("leg_counting", "are there in total if you have 3 praying mantiss, 1 snake, 2 lions?", "26", True),
        ("leg_counting", "are there in total if you have 3 praying mantiss, 1 snake, 2 lions?", "27", False),
        (
            "word_problem",
            "Mia has 9 cards. Mia buys 2 boxes of 3 cards. Mia gives 4 friends 2 cards each. How",
            "7",
            True,
        ),
        ("word_problem", "Mia has 9 cards. Mia buys 2 more cards. Mia gives 4 cards to a friend. How", "7", True),
        ("spell_backward", "Spell this word backward (example: sun -> nus): train", "niart", True),
        ("spell_backward", "Spell this word backward (example: sun -> nus): train", "n i a r t", False),
    ],
)
def test_by_hand(family: str, prompt: str, answer: str, right: bool) -> None:
    assert FAMILIES[family].verify({"prompt": prompt}, answer) is right


@pytest.mark.parametrize(
    ("family", "data_set"),
    [("chain_sum", sums._chains), ("leg_counting", sums._legs), ("spell_backward", spelling._words)],
)
def test_reasoning_gym_answers_its_questions_as_we_do(family: str, data_set: Callable[[int], Any]) -> None:
    for level in FAMILIES[family].levels:
        for item in range(100):
            entry = data_set(level)[item]
            assert FAMILIES[family].verify({"prompt": entry["question"]}, entry["answer"])


def test_a_question_without_a_family_is_compared_with_its_answer() -> None:
    row = {"family": "orz", "prompt": "?", "answer": "7 8", "answer_type": "integers", "metadata": "{}"}
    assert verify(row, "7, 8")
    assert not verify(row, "8 7")


def test_the_configuration_knows_every_family_and_level() -> None:
    assert set(get_args(FamilyName)) == set(FAMILIES)
    for family in FAMILIES.values():
        for level in filter(None, family.levels):
            QuestionSet(family=family.name, levels=[level], n=1)
        with pytest.raises(ValidationError):
            QuestionSet(family=family.name, levels=[family.levels[-1] + 1], n=1)
