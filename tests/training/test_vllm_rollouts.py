"""GRPO whose completions the real vLLM writes, in the training's own process (`make test-vllm`)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from grpo_start import HARDWARE, grpo, save_questions, save_start

from raml.config import GRPO
from raml.training.loop import Job

pytestmark = pytest.mark.vllm


# The step with a reward of which each completion tells what is better.
REWARDING_LABELS = """
import runpy
import grpo_start, raml.training.rewards
raml.training.rewards.judge = grpo_start.judge_labels
runpy.run_module("raml.training.grpo", run_name="__main__", alter_sys=True)
"""


def trained(folder: Path, *runs: GRPO) -> list[list[dict[str, Any]]]:
    """What the training of `runs` in one process logs at each step."""
    start, table = save_start(folder / "start"), save_questions(folder / "questions.parquet")
    job = Job[GRPO](runs=list(runs), hardware=HARDWARE.model_copy(update={"rollouts": "vllm"}))
    outs = [folder / f"out{number}" for number in range(len(runs))]
    command = [
        *(sys.executable, "-c", REWARDING_LABELS, "--scale", "test", "--config", job.model_dump_json()),
        *("--questions", table, "--work", folder / "work"),
        *("--starts", *[start] * len(runs), "--outs", *outs),
    ]
    path = os.pathsep.join(["src", str(Path(__file__).parent)])
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return [[json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()] for out in outs]


def test_rollouts_follow_the_weights_of_each_run(tmp_path: Path) -> None:
    still, moving = trained(
        tmp_path, grpo(steps=12, learning_rate=1e-9), grpo(steps=12, learning_rate=1e-3, update_trajectories=8)
    )
    for log in (still, moving):
        assert len(log) == 12 and log[0]["clip_fraction"] == 0.0 and log[0]["reward_std"] > 0
    first, last = (sum(record["reward"] for record in log[-3:]) / 3 for log in (still, moving))
    # About 0.45 without learning, 0.9 with it, and less than without if advantages had the other sign.
    assert last > first + 0.2


def test_engines_are_seeded_by_training_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import vllm
    from trl.generation import vllm_generation

    from raml.training.trl_grpo import show_vllm

    opened: list[dict[str, Any]] = []
    monkeypatch.setattr(vllm, "LLM", lambda **options: opened.append(options))
    for training, process in ((0, 0), (0, 0), (0, 1), (1, 0)):
        show_vllm(training)
        vllm_generation.LLM(seed=process)
    first, again, *others = (options["seed"] for options in opened)
    assert first == again and len({first, *others}) == 3
    assert all(options["enforce_eager"] for options in opened)
