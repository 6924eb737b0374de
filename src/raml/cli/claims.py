"""`raml claims`: every claim of the paper with what was measured and the verdict."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raml.cli import common

if TYPE_CHECKING:
    from rich.table import Table

    from raml.claims.result import ClaimResult

COLOURS = {"holds": "green", "contradicted": "red", "inconclusive": "yellow", "not_run": "dim"}
FEW = 4  # reported numbers that a row can show


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(help="Claims (tab2-grpo) or exhibits (tab2) to show in full; else all.")
    ] = None,
    scale: Annotated[str, typer.Option("--scale", help="The scale that was run, a folder of results/.")] = "micro",
    verdict: Annotated[
        Literal["holds", "contradicted", "inconclusive", "not_run"] | None,
        typer.Option("--verdict", help="Only claims with this verdict."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what is shown as in results/<scale>/claims.json.")
    ] = False,
) -> None:
    """Show every claim of the paper with what was measured and the verdict; named ones with the reason too."""
    from raml.claims.results import check_current, load_results

    path, config = Path("results", scale, "claims.json"), Path("config")
    found = load_results(path, scale)
    shown = _chosen(found, names or [], path)
    shown = [one for one in shown if verdict is None or one.verdict == verdict]
    if as_json:
        _print_json(path, shown, everything=len(shown) == len(found))
    else:
        _print(shown, scale, in_full=bool(names))
    if (config / "claims.yaml").is_file() and (stale := check_current(found, config, path, scale)):
        typer.echo(f"warning: {stale}", err=True)


def _chosen(found: Sequence["ClaimResult"], names: Sequence[str], path: Path) -> list["ClaimResult"]:
    """Those of `names`, which are ids or exhibits; all without any."""
    from raml.errors import InputError

    known = {name for one in found for name in (one.id, one.exhibit)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{path} has no claim {unknown[0]!r}; it has {', '.join(one.id for one in found)}")
    return [one for one in found if not names or one.id in names or one.exhibit in names]


def _print_json(path: Path, shown: Sequence["ClaimResult"], *, everything: bool) -> None:
    """The file as it is, or the chosen claims in its form."""
    import json

    if everything:
        typer.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    ids = {one.id for one in shown}
    chosen = [one for one in json.loads(path.read_text(encoding="utf-8")) if one["id"] in ids]
    typer.echo(json.dumps(chosen, indent=2, ensure_ascii=False))


def _print(shown: Sequence["ClaimResult"], scale: str, *, in_full: bool) -> None:
    from rich.markup import escape

    console = common.console()
    console.print(_table(shown, scale))
    for one in shown:
        if in_full or one.verdict == "not_run":
            console.print(f"[bold]{one.id}[/] [{COLOURS[one.verdict]}]{one.verdict}[/]: {escape(one.reason)}")
            for label, text in _in_full(one) if in_full else [("command", one.command)]:
                console.print(f"  [dim]{label}:[/] {escape(text)}", highlight=False)
    counts = {name: sum(one.verdict == name for one in shown) for name in COLOURS}
    console.print(
        ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "no claim has this verdict"
    )
    if not in_full and shown:
        console.print(f"[dim]Why: raml claims {shown[0].id} --scale {escape(scale)}[/]", highlight=False)


def _table(shown: Sequence["ClaimResult"], scale: str) -> "Table":
    """A row a claim, readable at 100 columns."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"Claims at scale {scale}"), box=box.HORIZONTALS, show_lines=True, padding=(0, 1, 0, 0))
    table.add_column("claim", max_width=12, overflow="fold")
    table.add_column("statement", min_width=18, ratio=1)
    table.add_column("reported", max_width=11)
    table.add_column(escape("measured\n[interval]\nclaimed line"), min_width=21, no_wrap=True)
    table.add_column("verdict", min_width=12, no_wrap=True)
    table.add_column("p\nby Holm", min_width=12, no_wrap=True)
    for one in shown:
        table.add_row(
            escape(one.id),
            escape(one.statement),
            escape(_reported(one)),
            escape(_measured(one)),
            f"[{COLOURS[one.verdict]}]{one.verdict}[/]",
            _adjusted(one),
        )
    return table


def _reported(one: "ClaimResult") -> str:
    """The paper's numbers if they are few, else how many there are and between what they lie."""
    if one.reported is None:
        return ""
    numbers = [pair for key, node in one.reported.items() for pair in _numbers(key, node)]
    if not numbers:
        return "a plot"
    if len(numbers) <= FEW:
        return "\n".join(f"{name} {value:g}" for name, value in numbers)
    values = [value for _, value in numbers]
    return f"{len(values)} numbers, {min(values):g} to {max(values):g}"


def _numbers(name: str, node: object) -> Iterator[tuple[str, float]]:
    """Single numbers below `node` by their names; none of a plot, which has only what it varies."""
    if isinstance(node, dict):
        if "values" not in node:
            for key, below in node.items():
                yield from _numbers(str(key), below)
    elif isinstance(node, int | float):
        yield name, float(node)


def _measured(one: "ClaimResult") -> str:
    """`-0.531`, below it `[-0.62, -0.44]` and `claimed < -0.3`."""
    lines = []
    if one.measured is not None:
        lines.append(f"{one.measured:.3g}")
    if one.interval is not None:
        lines.append(f"[{one.interval[0]:.3g}, {one.interval[1]:.3g}]")
    if one.line is not None:
        lines.append(f"claimed {'>' if one.claimed == 'above' else '<'} {one.line:g}")
    return "\n".join(lines)


def _adjusted(one: "ClaimResult") -> str:
    """`0.0002`, below it `0.004` and, where Holm's correction takes the verdict back, what is left."""
    if one.p is None or one.p_holm is None:
        return ""
    lines = [f"{one.p:.2g}", f"{one.p_holm:.2g}"]
    if one.verdict_holm is not None and one.verdict_holm != one.verdict:
        lines.append(f"[{COLOURS[one.verdict_holm]}]{one.verdict_holm}[/]")
    return "\n".join(lines)


def _in_full(one: "ClaimResult") -> Iterator[tuple[str, str]]:
    """What the table has no room for, by its name."""
    yield "in the paper", one.paper
    if one.unit is not None:
        yield "measured", one.unit
    if one.n is not None:
        yield "n", ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in one.n.items())
    if one.needs is not None:
        yield "needs", one.needs
    if one.decidable_at is not None:
        yield "can be decided at", ", ".join(one.decidable_at) or "no scale yet"
    for number in one.against_reported or []:
        beyond = "" if number["within"] else ", beyond it"
        yield (
            str(number["key"]),
            f"{number['measured']:.4g}, the paper {number['reported']:g} (tolerance {number['tolerance']:g}{beyond})",
        )
    yield "command", one.command
