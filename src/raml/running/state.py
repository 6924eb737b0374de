"""What a run is doing, as it writes it down for `raml status`: `.snakemake/raml-run.json`, always replaced whole."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from raml.running.lock import Process

FILE: Final = Path(".snakemake", "raml-run.json")


class Part(BaseModel):
    """A part of the file: immutable, unknown keys refused. Times are seconds since the epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Running(Part):
    """A job at work; `expected` is its length in seconds by earlier runs, null if nothing is known."""

    id: int
    rule: str
    about: str
    log: str | None
    since: float
    expected: float | None


class Failed(Part):
    """A job that failed."""

    rule: str
    about: str
    log: str | None


class Run(Part):
    """A run as it was when last written."""

    scale: str
    command: str
    process: Process
    started: float
    updated: float
    state: Literal["running", "finished", "failed"]
    done: int
    total: int
    ends: float | None
    running: list[Running]
    failed: list[Failed]


def write(run: Run, path: Path = FILE) -> None:
    """Replace the file."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(path: Path = FILE) -> Run | None:
    """The run that was last started in this folder; None if there is none, or one of another version."""
    try:
        return Run.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def ended_early() -> bool:
    """Whether the last run in this folder was killed or failed: it has not kept records of what it made."""
    run = read()
    return run is not None and run.state != "finished"


def log_tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log that are not blank; of a progress line that was redrawn in place, its last state."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65_536))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    shown = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return [line for line in shown if line][-lines:]
