"""`raml times`: where a run's time went, rule by rule."""

from pathlib import Path
from typing import Annotated

import typer

from raml.cli.options import Json, Scale
from raml.cli.output import print_json, print_line, print_table
from raml.report.numbers import count

CAVEAT = (
    "Wall-clock seconds decide. Snakemake samples CPU time and memory, after 15 s only every 30 s: what a job did "
    "since the last sample is missing, so both are too low, and the CPU time of short jobs by much."
)


def times(
    scale: Scale = "micro",
    save: Annotated[bool, typer.Option("--save", help="Write results/<scale>/times.json for the page.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a run's time went, from the times that Snakemake took of each job on this machine.

    They lie in benchmarks/<scale>/. Those of rules that are gone stay there: delete the folder before a run to be
    timed.
    """
    from raml.lineage.timings import measure
    from raml.storage import write_json

    measured = measure(scale, Path("benchmarks", scale))
    path = Path("results", scale, "times.json")
    if save:
        write_json(measured.model_dump(mode="json"), path)
    if as_json:
        print_json(measured)
        return
    print_table(
        f"Where the time goes at scale {scale}",
        ("rule", "jobs", "wall s", "share", "longest\ns", "CPU s", "peak\nMB"),
        [
            (
                rule.rule,
                f"{rule.jobs:,}",
                f"{rule.seconds:,.1f}",
                f"{rule.share:.1%}",
                f"{rule.longest_seconds:,.1f}",
                "" if rule.cpu_seconds is None else f"{rule.cpu_seconds:,.1f}",
                "" if rule.peak_memory_mb is None else f"{rule.peak_memory_mb:,.0f}",
            )
            for rule in measured.rules
        ],
    )
    print_line(CAVEAT, style="dim", wrap=True)
    print_line(
        f"{count(sum(rule.jobs for rule in measured.rules), 'job')}: {measured.seconds:,.0f} s one after the other, "
        f"{measured.elapsed_seconds:,.0f} s as they ran, measured on {count(measured.cores, 'core')} "
        f"({measured.processor})"
    )
    for part in measured.seeds:
        name = "shared by all seeds" if part.seed is None else f"seed {part.seed}"
        print_line(f"  {name}: {count(part.jobs, 'job')}, {part.seconds:,.0f} s")
    if save:
        print_line(f"written: {path}")
