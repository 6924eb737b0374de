"""`raml claims`: every claim of the paper with what was measured and the verdict."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raml.cli import common

if TYPE_CHECKING:
    from rich.table import Table

    from raml.claims.result import ClaimResult, DecidingEffect

COLOURS = {"holds": "green", "contradicted": "red", "inconclusive": "yellow", "not_run": "dim"}


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(help="Claims (tab2-grpo) or exhibits (tab2) to show in full; else all.")
    ] = None,
    scale: Annotated[str, typer.Option("--scale", help="The scale that was run, a folder of results/.")] = "micro",
    verdict: Annotated[
        Literal["holds", "contradicted", "inconclusive", "not_run"] | None,
        typer.Option("--verdict", help="Only claims with this verdict."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="CLAIM.KEY=VALUE", help="Decide with another value: fig3.threshold=-0.6."),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option("--confidence", min=0.5, max=0.9999, help="Decide with another confidence.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what is shown as in results/<scale>/claims.json.")
    ] = False,
) -> None:
    """Show every claim of the paper with its effects and verdict; named ones with the reason too.

    With --set or --confidence the claims are decided again from the scale's quantities, and nothing is written.
    """
    from raml.claims.results import check_current, load_results, standing

    path, config = Path("results", scale, "claims.json"), Path("config")
    again = bool(changes) or confidence is not None
    found = _decide_again(scale, config, changes or [], confidence) if again else load_results(path, scale)
    shown = _chosen(found, names or [], path)
    shown = [one for one in shown if verdict is None or one.verdict == verdict]
    if as_json:
        _print_json(shown)
    else:
        _print(shown, scale, in_full=bool(names))
        typer.echo(standing(found))
    if not again and (config / "claims.yaml").is_file() and (stale := check_current(found, config, path, scale)):
        typer.echo(f"warning: {stale}", err=True)


def _decide_again(scale: str, config: Path, changes: Sequence[str], confidence: float | None) -> list["ClaimResult"]:
    """All claims, decided from the quantities with other values; nothing is written."""
    from raml.claims.decide import decide, read_quantities
    from raml.claims.registry import load_registry
    from raml.config import load_scale

    settings = load_scale(scale)
    registry = load_registry(config / "claims.yaml", config / "reported.yaml", _changes(changes))
    quantities = read_quantities(Path("results", scale, "tables", "quantities.parquet"), settings, 0, confidence)
    return decide(registry, quantities, settings)


def _changes(texts: Sequence[str]) -> dict[str, dict[str, object]]:
    """`fig3.threshold=-0.6` as `{"fig3": {"threshold": -0.6}}`; claims' ids may hold dots, keys none."""
    import yaml

    from raml.errors import InputError

    found: dict[str, dict[str, object]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        claim, _, key = name.rpartition(".")
        if not (claim and key and equals):
            raise InputError(f"--set {text}: write CLAIM.KEY=VALUE, as in fig3.threshold=-0.6")
        try:
            found.setdefault(claim, {})[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"--set {text}: the value is not YAML") from None
    return found


def _chosen(found: Sequence["ClaimResult"], names: Sequence[str], path: Path) -> list["ClaimResult"]:
    """Those of `names`, which are ids or exhibits; all without any."""
    from raml.errors import InputError

    known = {name for one in found for name in (one.id, one.exhibit)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{path} has no claim {unknown[0]!r}; it has {', '.join(one.id for one in found)}")
    return [one for one in found if not names or one.id in names or one.exhibit in names]


def _print_json(shown: Sequence["ClaimResult"]) -> None:
    """The chosen claims in the file's form."""
    import json

    typer.echo(json.dumps([one.model_dump(mode="json") for one in shown], indent=2, sort_keys=True, ensure_ascii=False))


def _print(shown: Sequence["ClaimResult"], scale: str, *, in_full: bool) -> None:
    from rich.markup import escape

    console = common.console()
    console.print(_table(shown, scale))
    for one in shown if in_full else ():
        console.print(f"[bold]{one.id}[/] [{COLOURS[one.verdict]}]{one.verdict}[/]: {escape(one.statement)}")
        for label, text in _in_full(one):
            console.print(f"  [dim]{label}:[/] {escape(text)}", highlight=False)
    counts = {name: sum(one.verdict == name for one in shown) for name in COLOURS}
    console.print(
        ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "no claim has this verdict"
    )
    if not in_full and shown:
        console.print(f"[dim]Why: raml claims {shown[0].id} --scale {escape(scale)}[/]", highlight=False)


def _table(shown: Sequence["ClaimResult"], scale: str) -> "Table":
    """A row a claim and a line an effect, readable at 80 columns."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"Claims at scale {scale}"), box=box.HORIZONTALS, show_lines=True, padding=(0, 1, 0, 0))
    table.add_column("claim", min_width=12, overflow="fold")
    table.add_column("verdict\nafter Holm", min_width=12, no_wrap=True)
    table.add_column(escape("effects [interval], threshold"), ratio=1)
    for one in shown:
        holm = one.verdict_holm or "not_run"
        verdicts = [f"[{COLOURS[one.verdict]}]{one.verdict}[/]"]
        verdicts += [f"[{COLOURS[holm]}]{holm}[/]"] if holm != one.verdict else []
        verdicts += ["[dim]built in[/]"] if one.by_construction else []
        effects = "\n".join(_effect(effect) for effect in one.effects) or one.reason
        table.add_row(escape(one.id), "\n".join(verdicts), escape(effects))
    return table


def _effect(one: "DecidingEffect") -> str:
    """`Pass@8: SFT long less SFT short 0.617 [0.347, 0.842], above -0.02`."""
    if one.estimate is None or one.interval is None:
        return f"{one.label}: {one.questions} questions"
    lower, upper = one.interval
    return f"{one.label} {one.estimate:.3g} [{lower:.3g}, {upper:.3g}], {one.side} {one.threshold:g}"


def _in_full(one: "ClaimResult") -> Iterator[tuple[str, str]]:
    """What the table has no room for, by its name."""
    yield "why", one.reason
    if one.limits:
        yield "limits", one.limits
    if one.p is not None and one.p_holm is not None:
        yield "p", f"{one.p:.2g}, after Holm {one.p_holm:.2g}"
    yield "in the paper", one.paper
    if one.reported is not None:
        yield "reported", _reported(one.reported)
    if one.n is not None:
        yield "n", ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in one.n.items())
    yield "needs", one.needs
    yield "can be decided at", ", ".join(one.decidable_at) or "no scale yet"
    for number in one.against_reported or []:
        beyond = "" if number["within"] else ", beyond it"
        yield (
            str(number["key"]),
            f"{number['measured']:.4g}, the paper {number['reported']:g} (tolerance {number['tolerance']:g}{beyond})",
        )
    yield "command", one.command


def _reported(node: Mapping[str, object]) -> str:
    """How many numbers the paper reports, and between what they lie."""
    values = list(_values(node))
    return f"{len(values)} numbers, {min(values):g} to {max(values):g}" if values else "a plot"


def _values(node: object) -> Iterator[float]:
    """Single numbers below `node`; none of a plot, which has only what it varies."""
    if isinstance(node, Mapping):
        if "values" not in node:
            for below in node.values():
                yield from _values(below)
    elif isinstance(node, int | float):
        yield float(node)
