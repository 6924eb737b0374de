"""How a training's processes are started; over tasks of a real Slurm: tests/workflow/slurm/test_slurm_nodes.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raml.training.launch import FIRST_PORT, PORTS, place

ROOT = Path(__file__).parents[2]


def program(folder: Path, name: str, script: str) -> None:
    """A shell script in the place of one of Slurm's programs."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("environment", [{}, {"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "1"}])
def test_a_single_task_takes_any_free_port(environment: dict[str, str]) -> None:
    assert place(environment) == ["--main_process_port", "0"]


def test_tasks_meet_on_the_first_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "scontrol", 'test "$*" = "show hostnames gpu[07-08]" && printf "gpu07\\ngpu08\\n"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    task = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_NODELIST": "gpu[07-08]"}
    assert place(task | {"SLURM_JOB_ID": "123456"}) == [
        *("--num_machines", "2", "--machine_rank", "1"),
        *("--main_process_ip", "gpu07", "--main_process_port", "23456"),
    ]
    ports = [int(place(task | {"SLURM_JOB_ID": str(job)})[-1]) for job in (1, 9_999, 10_000, 4_000_000_000)]
    assert all(FIRST_PORT <= port < FIRST_PORT + PORTS for port in ports) and ports[0] != ports[1]


@pytest.mark.parametrize(
    ("size", "processes", "told"),
    [
        ("echo 2 2", 4, "srun --nodes=2 --ntasks=2 --cpu-bind=none --kill-on-bad-exit=1"),
        ("echo 1 8", 2, "accelerate"),
        ("echo 2 2", 3, "error: 2 tasks on 2 nodes cannot share 3 processes evenly"),
        (
            "echo 'Invalid job id specified' >&2; exit 1",
            1,
            "error: `squeue --noheader --jobs 7 --Format NumNodes,NumTasks` fails in job 7: Invalid job id specified\n",
        ),
    ],
)
def test_tasks_share_processes_evenly_or_are_not_meant(size: str, processes: int, told: str, tmp_path: Path) -> None:
    program(tmp_path, "squeue", size)
    program(tmp_path, "srun", 'echo "srun $*"')
    (tmp_path / "accelerate" / "commands").mkdir(parents=True)
    for name, code in (("__init__", ""), ("commands/__init__", ""), ("commands/launch", "print('accelerate')")):
        (tmp_path / "accelerate" / f"{name}.py").write_text(code)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}",
        "SLURM_JOB_ID": "7",
    }
    command = [sys.executable, "-m", "raml.training.launch", "--num_processes", str(processes), "-m", "x"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ran.stdout + ran.stderr).startswith(told)
