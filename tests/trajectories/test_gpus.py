"""Jobs side by side take different GPUs; the GPUs are folders, the jobs are processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from raml.errors import RamlError
from raml.trajectories import gpus

TAKE = """
import os, sys
from pathlib import Path
from raml.trajectories import gpus
gpus.INSTALLED = Path(sys.argv[1])
gpus.take_gpus(int(sys.argv[2]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of four GPUs."""
    for number in range(4):
        (tmp_path / "gpus" / f"0000:{number}").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(gpus, "INSTALLED", tmp_path / "gpus")
    monkeypatch.setattr(gpus, "_held", [])
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    return tmp_path


def start(node: Path, wanted: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", TAKE, str(node / "gpus"), str(wanted)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def seen(job: "subprocess.Popen[str]") -> str:
    assert job.stdout is not None
    return job.stdout.readline().strip()


def test_jobs_beside_each_other_take_different_gpus_and_a_killed_one_gives_its_back(node: Path) -> None:
    first = start(node, 2)
    assert seen(first) == "0,1"
    second = start(node, 1)
    assert seen(second) == "2"
    first.kill()
    first.wait()
    third = start(node, 3)
    assert seen(third) == "0,1,3"
    with pytest.raises(RamlError, match="1 GPUs are wanted, but 0 of the node's 4 are free"):
        gpus.take_gpus(1)
    for job in (second, third):
        job.kill()
        job.wait()


def test_a_machine_without_gpus_is_left_alone(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "INSTALLED", node / "none")
    gpus.take_gpus(1)
    assert gpus.VISIBLE not in gpus.os.environ
