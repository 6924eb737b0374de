"""The reward of GRPO is that of a trajectory's row, judged once a text, and its failure names the sample."""

from grpo_start import TOKENIZER, questions

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
