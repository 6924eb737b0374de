import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.config import Oracle
from raml.errors import InputError
from raml.questions.verify import family_of
from raml.trajectories.oracles.write import write_solution
from raml.trajectories.summaries import occurs, program_summaries, without_answer

SUMS = ["chain_sum", "leg_counting", "word_problem"]
FAMILIES = ["rows", "rows_top", "rows_sort", "path", "path_back", "number_sorting", *SUMS]
WORDS = st.lists(
    st.sampled_from(["A", "+9", "-2", "=", "a", "b", "9", "7", "12", ";", ":", "Wait", "Hold on", "ok", "m", "D"]),
    max_size=40,
).map(" ".join)
ANSWERS = st.lists(st.sampled_from(["9", "7", "12", "a", "m"]), min_size=1, max_size=3).map(" ".join)


def summary(family: str, thinking: str) -> str:
    return program_summaries(family, thinking, 1, random.Random(0))[0]


@pytest.mark.parametrize(
    ("family", "thinking", "kept"),
    [
        ("rows", "B +4 -1 = 4 5 Wait 3 b 3 ; A +9 -2 = 9 7 a 7 ;", "b 3 ; a 7 ;"),
        ("rows", "B +4 -1 = 4 3 b 3 ; Hold on B +4 -1 = 4 3 b 3 ok", "b 3 ;"),
        ("rows", "b 3 ; A +9 -2 = 9", "b 3 ;"),  # cut off in the second row
        ("path", "D f F i Wait D b B h ok", "D b B h ok"),
        ("path", "D b B h ok Hold on D b B h ok Hold on D b", "D b B h ok"),
        ("path_back", "D f F i Wait", "D f F i"),
        ("number_sorting", "4 : 12 7 ; 7 : 12 ; 12 : ;", "4 7 12"),
        ("chain_sum", "Take 9 - 3. 9 - 3 = 5. Wait, 9 - 3 = 6. Hold on, 6 + 3 = 9, ok.\n", "9 - 3 = 6."),
        ("chain_sum", "3 + 15: 3 + 10 = 13, 13 + 5 = 17. Wait, 13 + 5 = 18. 3 + 15 = 18. 18 - 2 = 1", "3 + 15 = 18."),
        ("chain_sum", "-7 + 4 = -3. -3 - 15: -3 - 10 = -13, -13 - 5", "-7 + 4 = -3."),  # cut off
        ("leg_counting", "3 lions have 4 legs each. 3 * 4 = 12. 12 + 8 = 20.", "3 * 4 = 12. 12 + 8 = 20."),
        *((family, "", "") for family in FAMILIES),
    ],
)
def test_the_search_is_dropped_and_what_it_found_is_kept(family: str, thinking: str, kept: str) -> None:
    assert summary(family, thinking) == kept


@pytest.mark.parametrize("family", ["rows", "rows_top", "path", "path_back"])
def test_summaries_of_oracle_trajectories_are_shorter_and_hold_no_gold_answer(family: str) -> None:
    settings = Oracle(variants_per_question=1, slip_rate=0.3, check_rate=0.5)
    shorter = 0
    for number in range(30):
        rng = random.Random(number)
        draft = family_of(family).generate(2, rng)
        thinking = " ".join(write_solution(family, draft.prompt, "long", rng, settings).thinking)
        found = summary(family, without_answer(thinking, draft.answer))
        assert found and not occurs(draft.answer, found)
        assert "Wait" not in found and "Hold on" not in found
        shorter += len(found.split()) < len(thinking.split())
    assert shorter > 20


@pytest.mark.parametrize("family", FAMILIES)
@given(WORDS, st.integers(1, 4))
def test_any_text_is_summarised_by_its_own_words_and_no_more_of_them(family: str, thinking: str, n: int) -> None:
    found = program_summaries(family, thinking, n, random.Random(0))
    assert len(found) == n
    for text in found:
        assert sorted(text.split()) == sorted(found[0].split())  # another order at most
        assert len(text.split()) <= len(thinking.split()) + 1  # of rows the last result gets its `;`
        assert set(text.split()) <= {*thinking.split(), ";"}
    assert found == program_summaries(family, thinking, n, random.Random(0))


def test_an_unknown_family_is_one_clear_line() -> None:
    with pytest.raises(
        InputError, match=r"summarises rows, .*, but not 'open'; name a model as efficiency\.summariser"
    ):
        summary("open", "A thought.")


@pytest.mark.parametrize(
    ("answer", "text", "found"),
    [
        ("4 3 15", "so 4  3\n15.", True),
        ("4 3 15", "4 3 150", False),
        ("5", "0.5 and 15 and 5.2", False),
        ("5", "it is 5.", True),
        (r"\frac{1}{2}", r"x = \frac{1}{2}$", True),
        (r"\frac{1}{2}", "x = 1/2", False),  # words, not values
        ("C 15", "c 15 ;", False),
        (" ", "anything", False),
    ],
)
def test_an_answer_occurs_as_words_of_its_own(answer: str, text: str, found: bool) -> None:
    assert occurs(answer, text) == found


@given(WORDS, ANSWERS)
def test_without_the_answer_no_part_holds_it_and_nothing_else_is_lost(thinking: str, answer: str) -> None:
    bare = without_answer(thinking, answer)
    assert bare == thinking if not occurs(answer, thinking) else len(bare) < len(thinking)
    assert not any(occurs(answer, part) for part in bare.split(";"))
