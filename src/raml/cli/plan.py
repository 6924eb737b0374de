"""`raml plan`: what a scale will cost before anyone pays for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raml.errors import ConfigError, InputError

if TYPE_CHECKING:
    from rich.table import Table

    from raml.config import Scale
    from raml.training.plan import Plan, Planned

PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def plan(
    scale: Annotated[str, typer.Option("--scale", help="A file of config/scales/.")] = "micro",
    config: Annotated[
        list[str] | None,
        typer.Option("--config", help="KEY=VALUE laid over it, e.g. hardware.processes=64; may be repeated."),
    ] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option("--prompt-tokens", help="Mean length to expect; by default the longest allowed.")
    ] = None,
    completion_tokens: Annotated[
        int | None, typer.Option("--completion-tokens", help="Mean length to expect; by default the longest allowed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
) -> None:
    """Show what training and evaluating a scale will take: steps, tokens, memory, device-hours."""
    from raml.config import load_scale

    for option, value in (("--prompt-tokens", prompt_tokens), ("--completion-tokens", completion_tokens)):
        if value is not None and value < 1:
            raise InputError(f"{option} = {value}: must be at least 1")
    made = _plan(load_scale(scale, _overrides(config or [])), prompt_tokens, completion_tokens)
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
    else:
        _show(made)


def _plan(scale: "Scale", prompt_tokens: int | None = None, completion_tokens: int | None = None) -> "Plan":
    """What the scale takes.

    Raises:
        InputError: more than can be reckoned with.
    """
    from raml.training.plan import Lengths
    from raml.training.plan import plan as plan_of

    try:
        return plan_of(scale, Lengths(prompt_tokens, completion_tokens))
    except OverflowError:
        raise InputError(f"scale {scale.scale}: a number is too large to reckon with") from None


def _overrides(assignments: list[str]) -> dict[str, Any]:
    """`a.b=1` as `{"a": {"b": 1}}`; values are YAML.

    Raises:
        InputError: one is not of that form.
    """
    from raml.config import merge
    from raml.config.reading import parse_yaml

    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        try:
            nested: Any = parse_yaml(value, assignment)
        except ConfigError:
            sign = ""
        if not sign or not all(key.split(".")):
            raise InputError(f"--config {assignment!r}: write KEY=VALUE, e.g. hardware.processes=64")
        for part in reversed(key.split(".")):
            nested = {part: nested}
        overrides = merge(overrides, nested)
    return overrides


def _show(made: "Plan") -> None:
    from rich import print as rich_print
    from rich.markup import escape

    hardware, device = made.hardware, made.device
    rich_print(
        escape(
            f"Scale {made.scale}: a model of {_short(made.parameters)} parameters on {hardware.processes} x "
            f"{device.name}, {hardware.precision}, {device.utilisation:.0%} of {device.tflops:g} TFLOPS each"
        )
    )
    headings = ("steps", "batch", "rows x\npasses", "trained", "written", "FLOP", "GB a\ndevice", "device\ntime")
    training = _table("Training, one seed", "model", headings)
    for run in made.runs:
        training.add_row(escape(run.model), *_cells(run))
    rich_print(training)

    counted = ("models", "completions", "read", "written", "FLOP", "device\ntime")
    evaluation = _table("Evaluation, one seed", "samples", counted)
    for table in made.evaluation:
        evaluation.add_row(
            escape(table.table),
            f"{table.models:,}",
            f"{table.completions:,}",
            _short(table.read_tokens),
            _short(table.written_tokens),
            _short(table.reading_flops + table.writing_flops),
            _time(table.device_hours),
        )
    rich_print(evaluation)
    seeds = "1 seed" if made.seeds == 1 else f"{made.seeds} seeds"
    rich_print(
        f"Device time: training {_time(made.training_device_hours)} and evaluation "
        f"{_time(made.evaluation_device_hours)} a seed, {_time(made.total_device_hours)} for {seeds}; "
        f"{_time(made.total_hours)} by the clock with {_devices(hardware.processes)} at work."
    )
    rich_print(f"[dim]{escape(_assumptions(made))}[/]")


def _table(title: str, first: str, headings: Sequence[str]) -> "Table":
    """An empty table that fits 80 columns at any scale."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column(first, no_wrap=True, overflow="fold", vertical="bottom")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold", vertical="bottom")
    return table


def _cells(run: "Planned") -> list[str]:
    split = "" if run.rows_at_once is None else f"{run.rows_at_once} x {run.accumulation}"
    return [
        f"{run.steps:,}",
        "" if run.batch_size is None else f"{run.batch_size:,}",
        split,
        _short(run.trained_tokens),
        _short(run.written_tokens) if run.written_tokens else "",
        _short(run.training_flops + run.writing_flops),
        "" if run.memory_gb is None else f"{run.memory_gb:.1f}",
        _time(run.device_hours),
    ]


def _assumptions(made: "Plan") -> str:
    expected = {"prompts": made.prompt_tokens, "completions": made.completion_tokens}
    longest = " and ".join(what for what, tokens in expected.items() if tokens is None)
    means = [f"{what} of {tokens:,} tokens on average" for what, tokens in expected.items() if tokens is not None]
    lengths = " and ".join([*means, *([f"{longest} as long as allowed"] if longest else [])])
    return (
        f"Reckoned with {lengths}; tokens trained on include prompts. GRPO splits the rows that its gradient comes "
        "from; those without advantage, which cost nothing, are counted too. Not counted: writing and judging the "
        f"trajectories of SFT, probes, loading, saving.{_taken_for_granted(made)}"
    )


def _taken_for_granted(made: "Plan") -> str:
    """What a plan for large models takes for granted."""
    if made.hardware.rollouts != "vllm":
        return ""
    return (
        " Evaluation is priced as if vLLM wrote its samples, as it does GRPO's; with `engine.name: torch` it takes "
        "many times as long (docs/engines.md)."
    )


def _short(number: float) -> str:
    """Three digits and a prefix: `1.08 G`."""
    size = 0
    while number >= 999.5 and size < len(PREFIXES) - 1:
        number, size = number / 1000, size + 1
    digits = f"{number:.3g}"
    return f"{digits} {PREFIXES[size]}".rstrip()


def _time(hours: float) -> str:
    """Device-hours in the unit that suits them: `114 s`, `2.31 h`, `1,943 h`."""
    if hours >= 1:
        return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"
    return f"{60 * hours:.3g} min" if hours >= 1 / 60 else f"{3600 * hours:.3g} s"


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number:,} devices"
