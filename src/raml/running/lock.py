"""One run at a time in a checkout.

The lock is the kernel's (`flock`) and ends with the process that holds it, so that a killed run leaves none behind. Its
file says who took it last, and keeps saying so afterwards: whether that run still lives is asked of the system.
"""

import fcntl
import os
import shlex
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from raml.errors import InputError
from raml.redaction import redacted

FILE: Final = Path(".snakemake", "raml.lock")
PATIENCE: Final = 10.0  # seconds; a dry run holds the lock for moments, a run whose DVC was killed for one
_LOOK: Final = 0.1  # seconds


class Process(BaseModel):
    """A process that no later one is taken for: process ids are used again.

    When it `began` is in the kernel's ticks since the `boot`, which no change of the clock moves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pid: int
    began: int
    boot: str
    host: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process `pid` of this machine.

        Raises:
            ProcessLookupError: there is none.
        """
        began, _ = _began_and_state(pid)
        return cls(pid=pid, began=began, boot=_boot(), host=socket.gethostname())

    @property
    def here(self) -> bool:
        """Whether it is, or was, of this machine."""
        return self.host == socket.gethostname()

    def lives(self) -> bool:
        """Whether it is at work; of another machine's nothing is known, so it is taken to be."""
        if not self.here:
            return True
        try:
            began, status = _began_and_state(self.pid)
        except ProcessLookupError:
            return False
        return began == self.began and self.boot == _boot() and status not in "ZX"  # a zombie, or nearly gone


class Holder(BaseModel):
    """Who took the lock: a Snakemake, started by DVC or not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    process: Process
    dvc: Process | None
    command: str

    def lives(self) -> bool:
        """Whether its run goes on: one whose DVC was killed is about to end."""
        return self.process.lives() and (self.dvc is None or self.dvc.lives())


@dataclass(frozen=True)
class Lock:
    """The lock of this folder; `before` took it last."""

    file: TextIO
    before: Holder | None

    def hold(self, dvc: Process | None) -> None:
        """Write down that this process has it.

        Raises:
            InputError: the disk is full.
        """
        holder = Holder(process=Process.of(os.getpid()), dvc=dvc, command=command())
        try:
            self.file.seek(0)
            self.file.truncate()
            self.file.write(holder.model_dump_json() + "\n")
            self.file.flush()
        except OSError as error:
            raise _unlockable(error) from None

    def release(self) -> None:
        """Let others have it."""
        self.file.close()


def take(patience: float = PATIENCE) -> Lock:
    """The lock of this folder, held until it is released or this process ends.

    Raises:
        InputError: another run has it; or something else has, for longer than `patience` seconds; or this folder takes
            none.
    """
    deadline = time.monotonic() + patience
    while (lock := _taken()) is None:
        found, late = last_holder(), time.monotonic() > deadline
        if found is not None and found.lives() and (late or found.process.here):
            raise InputError(
                f"another run is at work in {Path.cwd()} (process {found.process.pid} on {found.process.host}: "
                f"{found.command}); wait until it ends, `raml status` says when"
            )
        if late:
            raise InputError(f"another run is at work in {Path.cwd()}; wait until it ends")
        time.sleep(_LOOK)
    return lock


def try_to_take() -> Lock | None:
    """The lock of this folder; None while another process has it, and where it cannot be had."""
    try:
        return _taken()
    except InputError:
        return None


def is_held() -> bool | None:
    """Whether a process has the lock of this folder, without a change to it; None if that cannot be told."""
    try:
        with FILE.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None


def _taken() -> Lock | None:
    """The lock; None while another process has it; InputError where there can be none."""
    try:
        FILE.parent.mkdir(exist_ok=True)
        file = FILE.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                return None
            raise
    except OSError as error:
        raise _unlockable(error) from None
    return Lock(file, last_holder())


def _unlockable(error: OSError) -> InputError:
    return InputError(
        f"cannot lock {Path.cwd() / FILE} ({error.strerror}); runs need a checkout that they may write, on a file "
        "system with locks (flock)"
    )


def last_holder() -> Holder | None:
    """Who took the lock last, if that is known."""
    try:
        return Holder.model_validate_json(FILE.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _began_and_state(pid: int) -> tuple[int, str]:
    """Fields 22 and 3 of a process' `stat`, counted from behind its name, which may hold blanks and parentheses."""
    try:
        fields = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"no process {pid}") from None
    return int(fields[19]), fields[0].decode("ascii")


def _boot() -> str:
    """Which boot of the machine this is; empty in a container that does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def command() -> str:
    """What this process was started with, for people, without secrets."""
    return redacted(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
