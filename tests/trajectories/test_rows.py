import pytest

from raml.answers.format import MARKER
from raml.trajectories.engine import Origin
from raml.trajectories.rows import spans, trajectory_row
from raml.trajectories.tokenizer import EOS, build_tokenizer, token_ids

ORIGIN = Origin("torch", "2.13.0", "float32")
QUESTION = {
    "id": "rows-1",
    "family": "rows",
    "prompt": "A +9 -2 -3 ; B +4 -1 +5 ; C +7 +8 -6 ; rows ?",
    "answer": "4 8 9",
    "answer_type": "integers",
}
THINKING = ["A", "+9", "-2", "=", "7", "-3", "=", "4"]
ANSWER = ["4", "8", "9"]


def ids(*tokens):
    return token_ids(build_tokenizer(), list(tokens))


def row(completion, loss_mask=None, **options):
    return trajectory_row(QUESTION, "base", 3, 7, [1, 2], completion, loss_mask, build_tokenizer(), ORIGIN, **options)


def test_a_complete_trajectory():
    completion = ids(*THINKING, "</think>", MARKER, *ANSWER, "}", EOS)
    made = row(completion)
    text = f"{' '.join(THINKING)} </think> {MARKER} 4 8 9 }}"
    identity = {"question_id": "rows-1", "writer": "base", "sample": 3, "seed": 7, "prompt_ids": [1, 2]}
    identity |= {"engine": "torch", "engine_version": "2.13.0", "dtype": "float32"}
    offsets = {"thinking_start": 0, "thinking_end": 8, "answer_start": 10, "answer_end": 13, "n_tokens": 15}
    judged = {"finished": True, "correct": True, "formatted": True, "reward": 1.0}
    content = {"token_ids": completion, "loss_mask": [True] * 15, "text": text}
    assert made == identity | offsets | judged | content
    assert completion[made["answer_start"] : made["answer_end"]] == ids(*ANSWER)


def test_a_wrong_answer_a_cut_and_a_mask():
    wrong = row(ids(*THINKING, "</think>", MARKER, "4", "8", "8", "}", EOS))
    assert (wrong["correct"], wrong["formatted"], wrong["reward"]) == (False, True, 0.0)

    cut = row(ids(*THINKING), loss_mask=[True, False] * 4)
    assert (cut["finished"], cut["formatted"], cut["reward"]) == (False, False, -1.0)
    assert cut["loss_mask"] == [True, False] * 4


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([*THINKING], (8, None)),
        ([*THINKING, MARKER, "4", "}", EOS], (8, (9, 10))),
        ([*THINKING, "</think>", MARKER, "4"], (8, None)),
        ([*THINKING, "</think>", MARKER, "}"], (8, (10, 10))),
        (["</think>", MARKER, "4", "}"], (0, (2, 3))),
        ([MARKER, "4", "}", "</think>", "7"], (3, None)),
        ([MARKER, "4", "}", MARKER, "7", "}", EOS], (3, (4, 5))),
    ],
)
def test_spans(tokens, expected):
    assert spans(ids(*tokens), build_tokenizer()) == expected
