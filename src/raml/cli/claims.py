"""`raml claims`: every claim of the paper with what was measured and the verdict."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from raml.cli.options import Assignment, Json, Scale, read_assignment
from raml.cli.output import COLOURS, coloured, print_json, print_line, print_table
from raml.errors import InputError

if TYPE_CHECKING:
    from rich.text import Text

    from raml.claims.result import ClaimResult, DecidingEffect


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(help="Claims (tab2-grpo) or exhibits (tab2) to show in full; else all.")
    ] = None,
    scale: Scale = "micro",
    verdict: Annotated[
        Literal["holds", "contradicted", "inconclusive", "not_run"] | None,
        typer.Option(help="Only claims with this verdict."),
    ] = None,
    changes: Annotated[
        list[Assignment] | None,
        typer.Option(
            "--set", parser=read_assignment, metavar="CLAIM.KEY=VALUE", help="Decide with another: fig3.threshold=-0.6."
        ),
    ] = None,
    confidence: Annotated[float | None, typer.Option(min=0.5, max=0.9999, help="Decide with another.")] = None,
    as_json: Json = False,
) -> None:
    """Show every claim of the paper with its effects and verdict; named ones with the reason too.

    With --set or --confidence the claims are decided again from the scale's quantities, and nothing is written.
    """
    from raml.claims.results import check_current, load_results, standing

    path, config = Path("results", scale, "claims.json"), Path("config")
    again = bool(changes) or confidence is not None
    results = _decide_again(scale, config, changes or (), confidence) if again else load_results(path, scale)
    chosen = [one for one in _named(results, names or [], path) if verdict is None or one.verdict == verdict]
    if as_json:
        print_json(chosen)
    else:
        _print(chosen, scale, in_full=bool(names))
        print_line(standing(results), wrap=True)
    if not again and (config / "claims.yaml").is_file() and (stale := check_current(results, config, path, scale)):
        typer.echo(f"warning: {stale}", err=True)


def _decide_again(
    scale: str, config: Path, changes: Iterable[Assignment], confidence: float | None
) -> list["ClaimResult"]:
    """All claims, decided from the quantities with other values; nothing is written."""
    from raml.claims.decide import decide, read_quantities
    from raml.claims.registry import load_registry
    from raml.config import load_scale

    settings = load_scale(scale)
    registry = load_registry(config / "claims.yaml", config / "reported.yaml", _changes(changes))
    quantities = read_quantities(Path("results", scale, "tables", "quantities.parquet"), settings, 0, confidence)
    return decide(registry, quantities, settings)


def _changes(assignments: Iterable[Assignment]) -> dict[str, dict[str, Any]]:
    """`fig3.threshold=-0.6` as `{"fig3": {"threshold": -0.6}}`; claims' ids may hold dots, keys none."""
    changes: dict[str, dict[str, Any]] = {}
    for name, value in assignments:
        claim, _, key = name.rpartition(".")
        if not claim:
            raise InputError(f"--set {name}: write CLAIM.KEY=VALUE, as in fig3.threshold=-0.6")
        changes.setdefault(claim, {})[key] = value
    return changes


def _named(results: Sequence["ClaimResult"], names: Sequence[str], path: Path) -> list["ClaimResult"]:
    """Those of `names`, which are ids or exhibits; all without any."""
    known = {name for one in results for name in (one.id, one.exhibit)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{path} has no claim {unknown[0]!r}; it has {', '.join(one.id for one in results)}")
    return [one for one in results if not names or one.id in names or one.exhibit in names]


def _print(chosen: Sequence["ClaimResult"], scale: str, *, in_full: bool) -> None:
    headings = ("claim", "verdict\nafter Holm", "effects [interval], threshold")
    rows = [(one.id, _verdicts(one), "\n".join(map(_effect, one.effects)) or one.reason) for one in chosen]
    print_table(f"Claims at scale {scale}", headings, rows, texts=3, wide=headings[-1], separate=True)
    for one in chosen if in_full else ():
        print_line(f"{one.id} ", coloured(one.verdict), f": {one.statement}", wrap=True)
        for label, text in _in_full(one):
            print_line(f"  {label}: {text}", wrap=True)
    counts = Counter[str](one.verdict for one in chosen)
    print_line(", ".join(f"{counts[name]} {name}" for name in COLOURS if name in counts) or "no claim has this verdict")
    if chosen and not in_full:
        print_line(f"Why: raml claims {chosen[0].id} --scale {scale}", style="dim")


def _verdicts(one: "ClaimResult") -> "Text":
    """The verdict, the one after Holm's correction if it is another, and whether it is built in."""
    from rich.text import Text

    words = [coloured(word) for word in dict.fromkeys((one.verdict, one.verdict_holm or "not_run"))]
    return Text("\n").join([*words, *([Text("built in", "dim")] if one.by_construction else [])])


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
        values = list(_values(one.reported))
        yield "reported", f"{len(values)} numbers, {min(values):g} to {max(values):g}" if values else "a plot"
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


def _values(node: object) -> Iterator[float]:
    """Single numbers below `node`; none of a plot, which has only what it varies."""
    if isinstance(node, Mapping):
        if "values" not in node:
            for below in node.values():
                yield from _values(below)
    elif isinstance(node, int | float):
        yield float(node)
