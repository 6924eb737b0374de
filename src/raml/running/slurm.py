"""Jobs of Slurm that a run in this folder has submitted, as `squeue` lists them."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raml.errors import InputError

_FORMAT: Final = "%i|%T|%M|%R|%j|%k|%Z"  # id, state, time used, node or why it waits, name, comment, working folder
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")  # what Snakemake names its jobs by
_LIMIT: Final = 20  # seconds, after which Slurm counts as not answering


@dataclass(frozen=True)
class Job:
    """A job of Slurm."""

    id: str
    state: str
    used: str
    where: str
    rule: str


def available() -> bool:
    """Whether this machine can ask Slurm."""
    return shutil.which("squeue") is not None


def jobs_here() -> list[Job] | None:
    """The user's jobs that Snakemake has submitted from this folder: none where Slurm is missing.

    None if Slurm is there and does not answer.
    """
    if not available():
        return []
    command = ["squeue", "--me", "--noheader", f"--format={_FORMAT}"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return listed(ran.stdout, Path.cwd()) if ran.returncode == 0 else None


def listed(text: str, folder: Path) -> list[Job]:
    """The jobs in what `squeue` printed that Snakemake has submitted from `folder`."""
    found = []
    for line in text.splitlines():
        parts = line.split("|", 6)
        if len(parts) == 7 and _RUN_ID.search(parts[4]) and parts[6] == str(folder):
            found.append(Job(parts[0], parts[1].lower(), parts[2], parts[3], _rule(parts[5])))
    return found


def cancel(jobs: Sequence[Job]) -> str:
    """Ask Slurm to end the jobs; what it says if it cannot, which is so of jobs that have just ended too.

    Raises:
        InputError: Slurm does not answer, or `scancel` is missing.
    """
    command = ["scancel", *(job.id for job in jobs)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = f"no answer in {_LIMIT} s" if isinstance(error, subprocess.TimeoutExpired) else error.strerror
        raise InputError(f"cannot cancel Slurm's jobs of a killed run: {' '.join(command)}: {why}") from None
    return "" if ran.returncode == 0 else " ".join(ran.stderr.split())


def _rule(comment: str) -> str:
    """What Snakemake says of the job: `rule_train_dpo_wildcards_0` becomes `train_dpo 0`."""
    rule, _, wildcards = comment.removeprefix("rule_").partition("_wildcards_")
    return f"{rule} {wildcards}".strip()
