"""`raml probe`: what each token of a trajectory does to the NLL of an answer, for any causal language model."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raml.cli import options
from raml.errors import InputError

if TYPE_CHECKING:
    from raml.report.viewer import Mode

MODES: dict[str, tuple["Mode", ...]] = {
    "thinking": ("thinking",),
    "no-thinking": ("no_thinking",),
    "both": ("thinking", "no_thinking"),
}


def probe(
    model: options.Model,
    answer: Annotated[str, options.ANSWER],
    trajectory: Annotated[list[options.TextFile], options.TRAJECTORY],
    out: options.Out,
    question: Annotated[str, options.QUESTION] = "",
    prompt: Annotated[options.TextFile | None, options.PROMPT] = None,
    instruction: options.Instruction = None,
    distractor: Annotated[
        list[str] | None,
        typer.Option(callback=options.check_text, help="A wrong answer to follow as well. May be repeated."),
    ] = None,
    mode: Annotated[
        Literal["thinking", "no-thinking", "both"],
        typer.Option(help="With the thinking left open, closed first, or each."),
    ] = "thinking",
    end_of_thinking: Annotated[
        str | None,
        typer.Option(
            callback=options.check_text,
            help="Closes the thinking in no-thinking mode; by default </think> or a sentence.",
        ),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Probe every so many tokens, and after the last.")] = 1,
    token_budget: options.TokenBudget = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Follow an answer's NLL along a trajectory and write a page, a figure and a table of it."""
    options.check_question([question] if question.strip() else [], [prompt] if prompt else [], instruction)
    if end_of_thinking is not None and mode == "thinking":
        raise InputError("--end-of-thinking is only forced with --mode no-thinking or --mode both")
    if end_of_thinking is not None and not end_of_thinking.strip():
        raise InputError("--end-of-thinking is blank: it would force nothing, as --mode thinking does; leave it out")
    trajectories = dict(trajectory)
    if len(trajectories) < len(trajectory):
        raise InputError("two --trajectory files have the same name; rename one")

    from raml.cli.probe_text import Request, run

    request = Request(
        model=model,
        question=question.strip(),
        prompt=prompt.text if prompt else None,
        instruction=instruction,
        answers=tuple(text.strip() for text in (answer, *(distractor or ()))),
        trajectories=trajectories,
        modes=MODES[mode],
        end_of_thinking=end_of_thinking,
        stride=stride,
        token_budget=token_budget,
    )
    run(request, device, dtype, out)
