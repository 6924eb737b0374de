"""`raml compare`: what changed between two states of the results, from versioned files alone."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raml.cli.options import Json
from raml.cli.output import coloured, print_json, print_line, print_table

if TYPE_CHECKING:
    from rich.text import Text

    from raml.claims.diff import ClaimChange, Row, ScaleChanges

    NumberChange = tuple[str, Row | None, Row | None]  # what, before, after

ARROW = " \N{RIGHTWARDS ARROW}\n"
SHOWN = 15  # numbers of a table on the terminal; --json has all


def compare(
    before: Annotated[str, typer.Argument(metavar="REV_A", help="A folder of results, or a git revision.")],
    after: Annotated[
        str | None, typer.Argument(metavar="REV_B", help="The same; without it the working tree.", show_default=False)
    ] = None,
    scale: Annotated[str | None, typer.Option(help="One scale; without it each that both have.")] = None,
    as_json: Json = False,
) -> None:
    """Show which numbers, intervals and verdicts changed between two states of the results.

    Each is a folder if one of that name exists (results/micro, results/ or a checkout), and else a git revision.
    Read are claims.json and the tables that git keeps; nothing is run. Numbers are compared exactly.

    The exit code is 0 whether or not anything changed, and 2 on bad input.
    """
    from raml.claims.diff import compare as differences
    from raml.claims.diff import open_version

    comparison = differences(open_version(before), open_version(after), scale)
    if as_json:
        print_json(comparison)
        return
    for changes in comparison.scales:
        print_line(f"{changes.scale}: {comparison.before} \N{RIGHTWARDS ARROW} {comparison.after}", style="bold")
        _print(changes)


def _print(changes: "ScaleChanges") -> None:
    for note in changes.notes:
        print_line(f"note: {note}", style="yellow")
    if changes.claims:
        claims = [(claim.id, _verdicts(claim), _other_fields(claim)) for claim in changes.claims]
        headings = ["claim", "verdict", "what else changed"]
        print_table("Claims", headings, claims, texts=3, wide="what else changed", separate=True)
    print_line(f"claims: {len(changes.claims)} changed, {changes.claims_same} as before")
    _print_numbers("Effects of these claims", [row for claim in changes.claims for row in _effects(claim)])
    metrics = [(f"{one.metric}: {one.model} on {one.benchmark}", one.before, one.after) for one in changes.metrics]
    _print_numbers("Metrics, shares of 1", metrics)
    print_line(f"metrics: {len(metrics)} changed, {changes.metrics_same} as before")
    if not changes.tables:
        print_line("tables: all as before")
        return
    headings = ["file", "rows", "added", "removed", "changed", "largest difference by column"]
    rows = []
    for table in changes.tables:
        lengths = ("none" if rows is None else f"{rows:,}" for rows in (table.rows_before, table.rows_after))
        columns = [name if size is None else f"{name} {size:.3g}" for name, size in table.columns.items()]
        counts = (f"{number:,}" for number in (table.added, table.removed, table.changed))
        rows.append((table.path, ARROW.join(dict.fromkeys(lengths)), *counts, ", ".join(columns)))
    print_table("Tables that differ", headings, rows, wide=headings[-1])


def _print_numbers(title: str, changes: "Sequence[NumberChange]") -> None:
    """A row for each number, the first `SHOWN` of them."""
    rows = []
    for what, before, after in changes[:SHOWN]:
        difference = f"{after[0] - before[0]:+.3g}" if before and after else ""
        rows.append((what, _estimate(before), _estimate(after), difference))
    if rows:
        print_table(title, ("what", "before", "after", "difference"), rows, wide="what")
    if len(changes) > SHOWN:
        print_line(f"and {len(changes) - SHOWN} more; --json has all", style="dim")


def _verdicts(claim: "ClaimChange") -> "Text":
    from rich.text import Text

    words = [str(state["verdict"]) if state else "none" for state in (claim.before, claim.after)]
    return Text(ARROW).join(map(coloured, dict.fromkeys(words)))


def _other_fields(claim: "ClaimChange") -> str:
    if claim.change != "changed":
        return claim.change
    fields = [name for name in claim.fields if name not in ("verdict", "measured", "interval")]
    details = [f"{len(claim.details)} numbers of the details and effects"] if claim.details else []
    return ", ".join([*fields, *details])


def _effects(claim: "ClaimChange") -> "Iterator[NumberChange]":
    """The measured numbers that differ, by the names of effects."""
    before, after = _measured(claim.before), _measured(claim.after)
    for name in dict.fromkeys([*after, *before]):
        if before.get(name) != after.get(name):
            yield f"{claim.id}: {name}", before.get(name), after.get(name)


def _measured(claim: dict[str, Any] | None) -> "dict[str, Row]":
    """Measured numbers with their intervals by effect; none of older files, which name no effects."""
    numbers, intervals = ((claim or {}).get(name) for name in ("measured", "interval"))
    if not isinstance(numbers, dict) or not isinstance(intervals, dict):
        return {}
    return {name: (numbers[name], *intervals[name]) for name in numbers if name in intervals}


def _estimate(value: "Row | None") -> str:
    return f"{value[0]:.4g}\n[{value[1]:.3g}, {value[2]:.3g}]" if value else "none"
