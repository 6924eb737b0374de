"""A GRPO job killed with SIGKILL goes on from its last checkpoint and ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grpo_start import HARDWARE, grpo, save_questions, save_start

from raml.config import GRPO
from raml.step import run
from raml.storage import file_hash
from raml.training.grpo import main
from raml.training.loop import Job

SETTINGS = grpo(steps=40, evaluate_at=[2, 30], iterations=2, update_trajectories=8)
OUTPUTS = ["out", "out_step2", "out_step30"]


def arguments(folder: Path, name: str) -> list[str]:
    job = Job[GRPO](runs=[SETTINGS], hardware=HARDWARE)
    return [
        "--scale", "test", "--config", job.model_dump_json(), "--seed", "1",
        "--questions", str(folder / "questions.parquet"), "--starts", str(folder / "start"),
        "--outs", str(folder / name / "out"), "--work", str(folder / name / "work"),
    ]  # fmt: skip


def run_here(folder: Path, name: str) -> None:
    run(
        main, Job[GRPO], inputs=["questions"], many=["starts"], outputs=["work"], many_outputs=["outs"],
        arguments=arguments(folder, name),
    )  # fmt: skip


def run_and_kill(folder: Path, name: str) -> None:
    """Start the job in a process of its own and kill it between its fifth checkpoint and its end."""
    command = [sys.executable, "-m", "raml.training.grpo", *arguments(folder, name)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 600
        while not list((folder / name / "work").glob("*/checkpoint-10/complete.json")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    save_start(folder / "start")
    save_questions(folder / "questions.parquet")
    return folder


def test_a_killed_job_ends_with_the_same_bytes(folder: Path) -> None:
    run_and_kill(folder, "killed")
    (work,) = (folder / "killed" / "work").iterdir()
    assert not (folder / "killed" / "out").exists()
    assert (work / "model_step2").is_dir() and not (work / "model").exists()  # stopped on the way
    for name in ("killed", "whole"):
        run_here(folder, name)
    for output in OUTPUTS:
        for file in ("model.safetensors", "training.jsonl"):
            killed, whole = (folder / name / output / file for name in ("killed", "whole"))
            assert file_hash(killed) == file_hash(whole), f"{output}/{file}"
    assert list((folder / "killed" / "work").iterdir()) == []
