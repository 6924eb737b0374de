"""The GRPO step: prompts, their order, what is recorded, snapshots, and everything that cannot be trained on."""

import json
import re
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from grpo_start import HARDWARE, TOKENIZER, grpo, judge_labels, questions, save_questions, save_start
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

import raml.training.rewards
from raml.answers import Judgement
from raml.config import GRPO
from raml.errors import DataError
from raml.step import run
from raml.storage import file_hash
from raml.training.grpo import main, prompts_of, question_order, trainer_arguments
from raml.training.loop import Job
from raml.training.rollouts import Prompt

ROWS = questions().rows(named=True)
FIELDS = {
    "step", "loss", "grad_norm", "learning_rate", "reward", "reward_std", "accuracy", "group_accuracy", "formatted",
    "equal_reward_groups", "length", "truncated", "clip_fraction", "entropy",
}  # fmt: skip


def train(folder: Path, settings: GRPO, name: str = "out", work: str = "work", seed: int = 3, **hardware: Any) -> Path:
    """Run the step as the workflow does; the model's folder."""
    job = Job[GRPO](runs=[settings], hardware=HARDWARE.model_copy(update=hardware))
    start, asked = save_start(folder / "start"), folder / "questions.parquet"
    if not asked.exists():
        save_questions(asked)
    run(
        main, Job[GRPO], inputs=["questions"], many=["starts"], outputs=["work"], many_outputs=["outs"],
        arguments=[
            "--scale", "test", "--config", job.model_dump_json(), "--seed", str(seed), "--questions", str(asked),
            "--starts", str(start), "--outs", str(folder / name), "--work", str(folder / work),
        ],
    )  # fmt: skip
    return folder / name


def records(model: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (model / "training.jsonl").read_text().splitlines()]


def test_long_prompts_are_left_out_and_too_few_are_refused() -> None:
    rows = [*ROWS[:2], {**ROWS[2], "prompt": "A " * 70 + "?"}]
    assert [prompt.question_id for prompt in prompts_of(rows, TOKENIZER, grpo(), "q")] == [r["id"] for r in rows[:2]]
    with pytest.raises(DataError, match=r"of 3 questions 0 are at most .* = 5 tokens long"):
        prompts_of(rows, TOKENIZER, grpo(max_prompt_tokens=5), "q")
    with pytest.raises(DataError, match="a batch asks 3 different ones"):
        prompts_of(rows, TOKENIZER, grpo(batch_size=48), "q")


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 9))
def test_no_batch_asks_a_question_twice_and_all_are_asked_about_equally_often(
    groups: int, batches: int, seed: int
) -> None:
    prompts = [Prompt(str(number), [], (1,)) for number in range(7)]
    ordered = [prompt.question_id for prompt in question_order(prompts, groups=groups, batches=batches, seed=seed)]
    assert len(ordered) == groups * batches
    for start in range(0, len(ordered), groups):
        assert len(set(ordered[start : start + groups])) == groups
    epoch = 7 // groups * groups
    for start in range(0, len(ordered) - epoch + 1, epoch):
        assert max(Counter(ordered[start : start + epoch]).values()) == 1
    assert ordered == [
        p.question_id for p in question_order(prompts, groups=groups, batches=batches + 1, seed=seed)[: len(ordered)]
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps with snapshots, on 4 of 16."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, grpo(steps=4, evaluate_at=[1, 3], update_trajectories=4, kl=0.01))
    return folder


def test_every_step_is_recorded(trained: Path) -> None:
    found = records(trained / "out")
    assert [record["step"] for record in found] == [1, 2, 3, 4]
    assert all(record.keys() == FIELDS | {"kl"} for record in found)
    assert all(0 <= record["truncated"] < 1 and 0 < record["formatted"] <= 1 for record in found)
    assert all(1 <= record["length"] <= 16 for record in found)


def test_snapshots_are_the_models_on_the_way(trained: Path) -> None:
    hashes = {file_hash(trained / f"out{ending}" / "model.safetensors") for ending in ("", "_step1", "_step3")}
    assert len(hashes) == 3
    for step in (1, 3):
        assert records(trained / f"out_step{step}") == records(trained / "out")[:step]
        assert (trained / f"out_step{step}" / "raml.json").exists()
    assert sorted(path.name for path in trained.iterdir()) == [
        "out", "out_step1", "out_step3", "questions.parquet", "start", "work",
    ]  # fmt: skip
    assert list((trained / "work").iterdir()) == []


def test_the_first_rollouts_are_the_same_whatever_n_is(trained: Path) -> None:
    whole = records(train(trained, grpo(steps=1), name="whole"))[0]
    of_the_batch = ("reward", "reward_std", "accuracy", "formatted", "length", "equal_reward_groups")
    assert {name: whole[name] for name in of_the_batch} == {
        name: records(trained / "out")[0][name] for name in of_the_batch
    }


def test_adapters_are_merged_and_compared_with_the_start(tmp_path: Path) -> None:
    lora = {"rank": 4, "alpha": 8, "dropout": 0.1}
    out = train(tmp_path, grpo(steps=2, lora=lora, kl=0.1, learning_rate=0.01, evaluate_at=[1]))
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("start", "out_step1", "out")]
    weights = [model.state_dict()["model.layers.0.mlp.up_proj.weight"] for model in models]
    assert not weights[0].equal(weights[1]) and not weights[1].equal(weights[2])
    assert models[0].state_dict().keys() == models[2].state_dict().keys()
    assert [record["kl"] > 0 for record in records(out)] == [False, True]


def test_groups_with_equal_rewards_are_counted_and_teach_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raml.training.rewards, "judge", lambda *_, **__: Judgement(None, False, True, 0.0))
    out = train(tmp_path, grpo(steps=2, iterations=2))
    for record in records(out):
        assert record["equal_reward_groups"] == 1 and record["formatted"] == 1  # repeated at the second iteration
        assert record["loss"] == 0 and record["grad_norm"] == 0
    before, after = (AutoModelForCausalLM.from_pretrained(folder) for folder in (tmp_path / "start", out))
    assert all(before.state_dict()[name].equal(value) for name, value in after.state_dict().items())


def test_training_raises_the_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raml.training.rewards, "judge", judge_labels)
    settings = grpo(steps=12, learning_rate=5e-4)
    last = [
        sum(record["reward"] for record in records(train(tmp_path, settings, name=f"seed{seed}", seed=seed))[-3:]) / 3
        for seed in range(3)
    ]
    # About 0.8 each; 0.5 at the start and without learning, 0.2 and less if advantages had the other sign.
    assert median(last) > 0.65


def exit_of(capsys: pytest.CaptureFixture[str], folder: Path, settings: GRPO, **hardware: Any) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        train(folder, settings, **hardware)
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and not (folder / "out").exists()
    return int(str(ended.value.code)), error[0]


LOWER = r"lower grpo\.learning_rate; (there is no checkpoint before it|last good checkpoint: \S+/checkpoint-\d+)"


@pytest.mark.parametrize(
    ("changes", "hardware", "exit_code", "message"),
    [
        ({"steps": 20, "learning_rate": 1e25}, {}, 1, rf"GRPO out diverged at step 1: \S+ predicts NaN; .*; {LOWER}"),
        ({"steps": 20, "learning_rate": 3.0}, {}, 1, rf"GRPO out diverged at step \d+: the lowest reward .*; {LOWER}"),
        ({"max_tokens": 250}, {}, 2, ".* exceed the model's context of 256; .*"),
        ({}, {"rollouts": "vllm"}, 2, r".*hardware\.rollouts = vllm, but vLLM is not installed.*"),
    ],
)
def test_what_cannot_be_trained_ends_in_one_line(
    changes: dict[str, Any],
    hardware: dict[str, Any],
    exit_code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("raml.trajectories.vllm_engine._is_installed", lambda _: False)  # here it may be
    code, told = exit_of(capsys, tmp_path, grpo(**changes), **hardware)
    assert code == exit_code and re.fullmatch(f"error: {message}", told), told


def test_a_failing_reward_is_named_with_its_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> bool:
        raise ValueError("no such\nlabel")

    monkeypatch.setattr(raml.training.rewards, "verify", fail)
    code, told = exit_of(capsys, tmp_path, grpo())
    names = "|".join(row["id"] for row in ROWS)
    failed = rf"error: the reward of question ({names}), sample \d+, failed: ValueError: no such label"
    assert code == 1 and re.fullmatch(failed, told), told


def test_checkpoints_lie_where_a_new_batch_begins(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_start(tmp_path / "start"))
    device = HARDWARE.model_copy(update={"checkpoint_steps": 3})
    assert trainer_arguments(model, grpo(iterations=2), device, 2**40, tmp_path).save_steps == 4
