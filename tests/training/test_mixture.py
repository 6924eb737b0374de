"""Pretraining documents: shares of styles, held-out questions, masks, batches within budget."""

import random
from collections import Counter
from itertools import combinations

import pytest

from raml.config import Oracle, Pretraining
from raml.training.mixture import Document, Mixture
from raml.trajectories.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()


def mixture(held_out: frozenset[str] = frozenset(), *, long_share: float = 0.2, **changes: object) -> Mixture:
    settings = {
        "families": {"rows": 1.0}, "annealing": {"long_share": 0.2, "steps": 1}, "short_share": 0.5,
        "drill_steps": 1, "drill_share": 0.3,
        "steps": 1, "batch_tokens": 512, "muon_learning_rate": 0.02, "adamw_learning_rate": 0.004,
        "warmup_steps": 1, "threads": 1, **changes,
    }  # fmt: skip
    oracle = Oracle(variants_per_question=4, slip_rate=0.3, check_rate=0.5)
    return Mixture(TOKENIZER, Pretraining.model_validate(settings), oracle, held_out, long_share)


def style(document: Document) -> str:
    thinking = TOKENIZER.decode(document.ids).split("<think>")[1].split("\n\n")[0].replace("</think>", "")
    return "none" if not thinking.strip() else "long" if "=" in thinking else "short"


def test_styles_come_in_their_shares() -> None:
    rng, drawn = random.Random(0), mixture()
    counts = Counter(style(drawn.document(rng, drill=False)) for _ in range(2000))
    assert counts["long"] == pytest.approx(400, abs=60)
    assert counts["short"] == pytest.approx(1000, abs=90)


def test_drills_ask_for_their_steps_and_nothing_else_does() -> None:
    rng, drawn = random.Random(0), mixture()
    drills = [drawn.document(rng, drill=True) for _ in range(50)]
    assert {style(drill) for drill in drills} == {"long"}
    assert all("rows steps ? <think>" in TOKENIZER.decode(drill.ids) for drill in drills)
    documents = [drawn.document(rng, drill=False) for _ in range(50)]
    assert not any("steps" in TOKENIZER.decode(document.ids) for document in documents)


def test_held_out_questions_never_occur_in_any_order() -> None:
    numbers = [str(number) for number in range(31)]
    held_out = {f"up {a} {b}" for a, b in combinations(numbers, 2)}  # sorted, as `asked` has them
    drawn = mixture(frozenset(held_out), families={"number_sorting": 1.0})
    rng = random.Random(0)
    asked = [TOKENIZER.decode(drawn.document(rng, drill=True).ids).split("<think>")[0].split()[1:] for _ in range(300)]
    pairs = [question[0] for question in asked if len(question) == 5]  # direction, two numbers, `steps`, `?`
    assert len(pairs) > 50 and set(pairs) == {"down"}


def test_loss_is_on_the_completion_without_wrong_attempts() -> None:
    rng, drawn = random.Random(1), mixture(long_share=1.0, short_share=0.0)
    wait, think = TOKENIZER.convert_tokens_to_ids(["Wait", "<think>"])
    masked = 0
    for _ in range(30):
        document = drawn.document(rng, drill=False)
        start = document.ids.index(think) + 1
        assert not any(document.learn[:start])
        for position in range(start, len(document.ids)):
            before_wait = position + 1 < len(document.ids) and document.ids[position + 1] == wait
            assert document.learn[position] is not before_wait
            masked += before_wait
    assert masked > 5


def test_batches_keep_the_token_budget_and_lose_no_document() -> None:
    drawn, rng = mixture(), random.Random(0)
    batches = drawn.batches(rng, drill_share=0.3)
    for _ in range(40):
        batch = next(batches)
        assert 0 < len(batch) * max(len(document.ids) for document in batch) <= 512
