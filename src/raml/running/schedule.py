"""How long the jobs of a DAG will take: each by its benchmark file of an earlier run, all as they are scheduled.

A job that was never timed here is expected to take as long as others of its kind; where this machine has timed none, as
in a fresh clone, as long as in `results/<scale>/times.json`. How far this run's jobs were off so far corrects the rest.
"""

import csv
import heapq
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Final

_NEVER_OFF_BY: Final = 10.0  # a factor: of what an odd job makes of the others
_OWN_WEIGHT: Final = 30.0  # seconds of earlier runs that count as much as what this run has shown


@dataclass(frozen=True)
class Job:
    """What is known of a job before it runs. `kind` is the rule's folder or file below the benchmarks."""

    benchmark: str | None
    kind: str
    threads: int
    priority: int
    after: frozenset[int]


@dataclass
class Expectation:
    """How many seconds jobs take, by earlier runs and corrected by this one."""

    by_file: dict[str, float]
    by_kind: dict[str, float]
    expected: float = 0.0  # of the jobs of this run that are done
    taken: float = 0.0
    _speed: float = field(default=1.0)

    @classmethod
    def read(cls, folder: Path, times: Path) -> "Expectation":
        """From the benchmark files in `folder`, and the table of times that results may hold."""
        by_file = {
            path.as_posix(): seconds for path in folder.rglob("*.tsv") if (seconds := _seconds(path)) is not None
        }
        kinds: dict[str, list[float]] = {}
        for name, seconds in by_file.items():
            kinds.setdefault(kind_of(name, folder), []).append(seconds)
        return cls(by_file, _kept_times(times) | {kind: mean(found) for kind, found in kinds.items()})

    def of(self, job: Job) -> float | None:
        """Seconds that the job will take; None if nothing is known of jobs like it, nor of others.

        A job without a benchmark is a target, which takes no time.
        """
        if job.benchmark is None:
            return 0.0
        seconds = self._earlier(job)
        if seconds is None and self.by_kind:
            seconds = mean(self.by_kind.values())
        return None if seconds is None else seconds * self._speed

    def done(self, job: Job, seconds: float) -> None:
        """Learn from a job of this run."""
        if job.benchmark is None:
            return
        earlier = self._earlier(job)
        if earlier is None:
            self.by_kind[job.kind] = seconds / self._speed
            return
        self.expected += earlier
        self.taken += seconds
        speed = (self.taken + _OWN_WEIGHT) / (self.expected + _OWN_WEIGHT)
        self._speed = min(_NEVER_OFF_BY, max(1 / _NEVER_OFF_BY, speed))

    def _earlier(self, job: Job) -> float | None:
        return self.by_file.get(job.benchmark or "", self.by_kind.get(job.kind))


def kind_of(benchmark: str, folder: Path) -> str:
    """What the benchmark files of a rule's jobs have in common: `train_dpo` of `train_dpo/seed0.tsv`."""
    return Path(benchmark).relative_to(folder).with_suffix("").parts[0]


def remaining(
    jobs: Mapping[int, Job], seconds: Mapping[int, float], running: Mapping[int, float], slots: int, *, by_threads: bool
) -> float:
    """Seconds until all jobs are done, if each starts as soon as it can, the most important first.

    Args:
        jobs: those that are not done, by id; what they wait for and is not among them is done.
        seconds: that each takes.
        running: seconds that each job at work has had.
        slots: cores of this machine, or jobs that a cluster takes at once.
        by_threads: a job takes a slot for each of its threads, else one.
    """
    size = {name: min(slots, max(1, job.threads)) if by_threads else 1 for name, job in jobs.items()}
    waits = {name: {other for other in job.after if other in jobs} for name, job in jobs.items()}
    wanted: dict[int, list[int]] = {}
    for name, others in waits.items():
        for other in others:
            wanted.setdefault(other, []).append(name)
    at_work = [(max(0.0, seconds[name] - had), name) for name, had in running.items() if name in jobs]
    heapq.heapify(at_work)
    free = slots - sum(size[name] for _, name in at_work)
    ready = [name for name in jobs if not waits[name] and name not in running]
    now = 0.0
    while at_work or ready:
        free -= _start(ready, at_work, now, free, jobs, size, seconds)
        now, name = heapq.heappop(at_work)
        free += size[name]
        for other in wanted.get(name, []):
            waits[other].discard(name)
            if not waits[other]:
                ready.append(other)
    return now


def _start(
    ready: list[int],
    at_work: list[tuple[float, int]],
    now: float,
    free: int,
    jobs: Mapping[int, Job],
    size: Mapping[int, int],
    seconds: Mapping[int, float],
) -> int:
    """Let the jobs begin for which there is room; how many slots they take."""
    taken = 0
    for name in sorted(ready, key=lambda name: (-jobs[name].priority, -seconds[name], name)):
        if size[name] <= free - taken or (not at_work and not taken):
            taken += size[name]
            ready.remove(name)
            heapq.heappush(at_work, (now + seconds[name], name))
    return taken


def duration(seconds: float) -> str:
    """For people: `40 s`, `3 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def known(seconds: Collection[float | None]) -> list[float] | None:
    """All of them, if all are known."""
    found = [value for value in seconds if value is not None]
    return found if len(found) == len(seconds) else None


def _seconds(path: Path) -> float | None:
    """Of a benchmark file; None of one that a killed run left half-written."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["s"])
    except (OSError, UnicodeDecodeError, StopIteration, KeyError, TypeError, ValueError):
        return None


def _kept_times(path: Path) -> dict[str, float]:
    """Seconds of a job by kind, from `raml times --save`."""
    try:
        rules = json.loads(path.read_text(encoding="utf-8"))["rules"]
        return {rule["rule"]: rule["seconds"] / rule["jobs"] for rule in rules}
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return {}
