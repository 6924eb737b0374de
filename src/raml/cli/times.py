"""`raml times`: where a run's time went, rule by rule."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raml.lineage.timings import Times

CAVEAT = (
    "Wall-clock seconds decide. Snakemake samples CPU time and memory, after 15 s only every 30 s: what a job did "
    "since the last look is missing, so that both are too low, and the CPU time of short jobs by much."
)


def times(
    scale: Annotated[str, typer.Option("--scale", help="The scale that was run, a folder of benchmarks/.")] = "micro",
    save: Annotated[bool, typer.Option("--save", help="Write results/<scale>/times.json for the page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what --save writes.")] = False,
) -> None:
    """Show where a run's time went, from the times that Snakemake took of each job on this machine.

    They lie in benchmarks/<scale>/. Those of rules that are gone stay there: delete the folder before a run to be
    timed.
    """
    from raml.lineage.timings import measure
    from raml.storage import write_json

    found = measure(scale, Path("benchmarks", scale))
    path = Path("results", scale, "times.json")
    if save:
        write_json(found.model_dump(mode="json"), path)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    _show(found)
    if save:
        typer.echo(f"written: {path}")


def _show(found: "Times") -> None:
    from rich import print as rich_print
    from rich.markup import escape
    from rich.table import Table

    cores = "1 core" if found.cores == 1 else f"{found.cores} cores"
    table = Table(title=escape(f"Where the time goes at scale {found.scale}"), caption=CAVEAT, caption_justify="left")
    table.add_column("rule", no_wrap=True)
    for heading in ("jobs", "wall s", "share", "longest\ns", "CPU s", "peak\nMB"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for rule in found.rules:
        cpu = "" if rule.cpu_seconds is None else f"{rule.cpu_seconds:,.1f}"
        memory = "" if rule.peak_memory_mb is None else f"{rule.peak_memory_mb:,.0f}"
        wall, longest = f"{rule.seconds:,.1f}", f"{rule.longest_seconds:,.1f}"
        table.add_row(escape(rule.rule), f"{rule.jobs:,}", wall, f"{rule.share:.1%}", longest, cpu, memory)
    rich_print(table)
    rich_print(
        escape(
            f"{sum(rule.jobs for rule in found.rules):,} jobs: {found.seconds:,.0f} s one after the other, "
            f"{found.elapsed_seconds:,.0f} s as they ran, measured on {cores} ({found.processor})"
        )
    )
    for part in found.seeds:
        name = "shared by all seeds" if part.seed is None else f"seed {part.seed}"
        rich_print(f"  {name}: {part.jobs:,} jobs, {part.seconds:,.0f} s")
