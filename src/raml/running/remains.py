"""What a killed run leaves at work or locked, taken away before the next one begins.

All jobs carry `RUN` in their environment, down to the last child: the checkout and its lock. While this process holds
the lock, whatever else has it there belongs to a run that is dead. Jobs end by themselves soon after their Snakemake
(`raml.ending`); here the next run makes sure of it, and of children that a killed job left.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

from raml import ending
from raml.errors import InputError
from raml.running import lock, slurm
from raml.running.lock import Holder, Process

RUN: Final = "RAML_RUN"
"""The variable of jobs that names the checkout they work in, by its path and its lock."""

_PATIENCE: Final = 30.0  # seconds
_LOOK: Final = 0.2  # seconds
_SLACK: Final = 10.0  # seconds; when a process began is known to the second, and by a clock that may have been set
_DVC_STAGE: Final = "DVC_STAGE"  # which DVC sets for what it starts
_DVC_FOLDER: Final = Path(".dvc", "tmp")


def mark(folder: Path) -> str | None:
    """What `RUN` holds in the jobs of a run in `folder`; None if none has begun there.

    With the lock file's identity, so that jobs of a checkout that was moved away, or of another container's at the same
    path, are not taken for its own.
    """
    try:
        found = (folder / lock.FILE).stat()
    except FileNotFoundError:
        return None
    return f"{folder.resolve()}:{found.st_dev}:{found.st_ino}"


def mark_jobs() -> None:
    """Have all that this process starts from now on carry `RUN`."""
    here = mark(Path.cwd())
    if here is not None:
        os.environ[RUN] = here


def take_away(before: Holder | None) -> None:
    """End all jobs of dead runs in this folder and drop stale locks of DVC. Only with the lock in hand.

    Args:
        before: who had the lock before.

    Raises:
        InputError: jobs that cannot be ended, or may be of a run that lives; or Slurm, which may have some, does not
            answer.
    """
    found = _slurm_jobs(before)  # refuses where a run elsewhere may live, whose jobs may be on this machine too
    _end_processes()
    _end_slurm_jobs(found)
    drop_stale_dvc_locks(_DVC_FOLDER)


def orphans() -> list[psutil.Process]:
    """Processes of dead runs in this folder; zombies, which do nothing any more, left out."""
    mine, here = _this_and_above(), mark(Path.cwd())
    if here is None:
        return []
    return [found for found in psutil.process_iter() if found.pid not in mine and _carries(found, here)]


def end_strays() -> None:
    """End processes in this folder that no job of this Snakemake is above any more: children of a job that was killed.

    They would write what the job's next attempt writes.
    """
    me = os.getpid()
    for process in orphans():
        try:
            if me not in {above.pid for above in process.parents()}:
                process.kill()
        except psutil.Error:
            continue


def _this_and_above() -> set[int]:
    return {os.getpid(), *(process.pid for process in psutil.Process().parents())}


def _carries(process: psutil.Process, here: str) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN) == here)
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False


def _end_processes() -> None:
    deadline = time.monotonic() + _PATIENCE
    while found := orphans():
        if time.monotonic() > deadline:
            listed = ", ".join(str(process.pid) for process in found)
            raise InputError(f"jobs of a killed run are still at work in {Path.cwd()}: processes {listed}; end them")
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                raise InputError(
                    f"process {process.pid} of a killed run is still at work in {Path.cwd()} as another user; end it"
                ) from None
        psutil.wait_procs(found, timeout=_LOOK)


def _slurm_jobs(before: Holder | None) -> list[slurm.Job]:
    """Slurm's jobs of a run that is known to be dead.

    The lock may not reach from one login node to another: jobs of a run elsewhere are left alone.
    """
    found = slurm.jobs_here()
    if found is None:
        if before is not None and "slurm" in before.command:
            raise InputError(
                "the last run here was on Slurm, which may have its jobs and does not answer; try again soon"
            )
        return []
    if found and (before is None or not before.process.here):
        where = "" if before is None else f", which was started on {before.process.host}"
        raise InputError(
            f"Slurm has jobs of another run in {Path.cwd()}{where}; wait until it ends, or if it is dead, "
            f"cancel them: scancel {_ids(found)}"
        )
    return found


def _end_slurm_jobs(found: list[slurm.Job]) -> None:
    if not found:
        return
    told = slurm.cancel(found)
    deadline = time.monotonic() + _PATIENCE
    while slurm.jobs_here() != []:
        if time.monotonic() > deadline:
            why = f": {told}" if told else ""
            raise InputError(f"Slurm has not cancelled jobs of a killed run yet ({_ids(found)}{why}); try again soon")
        time.sleep(1)


def _ids(jobs: list[slurm.Job]) -> str:
    return " ".join(job.id for job in jobs)


def drop_stale_dvc_locks(folder: Path) -> None:
    """Mend DVC's list of paths in use, `folder`/rwlock, which a killed DVC leaves as it was, or half-written.

    DVC forgets entries of processes that are gone, but stops at a damaged list and at an entry whose process id has
    been given to another process since. (Its lock `folder`/lock is the kernel's.)
    """
    path = folder / "rwlock"
    if not path.is_file():
        return
    with (folder / "rwlock.lock").open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a DVC is writing it
            return
        listed = _read(path)
        if listed is None:
            path.unlink()
        elif any(_is_stale(entry["pid"], path) for entry in _entries(listed)):
            left = {
                "write": {name: by for name, by in listed["write"].items() if not _is_stale(by["pid"], path)},
                "read": {
                    name: kept
                    for name, by in listed["read"].items()
                    if (kept := [entry for entry in by if not _is_stale(entry["pid"], path)])
                },
            }
            temporary = path.with_name(".rwlock.tmp")
            temporary.write_text(json.dumps(left), encoding="utf-8")
            temporary.replace(path)


def dvc_above() -> Process | None:
    """The DVC that started this process, if one did.

    Raises:
        InputError: one did, and is gone: nobody waits for this run, and the next may have begun.
    """
    if _DVC_STAGE not in os.environ:
        return None
    listed = _read(_DVC_FOLDER / "rwlock")
    working = {entry["pid"] for entry in _entries(listed)} if listed else set()
    if not working:
        return None
    for process in psutil.Process().parents():
        if process.pid in working:
            with contextlib.suppress(ProcessLookupError):
                return Process.of(process.pid)
    raise InputError("the `dvc` that started this run is gone; start it again")


def end_with(process: Process) -> None:
    """End this process once `process`, of this machine, is gone; its jobs follow.

    After `kill -9` of DVC its Snakemake would run on, and the next would find the checkout in use.
    """
    ending.end_with(process.pid)
    if not process.lives():  # what has its id now is another
        os.kill(os.getpid(), signal.SIGKILL)


def _read(path: Path) -> dict[str, Any] | None:
    """DVC's list; None if it is not there or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        listed = {"write": dict(found.get("write", {})), "read": dict(found.get("read", {}))}
        if not all(isinstance(entry["pid"], int) for entry in _entries(listed)):
            return None
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return None
    return listed


def _entries(listed: dict[str, Any]) -> list[dict[str, Any]]:
    return [*listed["write"].values(), *(entry for entries in listed["read"].values() for entry in entries)]


def _is_stale(pid: int, path: Path) -> bool:
    """Whether the process is gone, or began after the list was last written, which it thus has no part in."""
    if pid in _this_and_above():
        return False
    try:
        return bool(psutil.Process(pid).create_time() > path.stat().st_mtime + _SLACK)
    except psutil.NoSuchProcess:
        return True
