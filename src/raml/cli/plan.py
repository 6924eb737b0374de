"""`raml plan`: what a scale will cost before anyone pays for it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raml.cli.options import Assignment, Json, Scale, read_assignment
from raml.cli.output import print_json, print_line, print_table
from raml.errors import InputError
from raml.report.numbers import count

if TYPE_CHECKING:
    from raml.config import Scale as ScaleConfig
    from raml.training.plan import Plan, Planned

Tokens = Annotated[int | None, typer.Option(min=1, help="Mean length to expect; by default the longest allowed.")]
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def plan(
    scale: Scale = "micro",
    config: Annotated[
        list[Assignment] | None,
        typer.Option(parser=read_assignment, metavar="KEY=VALUE", help="Laid over it: hardware.processes=64."),
    ] = None,
    prompt_tokens: Tokens = None,
    completion_tokens: Tokens = None,
    as_json: Json = False,
) -> None:
    """Show what training and evaluating a scale will take: steps, tokens, memory, device-hours."""
    from raml.config import load_scale

    costs = plan_costs(load_scale(scale, overrides(config or ())), prompt_tokens, completion_tokens)
    if as_json:
        print_json(costs)
    else:
        _print(costs)


def plan_costs(scale: "ScaleConfig", prompt_tokens: int | None = None, completion_tokens: int | None = None) -> "Plan":
    """What the scale takes.

    Raises:
        InputError: a number is too large to compute with.
    """
    from raml.training.plan import Lengths
    from raml.training.plan import plan as plan_of

    try:
        return plan_of(scale, Lengths(prompt_tokens, completion_tokens))
    except OverflowError:
        raise InputError(f"scale {scale.scale}: a number is too large to compute with") from None


def overrides(assignments: Iterable[Assignment]) -> dict[str, Any]:
    """`a.b=1` as `{"a": {"b": 1}}`."""
    from raml.config import merge

    merged: dict[str, Any] = {}
    for key, value in assignments:
        for part in reversed(key.split(".")):
            value = {part: value}
        merged = merge(merged, value)
    return merged


def _print(costs: "Plan") -> None:
    hardware, device = costs.hardware, costs.device
    print_line(
        f"Scale {costs.scale}: a model of {_short(costs.parameters)} parameters on {hardware.processes} x "
        f"{device.name}, {hardware.precision}, {device.utilisation:.0%} of {device.tflops:g} TFLOPS each",
        wrap=True,
    )
    print_table(
        "Training, one seed",
        ("model", "steps", "batch", "rows x\npasses", "trained", "written", "FLOP", "GB a\ndevice", "device\ntime"),
        map(_training_row, costs.runs),
    )
    print_table(
        "Evaluation, one seed",
        ("samples", "models", "completions", "read", "written", "FLOP", "device\ntime"),
        [
            (
                table.table,
                f"{table.models:,}",
                f"{table.completions:,}",
                _short(table.read_tokens),
                _short(table.written_tokens),
                _short(table.reading_flops + table.writing_flops),
                _time(table.device_hours),
            )
            for table in costs.evaluation
        ],
    )
    print_line(
        f"Device time: training {_time(costs.training_device_hours)} and evaluation "
        f"{_time(costs.evaluation_device_hours)} a seed, {_time(costs.total_device_hours)} for "
        f"{count(costs.seeds, 'seed')}; {_time(costs.total_hours)} by the clock with "
        f"{count(hardware.processes, 'device')} at work.",
        wrap=True,
    )
    print_line(_assumptions(costs), style="dim", wrap=True)


def _training_row(run: "Planned") -> list[str]:
    return [
        run.model,
        f"{run.steps:,}",
        "" if run.batch_size is None else f"{run.batch_size:,}",
        "" if run.rows_at_once is None else f"{run.rows_at_once} x {run.accumulation}",
        _short(run.trained_tokens),
        _short(run.written_tokens) if run.written_tokens else "",
        _short(run.training_flops + run.writing_flops),
        "" if run.memory_gb is None else f"{run.memory_gb:.1f}",
        _time(run.device_hours),
    ]


def _assumptions(costs: "Plan") -> str:
    lengths = ", ".join(
        f"{what} {'as long as allowed' if tokens is None else f'of {tokens:,} tokens on average'}"
        for what, tokens in (("prompts", costs.prompt_tokens), ("completions", costs.completion_tokens))
    )
    vllm = (
        " Evaluation is priced as if vLLM wrote its samples, as it does GRPO's; with `engine.name: torch` it takes "
        "many times as long (docs/engines.md)."
    )
    return (
        f"Computed with {lengths}; tokens trained on include prompts. GRPO splits the rows that its gradient comes "
        "from; those without advantage, which cost nothing, are counted too. Not counted: writing and judging the "
        f"trajectories of SFT, probes, loading, saving.{vllm if costs.hardware.rollouts == 'vllm' else ''}"
    )


def _short(number: float) -> str:
    """Three digits and a prefix: `1.08 G`."""
    size = 0
    while number >= 999.5 and size < len(PREFIXES) - 1:
        number, size = number / 1000, size + 1
    return f"{number:.3g} {PREFIXES[size]}".rstrip()


def _time(hours: float) -> str:
    """Device-hours in the unit that suits them: `114 s`, `2.31 h`, `1,943 h`."""
    if hours >= 1:
        return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"
    return f"{60 * hours:.3g} min" if hours >= 1 / 60 else f"{3600 * hours:.3g} s"
