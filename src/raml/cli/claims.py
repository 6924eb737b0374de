"""`raml claims`: every claim of the paper with what was measured and the verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raml.claims.result import ClaimResult

COLOURS = {"holds": "green", "contradicted": "red", "inconclusive": "yellow", "not_run": "dim"}


def claims(
    scale: Annotated[str, typer.Option("--scale", help="The scale that was run, a folder of results/.")] = "micro",
    as_json: Annotated[bool, typer.Option("--json", help="Print results/<scale>/claims.json as it is.")] = False,
) -> None:
    """Show every claim of the paper with what was measured and the verdict."""
    from raml.claims.table import load_results

    path = Path("results", scale, "claims.json")
    found = load_results(path)
    if as_json:
        typer.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    from rich import print as rich_print
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Claims at scale {scale}", show_lines=True)
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("measured", no_wrap=True)
    table.add_column("statement and reason")
    for claim in found:
        verdict = f"[{COLOURS[claim.verdict]}]{claim.verdict}[/]"
        table.add_row(
            claim.id, verdict, escape(_measured(claim)), f"{escape(claim.statement)}\n[dim]{escape(claim.reason)}[/]"
        )
    rich_print(table)


def _measured(claim: "ClaimResult") -> str:
    if claim.measured is None:
        return ""
    value = f"{claim.measured:.3g}"
    return value if claim.interval is None else f"{value}\n{claim.interval[0]:.3g} to {claim.interval[1]:.3g}"
