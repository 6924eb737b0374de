"""Where a run's time went, from Snakemake's benchmark files; summed up by rule and by training seed.

A file `benchmarks/<scale>/<rule>/seed<s>/...tsv` is of one job. Its wall-clock seconds are exact. Snakemake looks at
memory and CPU time every few seconds at first and twice a minute later, so that both are too low for short jobs.
"""

import csv
import os
import re
from pathlib import Path
from typing import Final

import polars as pl
from polars import selectors as cs
from pydantic import BaseModel, Field

from raml.errors import DataError
from raml.lineage.environment import processor
from raml.lineage.parsing import parse
from raml.storage import read_json

# Rules that `all` does not ask for: the table by which tasks are chosen, of one seed.
ASIDE: Final = ("sample_development", "measurability")

# What is known of a job; `end` is in seconds since the epoch.
MEASURED: Final = ("end", "seconds", "cpu_seconds", "peak_memory_mb")
JOB: Final = {"rule": pl.String, "seed": pl.Int64, **dict.fromkeys(MEASURED, pl.Float64)}


class RuleTime(BaseModel, extra="forbid", frozen=True):
    """All jobs of one rule together; seconds are of wall-clock time unless they say otherwise."""

    rule: str
    jobs: int = Field(gt=0)
    seconds: float = Field(ge=0)
    longest_seconds: float = Field(ge=0, description="of its longest job")
    cpu_seconds: float | None = Field(ge=0, description="as sampled; null if no job was long enough")
    peak_memory_mb: float | None = Field(ge=0, description="resident, of its largest job; null as above")
    share: float = Field(ge=0, le=1, description="of the seconds of all rules")


class SeedTime(BaseModel, extra="forbid", frozen=True):
    """All jobs of one training seed together, or those that all seeds share."""

    seed: int | None
    jobs: int = Field(gt=0)
    seconds: float = Field(ge=0)


class Times(BaseModel, extra="forbid", frozen=True):
    """Where the time of a scale's run went, longest rule first."""

    scale: str
    processor: str
    cores: int = Field(gt=0)
    seconds: float = Field(ge=0, description="of all jobs, one after the other")
    elapsed_seconds: float = Field(ge=0, description="during which at least one job ran")
    rules: list[RuleTime] = Field(min_length=1)
    seeds: list[SeedTime] = Field(min_length=1)


def measure(scale: str, folder: Path) -> Times:
    """The times of the jobs whose benchmark files lie in `folder`, rounded to a tenth of a second.

    Files of jobs that the workflow no longer has stay behind, and nothing tells them from others but the seeds. The
    jobs of `ASIDE` are left out, which a run does not include.

    Raises:
        DataError: as in `read_jobs`, or rules have jobs of different training seeds.
    """
    jobs = read_jobs(folder).filter(~pl.col("rule").is_in(ASIDE))
    _check_seeds(jobs, folder)
    total, count, seconds = float(jobs["seconds"].sum()), pl.len().alias("jobs"), pl.sum("seconds")
    sampled = pl.when(pl.count("cpu_seconds") > 0).then(pl.sum("cpu_seconds"))
    rules = jobs.group_by("rule").agg(
        count,
        seconds,
        pl.max("seconds").alias("longest_seconds"),
        sampled.alias("cpu_seconds"),
        pl.max("peak_memory_mb").round(),
        (seconds / total).fill_nan(0).round(4).alias("share"),
    )
    rules = rules.with_columns(cs.ends_with("seconds").round(1)).sort(-pl.col("seconds"), "rule")
    seeds = jobs.group_by("seed").agg(count, seconds.round(1)).sort("seed", nulls_last=False)
    return Times(
        scale=scale,
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        seconds=round(total, 1),
        elapsed_seconds=round(elapsed(jobs), 1),
        rules=[RuleTime(**row) for row in rules.to_dicts()],
        seeds=[SeedTime(**row) for row in seeds.to_dicts()],
    )


def read_times(path: Path) -> Times:
    """What `raml times --save` wrote.

    Raises:
        DataError: the file is missing, not JSON or something else.
    """
    return parse(Times, read_json(path), f"{path} holds no times", "; write it with raml times --save")


def read_jobs(folder: Path) -> pl.DataFrame:
    """The jobs whose benchmark files lie in `folder` or below it, a row of `JOB` each; sampled quantities may be null.

    Raises:
        DataError: there are none, or one is not a benchmark file of Snakemake.
    """
    jobs = [_job(path, folder) for path in sorted(folder.rglob("*.tsv"))]
    if not jobs:
        raise DataError(f"{folder} holds no timings of jobs; run the workflow here first (`snakemake --cores 2`)")
    return pl.DataFrame(jobs, JOB, orient="row")


def elapsed(jobs: pl.DataFrame) -> float:
    """Seconds during which at least one job ran: times between runs do not count, nor jobs side by side twice."""
    spans = jobs.select("end", start=pl.col("end") - pl.col("seconds")).sort("start")
    reached = pl.col("end").cum_max().shift(fill_value=float("-inf"))
    return float(spans.select((pl.col("end") - pl.max_horizontal("start", reached)).clip(0).sum()).item())


def _check_seeds(jobs: pl.DataFrame, folder: Path) -> None:
    """Refuse jobs of runs with different seeds: their sum would be the cost of neither."""
    of_rules = jobs.drop_nulls("seed").group_by("rule").agg(pl.col("seed").unique().sort())
    rows = of_rules.sort(pl.col("seed").list.len(), "rule").rows()
    for rule, seeds in rows:
        if seeds != rows[0][1]:
            few, many = (" and ".join(map(str, numbers)) for numbers in (rows[0][1], seeds))
            raise DataError(
                f"{folder} mixes runs: jobs of {rows[0][0]} are of seeds {few}, those of {rule} of {many}; delete "
                f"the files of rules that are gone, or all of {folder}, and run the workflow again"
            )


def _job(path: Path, folder: Path) -> tuple[str | int | float | None, ...]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        # Snakemake writes NA or - where the job ended before it looked.
        sampled = [None if row[name] in ("NA", "-", "") else float(row[name]) for name in ("cpu_time", "max_rss")]
        seconds = float(row["s"])
    except (OSError, UnicodeDecodeError, StopIteration, KeyError, TypeError, ValueError):
        raise DataError(f"{path} is no benchmark file of Snakemake; delete it") from None
    parts = path.relative_to(folder).with_suffix("").parts
    seeds = [int(match[1]) for part in parts if (match := re.fullmatch(r"seed(\d+)", part))]
    return parts[0], seeds[0] if seeds else None, path.stat().st_mtime, seconds, *sampled  # written when the job ends
