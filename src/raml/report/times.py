"""Where the time of a run went, as an exhibit: wall-clock seconds of each rule, drawn and in a table.

    python -m raml.report.times --scale S --config '{}' --times results/S/times.json --figure F.svg --exhibit F.json

`raml times --save` writes the input: times differ from run to run, so the workflow does not make it.
"""

from collections.abc import Mapping
from typing import Final

from raml.config import Section
from raml.errors import DataError
from raml.lineage.timings import Times, read_times
from raml.report.exhibit import NONE, Cell, Column, Exhibit, Row, Table, write_exhibit
from raml.report.numbers import count, percent
from raml.report.svg import drawing, write_svg
from raml.report.times_figure import draw_times
from raml.step import Step, run

FILES: Final[Mapping[str, list[str]]] = {"inputs": ["times"], "outputs": ["figure", "exhibit"]}
TITLE: Final = "Times: where a run's time goes"


class Job(Section):
    """Times speak for themselves: nothing to configure."""


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        DataError: the times cannot be read, or are of another scale.
    """
    times = read_times(step.files["times"])
    if times.scale != step.scale:
        raise DataError(
            f"{step.files['times']} is of scale {times.scale!r}, but this report is of scale {step.scale!r}; write it "
            f"with raml times --scale {step.scale} --save"
        )
    description = _describe(times)
    with drawing():
        write_svg(draw_times(times), step.files["figure"], name="times", title=TITLE, description=description)
    exhibit = Exhibit(
        id="times",
        title=TITLE,
        lead="What does a whole run cost, and on what?",
        scale=step.scale,
        description=description,
        caption=(
            "Wall-clock seconds of all jobs of a rule together. Jobs run side by side, so that the run itself is "
            "shorter than the sum."
        ),
        done=[
            f"Measured on {_machine(times)}: Snakemake took the time of each job when it was last run there. The times "
            "are kept with the results, so that they are of that machine wherever this page is built.",
            "Wall-clock seconds decide, and hold for the machine and what else it did. CPU time and memory are "
            "sampled, twice a second for 15 s and every 30 s from then on: what a job did since the last look is "
            "missing, so that both are too low, and the CPU time of short jobs by much.",
        ],
        deviations=["The paper names its hardware, but no times for the experiments; this exhibit is an addition."],
        n=[
            ("jobs", sum(rule.jobs for rule in times.rules)),
            ("seconds, one after the other", round(times.seconds)),
            ("seconds as they ran", round(times.elapsed_seconds)),
        ],
        tables=[rules_table(times), seeds_table(times)],
        sources=[],
    )
    write_exhibit(exhibit, step.files["exhibit"])


def rules_table(times: Times) -> Table:
    """A row for each rule, the longest first."""
    return Table(
        caption=f"Time of each rule, measured on {_machine(times)}",
        corner="rule",
        columns=[
            Column(heading="jobs"),
            Column(heading="all jobs", group="wall-clock seconds"),
            Column(heading="longest job", group="wall-clock seconds"),
            Column(heading="share of all, %"),
            Column(heading="CPU seconds", group="sampled"),
            Column(heading="peak memory, MB", group="sampled"),
        ],
        rows=[
            Row(
                heading=rule.rule,
                cells=[
                    Cell(text=f"{rule.jobs:,}"),
                    Cell(text=f"{rule.seconds:,.1f}"),
                    Cell(text=f"{rule.longest_seconds:,.1f}"),
                    Cell(text=percent(rule.share)),
                    NONE if rule.cpu_seconds is None else Cell(text=f"{rule.cpu_seconds:,.1f}"),
                    NONE if rule.peak_memory_mb is None else Cell(text=f"{rule.peak_memory_mb:,.0f}"),
                ],
            )
            for rule in times.rules
        ],
    )


def seeds_table(times: Times) -> Table:
    """What one more training seed costs."""
    return Table(
        caption="Time of each training seed",
        corner="training seed",
        columns=[Column(heading="jobs"), Column(heading="wall-clock seconds")],
        rows=[
            Row(
                heading="shared by all" if part.seed is None else str(part.seed),
                cells=[Cell(text=f"{part.jobs:,}"), Cell(text=f"{part.seconds:,.1f}")],
            )
            for part in times.seeds
        ],
    )


def _describe(times: Times) -> str:
    longest = ", ".join(f"{rule.rule} {percent(rule.share)}%" for rule in times.rules[:5])
    return (
        f"Bars, a rule each, the longest first. {count(sum(rule.jobs for rule in times.rules), 'job')} took "
        f"{times.seconds:,.0f} s one after the other and {times.elapsed_seconds:,.0f} s as they ran. Most time went "
        f"into {longest}."
    )


def _machine(times: Times) -> str:
    return f"{count(times.cores, 'core')} of {times.processor}"


if __name__ == "__main__":
    run(main, Job, **FILES)
