"""The reward of GRPO is that of a trajectory's row, judged once a text, and its failure names the sample."""

from typing import Any

import pytest
from grpo_start import TOKENIZER, questions

import raml.training.rewards
from raml.errors import RamlError
from raml.training.rewards import Reward
from raml.trajectories.engine import PROGRAM
from raml.trajectories.oracles.solution import Solution
from raml.trajectories.oracles.write import completion
from raml.trajectories.rows import trajectory_row

ROWS = questions().rows(named=True)[:2]


def answered(answer: str) -> list[int]:
    return completion(TOKENIZER, Solution(answer=answer), close_thinking=True)[0]


def rewarded(completions: list[list[int]], group_size: int) -> tuple[list[float], dict[str, float]]:
    """Rewards of `completions` of the questions in turn, and what was logged."""
    logged: dict[str, float] = {}
    reward = Reward({row["id"]: row for row in ROWS}, TOKENIZER, group_size)
    asked = [ROWS[index // group_size]["id"] for index in range(len(completions))]
    values = reward(
        prompts=[], completion_ids=completions, question_id=asked, log_metric=logged.__setitem__, trainer_state=None
    )
    return values, logged


def completions() -> list[list[int]]:
    right = answered(ROWS[0]["answer"])
    twice = [*right[:-1], *right]  # right, but the answer marker must occur once
    return [right, answered("A A A"), twice, [TOKENIZER.convert_tokens_to_ids("ok")]]


def test_rewards_are_those_of_trajectory_rows() -> None:
    values, _ = rewarded(completions(), group_size=4)
    rows = [trajectory_row(ROWS[0], "m", 0, 0, [1], ids, None, TOKENIZER, PROGRAM) for ids in completions()]
    assert values == [row["reward"] for row in rows]
    assert values == [1.0, 0.0, -0.5, -1.0]


def test_shares_of_completions_and_of_groups_are_logged() -> None:
    _, logged = rewarded([*completions(), *[answered("A A A")] * 4], group_size=4)
    assert logged == {"accuracy": 2 / 8, "formatted": 6 / 8, "group_accuracy": 1 / 2}


def test_a_text_is_judged_once_for_each_question(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    real = raml.training.rewards.judge
    monkeypatch.setattr(
        raml.training.rewards, "judge", lambda text, *rest, **more: judged.append(text) or real(text, *rest, **more)
    )
    rewarded([answered("A B C")] * 4, group_size=2)
    assert len(judged) == 2


def test_a_failing_verifier_is_named_with_question_and_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(question: Any, answer: str) -> bool:
        if answer.split() == ["A", "A", "A"]:
            raise ZeroDivisionError("by\nnought")
        return False

    monkeypatch.setattr(raml.training.rewards, "verify", fail)
    with pytest.raises(RamlError) as caught:
        rewarded([answered("A B C"), answered("A B C"), answered("A B C"), answered("A A A")], group_size=2)
    assert str(caught.value) == (
        f"the reward of question {ROWS[1]['id']}, sample 1, failed: ZeroDivisionError: by nought"
    )
    assert caught.value.exit_code == 1
