"""`raml compare`: what changed between two states of the results, from versioned files alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from raml.cli import common

if TYPE_CHECKING:
    from rich.table import Table

    from raml.claims.diff import ClaimChange, MetricChange, ScaleChanges, TableChange

SHOWN = 15  # metrics on the terminal; --json has all

Before = Annotated[str, typer.Argument(metavar="REV_A", help="A folder of results, or a git revision.")]
After = Annotated[
    str | None, typer.Argument(metavar="REV_B", help="The same; without it the working tree.", show_default=False)
]


def compare(
    before: Before,
    after: After = None,
    scale: Annotated[str | None, typer.Option("--scale", help="One scale; without it each that both have.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all differences for machines.")] = False,
) -> None:
    """Show which numbers, intervals and verdicts changed between two states of the results.

    Each is a folder if one of that name exists (results/micro, results/ or a checkout), and else a git revision.
    Read are claims.json and the tables that git keeps; nothing is run. Numbers are compared exactly.

    The exit code is 0 whether or not anything changed, and 2 on bad input.
    """
    from raml.claims.diff import compare as differences
    from raml.claims.diff import open_version

    found = differences(open_version(before), open_version(after), scale)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    for changes in found.scales:
        _show(changes, found.before, found.after)


def _show(changes: "ScaleChanges", before: str, after: str) -> None:
    from rich.markup import escape

    console = common.console()
    console.print(f"[bold]{escape(changes.scale)}[/]: {escape(before)} \N{RIGHTWARDS ARROW} {escape(after)}")
    for note in changes.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    if changes.claims:
        console.print(_claims_table(changes.claims))
    console.print(f"claims: {len(changes.claims)} changed, {changes.claims_same} as before")
    if changes.metrics:
        console.print(_metrics_table(changes.metrics[:SHOWN]))
    left = len(changes.metrics) - SHOWN
    more = f" (the largest {SHOWN} are shown; --json has all)" if left > 0 else ""
    console.print(f"metrics: {len(changes.metrics)} changed, {changes.metrics_same} as before{more}")
    if changes.tables:
        console.print(_tables_table(changes.tables))
    else:
        console.print("tables: all as before")


def _claims_table(claims: "list[ClaimChange]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Claims", show_lines=True, title_justify="left")
    for heading in ("claim", "verdict", "measured", "interval"):
        table.add_column(heading, no_wrap=heading in ("claim", "verdict"))
    table.add_column("what else changed")
    for claim in claims:
        one, two = claim.before or {}, claim.after or {}
        others = [name for name in claim.fields if name not in ("verdict", "measured", "interval")]
        if claim.change != "changed":
            others = [claim.change]
        elif claim.details:
            others.append(f"{len(claim.details)} numbers of the details")
        table.add_row(
            escape(claim.id),
            _verdicts(one.get("verdict"), two.get("verdict")),
            _pair(_number(one.get("measured")), _number(two.get("measured"))),
            _pair(_interval(one.get("interval")), _interval(two.get("interval"))),
            escape(", ".join(others)),
        )
    return table


def _metrics_table(metrics: "list[MetricChange]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Metrics, shares of 1", title_justify="left")
    for heading in ("model", "benchmark", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in ("before", "after", "difference"):
        table.add_column(heading, justify="right")
    for metric in metrics:
        both = metric.before and metric.after
        table.add_row(
            *map(escape, (metric.model, metric.benchmark, metric.metric)),
            _estimate(metric.before),
            _estimate(metric.after),
            f"{metric.after[0] - metric.before[0]:+.3g}" if both and metric.before and metric.after else metric.change,
        )
    return table


def _tables_table(tables: "list[TableChange]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Tables that differ", title_justify="left")
    table.add_column("file", no_wrap=True)
    for heading in ("rows", "added", "removed", "changed"):
        table.add_column(heading, justify="right")
    table.add_column("largest difference by column")
    for one in tables:
        rows = _pair(*("none" if rows is None else f"{rows:,}" for rows in (one.rows_before, one.rows_after)))
        columns = [name if size is None else f"{name} {size:.3g}" for name, size in one.columns.items()]
        counts = (f"{count:,}" for count in (one.added, one.removed, one.changed))
        table.add_row(escape(one.path), rows, *counts, escape(", ".join(columns)))
    return table


def _verdicts(before: object, after: object) -> str:
    from rich.markup import escape

    from raml.cli.claims import COLOURS

    colours = (COLOURS.get(str(verdict), "default") for verdict in (before, after))
    texts = ("" if verdict is None else escape(str(verdict)) for verdict in (before, after))
    return _pair(*(f"[{colour}]{text}[/]" if text else "" for colour, text in zip(colours, texts, strict=True)))


def _pair(before: str, after: str) -> str:
    """Both, or one if they are the same."""
    if before == after:
        return after
    return f"{before or 'none'} \N{RIGHTWARDS ARROW} {after or 'none'}"


def _number(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name} {_number(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def _interval(value: object) -> str:
    return f"{_number(value[0])} to {_number(value[1])}" if isinstance(value, list) else ""


def _estimate(value: tuple[float, float, float] | None) -> str:
    return "" if value is None else f"{value[0]:.4f}\n{value[1]:.4f} to {value[2]:.4f}"
