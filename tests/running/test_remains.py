"""What a killed run leaves: jobs and their children are ended, stale locks of DVC dropped, living ones respected."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from raml.errors import InputError
from raml.running import lock, remains

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = f"import subprocess, time; p = subprocess.Popen({SLEEPING!r}); print(p.pid, flush=True); time.sleep(600)"


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    return tmp_path


def job(folder: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """A process that works in `folder`, and the number of its child."""
    (folder / lock.FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / lock.FILE).touch()
    here = remains.mark(folder)
    assert here is not None
    started = subprocess.Popen(
        [sys.executable, "-c", PARENT], env={**os.environ, remains.RUN: here}, stdout=subprocess.PIPE
    )
    assert started.stdout is not None
    return started, int(started.stdout.readline())


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_orphans_and_their_children_are_ended_and_others_left_alone(checkout: Path) -> None:
    (mine, child), (other, other_child) = job(checkout), job(checkout / "elsewhere")
    mine.kill()  # its child stays
    mine.wait()
    assert alive(child)
    remains.take_away(None)
    wait_until_gone(child)
    assert other.poll() is None and alive(other_child)
    for pid in (other.pid, other_child):
        psutil.Process(pid).kill()
    other.wait()


def test_children_of_a_killed_job_are_ended_and_those_of_a_living_one_left(checkout: Path) -> None:
    (killed, stray), (living, child) = job(checkout), job(checkout)
    killed.kill()
    killed.wait()
    remains.end_strays()
    wait_until_gone(stray)
    assert living.poll() is None and alive(child)
    remains.take_away(None)
    wait_until_gone(child)
    living.wait()


def squeue(checkout: Path, monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Programs that list a job of Snakemake in each of the folders, and note what is cancelled."""
    run = "2b1c7e9a-0d3f-4c55-9a51-0123456789ab"
    lines = [f"{12 + at}|RUNNING|1:02|node3|{run}|rule_score|{folder}\n" for at, folder in enumerate(folders)]
    programs = checkout / "programs"
    programs.mkdir()
    (programs / "jobs").write_text("".join(lines))
    (programs / "squeue").write_text(f"#!/bin/sh\n/bin/cat {programs}/jobs\n")
    (programs / "scancel").write_text(f"#!/bin/sh\necho $@ > {programs}/cancelled; : > {programs}/jobs\n")
    for name in ("squeue", "scancel"):
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))


def holder(**changed: Any) -> lock.Holder:
    """Of the lock before: a Snakemake of this machine, which is gone."""
    gone = lock.Process.of(os.getpid()).model_copy(update={"began": 0, **changed})
    return lock.Holder(process=gone, dvc=None, command="snakemake --profile workflow/profiles/slurm")


def test_jobs_of_a_run_that_may_live_elsewhere_are_left_alone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue(checkout, monkeypatch, checkout)
    living, child = job(checkout)  # of Slurm, which has put it on this machine
    try:
        for before in (None, holder(host="login2")):
            with pytest.raises(InputError, match="cancel them: scancel 12"):
                remains.take_away(before)
        assert living.poll() is None and alive(child)
        assert not (checkout / "programs" / "cancelled").exists()
        remains.take_away(holder())
        assert (checkout / "programs" / "cancelled").read_text() == "12\n"
        wait_until_gone(child)
    finally:
        living.kill()
        living.wait()


def rwlock(checkout: Path, text: str) -> Path:
    path = checkout / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def used_by(pid: int) -> str:
    entry = {"pid": pid, "cmd": "dvc repro"}
    return json.dumps({"write": {"results": entry}, "read": {"src": [entry]}})


def with_sources() -> dict[str, str]:
    """The environment of a Python that finds the package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_half_written_list_of_locks_is_taken_away(checkout: Path) -> None:
    for text in ("", '{"write": {"results": {"pid": 1', "[]", '{"write": {"results": {}}}'):
        path = rwlock(checkout, text)
        remains.take_away(None)
        assert not path.exists()


def test_a_process_id_used_again_holds_no_lock(checkout: Path) -> None:
    other = subprocess.Popen(SLEEPING)
    try:
        path = rwlock(checkout, used_by(other.pid))
        remains.take_away(None)
        assert path.read_text() == used_by(other.pid)
        os.utime(path, (1000, 1000))  # long before that process began
        remains.take_away(None)
        assert json.loads(path.read_text())["write"] == {}
    finally:
        other.kill()
        other.wait()


def test_locks_of_a_living_dvc_are_respected(checkout: Path) -> None:
    text = used_by(os.getpid())
    path = rwlock(checkout, text)
    os.utime(path, (1000, 1000))  # as if the clock had been set since: this process is no later one
    remains.take_away(None)
    assert path.read_text() == text


def test_the_dvc_above_is_found_or_known_to_be_gone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert remains.dvc_above() is None
    monkeypatch.setenv("DVC_STAGE", "training")
    assert remains.dvc_above() is None  # a DVC that locks nothing here
    rwlock(checkout, used_by(os.getpid()))  # whose parent may be of another container, and not be seen
    code = "from raml.running import remains; print(remains.dvc_above().pid)"
    below = subprocess.run([sys.executable, "-c", code], env=with_sources(), capture_output=True, text=True)
    assert below.stdout == f"{os.getpid()}\n", below.stderr
    rwlock(checkout, used_by(dead()))
    with pytest.raises(InputError, match="is gone"):
        remains.dvc_above()


def test_a_run_ends_with_its_dvc(checkout: Path) -> None:
    dvc = subprocess.Popen(SLEEPING)
    code = (
        "import time; from raml.running import lock, remains;"
        f" remains.end_with(lock.Process.of({dvc.pid})); print('watching', flush=True); time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], env=with_sources(), stdout=subprocess.PIPE)
    try:
        assert run.stdout is not None and run.stdout.readline() == b"watching\n"
        time.sleep(0.5)
        assert run.poll() is None
        dvc.kill()
        assert run.wait(timeout=30) == -9  # of a zombie: nobody has asked yet how it ended
    finally:
        for process in (dvc, run):
            process.kill()
            process.communicate()
