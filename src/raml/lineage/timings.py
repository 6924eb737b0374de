"""Where a run's time went, from Snakemake's benchmark files; summed up by rule and by training seed.

A file `benchmarks/<scale>/<rule>/seed<s>/...tsv` is of one job. Its wall-clock seconds are exact. Snakemake looks at
memory and CPU time every few seconds at first and twice a minute later, so that both are too low for short jobs.
"""

import csv
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raml.errors import DataError
from raml.storage import read_json

# Rules that `all` does not ask for: the table by which tasks are chosen, of one seed.
ASIDE = frozenset({"sample_development", "measurability"})


class Record(BaseModel):
    """A part of `times.json`: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleTime(Record):
    """All jobs of one rule together; seconds are of wall-clock time unless they say otherwise."""

    rule: str
    jobs: int = Field(gt=0)
    seconds: float = Field(ge=0)
    longest_seconds: float = Field(ge=0, description="of its longest job")
    cpu_seconds: float | None = Field(ge=0, description="as sampled; null if no job was long enough")
    peak_memory_mb: float | None = Field(ge=0, description="resident, of its largest job; null as above")
    share: float = Field(ge=0, le=1, description="of the seconds of all rules")


class SeedTime(Record):
    """All jobs of one training seed together, or those that all seeds share."""

    seed: int | None
    jobs: int = Field(gt=0)
    seconds: float = Field(ge=0)


class Times(Record):
    """Where the time of a scale's run went, longest rule first."""

    scale: str
    processor: str
    cores: int = Field(gt=0)
    seconds: float = Field(ge=0, description="of all jobs, one after the other")
    elapsed_seconds: float = Field(ge=0, description="during which at least one job ran")
    rules: list[RuleTime] = Field(min_length=1)
    seeds: list[SeedTime] = Field(min_length=1)


@dataclass(frozen=True)
class Job:
    """One job: what it was of, when it ended (seconds since the epoch), and what it took."""

    rule: str
    seed: int | None
    end: float
    seconds: float
    cpu_seconds: float | None
    peak_memory_mb: float | None


def measure(scale: str, folder: Path) -> Times:
    """The times of the jobs whose benchmark files lie in `folder`, rounded to a tenth of a second.

    Files of jobs that the workflow no longer has stay behind, and nothing tells them from others but the seeds. The
    jobs of `ASIDE` are left out, which a run does not include.

    Raises:
        DataError: as in `read_jobs`, or rules have jobs of different training seeds.
    """
    jobs = [job for job in read_jobs(folder) if job.rule not in ASIDE]
    _check_seeds(jobs, folder)
    total = sum(job.seconds for job in jobs)
    rules = [_rule(name, [job for job in jobs if job.rule == name], total) for name in {job.rule for job in jobs}]
    of_seeds = {seed: [job for job in jobs if job.seed == seed] for seed in {job.seed for job in jobs}}
    return Times(
        scale=scale,
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        seconds=round(total, 1),
        elapsed_seconds=round(elapsed(jobs), 1),
        rules=sorted(rules, key=lambda rule: (-rule.seconds, rule.rule)),
        seeds=[
            SeedTime(seed=seed, jobs=len(of_seed), seconds=round(sum(job.seconds for job in of_seed), 1))
            for seed, of_seed in sorted(of_seeds.items(), key=lambda item: -1 if item[0] is None else item[0])
        ],
    )


def read_times(path: Path) -> Times:
    """What `raml times --save` wrote.

    Raises:
        DataError: the file is missing, not JSON or something else.
    """
    try:
        return Times.model_validate(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"{path} holds no times: {where}: {problem['msg']}; write it with raml times --save") from None


def read_jobs(folder: Path) -> list[Job]:
    """The jobs whose benchmark files lie in `folder` or below it.

    Raises:
        DataError: there are none, or one is not a benchmark file of Snakemake.
    """
    jobs = [_job(path, folder) for path in sorted(folder.rglob("*.tsv"))]
    if not jobs:
        raise DataError(f"{folder} holds no timings of jobs; run the workflow here first (`snakemake --cores 2`)")
    return jobs


def elapsed(jobs: Iterable[Job]) -> float:
    """Seconds during which at least one job ran: times between runs do not count, nor jobs side by side twice."""
    seconds, reached = 0.0, float("-inf")
    for start, end in sorted((job.end - job.seconds, job.end) for job in jobs):
        seconds += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return seconds


def processor() -> str:
    """The name of this machine's processor."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return (found[1] if found else platform.processor() or platform.machine()).strip()


def _check_seeds(jobs: Sequence[Job], folder: Path) -> None:
    """Refuse jobs of runs with different seeds: their sum would be the cost of neither."""
    seeds: dict[str, set[int]] = {}
    for job in jobs:
        if job.seed is not None:
            seeds.setdefault(job.rule, set()).add(job.seed)
    by_number = sorted(seeds, key=lambda rule: (len(seeds[rule]), rule))
    for rule in by_number[1:]:
        if seeds[rule] != seeds[by_number[0]]:
            few, many = (" and ".join(map(str, sorted(seeds[name]))) for name in (by_number[0], rule))
            raise DataError(
                f"{folder} mixes runs: jobs of {by_number[0]} are of seeds {few}, those of {rule} of {many}; delete "
                f"the files of rules that are gone, or all of {folder}, and run the workflow again"
            )


def _rule(name: str, jobs: Sequence[Job], total: float) -> RuleTime:
    seconds = sum(job.seconds for job in jobs)
    cpu = [job.cpu_seconds for job in jobs if job.cpu_seconds is not None]
    memory = [job.peak_memory_mb for job in jobs if job.peak_memory_mb is not None]
    return RuleTime(
        rule=name,
        jobs=len(jobs),
        seconds=round(seconds, 1),
        longest_seconds=round(max(job.seconds for job in jobs), 1),
        cpu_seconds=round(sum(cpu), 1) if cpu else None,
        peak_memory_mb=round(max(memory)) if memory else None,
        share=round(seconds / total, 4) if total else 0.0,
    )


def _job(path: Path, folder: Path) -> Job:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        seconds = float(row["s"])
        cpu, memory = (_sampled(row[name]) for name in ("cpu_time", "max_rss"))
    except (OSError, UnicodeDecodeError, StopIteration, KeyError, TypeError, ValueError):
        raise DataError(f"{path} is no benchmark file of Snakemake; delete it") from None
    parts = path.relative_to(folder).with_suffix("").parts
    seeds = [int(match[1]) for part in parts if (match := re.fullmatch(r"seed(\d+)", part))]
    # Written when the job ends.
    return Job(parts[0], seeds[0] if seeds else None, path.stat().st_mtime, seconds, cpu, memory)


def _sampled(text: str) -> float | None:
    """A sampled quantity; Snakemake writes NA or - where the job ended before it looked."""
    return None if text in ("NA", "-", "") else float(text)
