"""`raml landscape`: an answer's NLL over two random directions in weight space, for any causal language model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from raml.cli.common import Device, Dtype, Model, Out, check_output_folder, load, one_of, plain, read_text
from raml.errors import InputError

if TYPE_CHECKING:
    from raml.config import Normalisation

FILES = ("landscape.parquet", "landscape.svg", "index.html")
LARGEST_SEED = 2**63 - 1  # that the table holds
LARGEST_RADIUS = 1000  # at which a thousandth of the weights is left; far beyond, they overflow
LARGEST_SIZE = 1001
NORMALISATIONS = ("filter", "tensor")


def landscape(
    model: Model,
    answer: Annotated[
        list[str], typer.Option("--answer", help="The gold answer, without braces; repeat it for each question.")
    ],
    out: Out,
    question: Annotated[
        list[str] | None, typer.Option("--question", help="Asked through the model's chat template. May be repeated.")
    ] = None,
    prompt: Annotated[
        list[Path] | None,
        typer.Option("--prompt", help="Text file with an exact prompt, instead of --question. May be repeated."),
    ] = None,
    trajectory: Annotated[
        list[Path] | None,
        typer.Option("--trajectory", help="Text file with what the model thought, one for each question or none."),
    ] = None,
    instruction: Annotated[
        str | None, typer.Option("--instruction", help="Follows the question; by default asks for the answer's format.")
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Grid points along each direction; odd.")] = 21,
    radius: Annotated[
        float, typer.Option("--radius", help="Of the grid; at 1 the weights change by as much as they are long.")
    ] = 1.0,
    normalisation: Annotated[
        str, typer.Option("--normalisation", help="filter (Li et al. 2018) or tensor (the paper's released code).")
    ] = "filter",
    seed: Annotated[int, typer.Option("--seed", help="Of the two directions.")] = 0,
    token_budget: Annotated[
        int | None, typer.Option("--token-budget", help="Tokens in one forward pass; bounds the memory.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Measure an answer's NLL around the model's weights and write a page, a figure and a table of it."""
    one_of("--normalisation", normalisation, NORMALISATIONS)
    questions, prompts, trajectories = question or [], prompt or [], trajectory or []
    if bool(questions) == bool(prompts):
        raise InputError("give --question TEXT, or --prompt FILE with the exact prompt, and not both")
    if prompts and instruction is not None:
        raise InputError("--instruction is not used with --prompt FILE, which holds all of the prompt; leave it out")
    if len(answer) != len(questions or prompts):
        raise InputError(f"{len(questions or prompts)} questions but {len(answer)} answers: give one --answer for each")
    if trajectories and len(trajectories) != len(answer):
        raise InputError(f"{len(answer)} questions but {len(trajectories)} trajectories: give one for each, or none")
    if any(not text.strip() for text in questions):
        raise InputError("a --question is empty")
    for text in answer:
        plain(text, "--answer")
    for text in questions:
        plain(text, "--question", allowed="\n\t")
    plain(instruction or "", "--instruction", allowed="\n\t")
    _check_numbers(size, radius, seed)
    check_output_folder(out, FILES)
    prompt_texts = tuple(read_text(path, "--prompt") for path in prompts)
    trajectory_texts = tuple(read_text(path, "--trajectory") for path in trajectories)

    from raml.cli.survey import Request, survey, write
    from raml.probing.landscape import TOKEN_BUDGET, check_grid

    check_grid(size, radius, TOKEN_BUDGET if token_budget is None else token_budget)
    request = Request(
        model=model,
        questions=tuple(text.strip() for text in questions),
        prompts=prompt_texts,
        instruction=instruction,
        answers=tuple(text.strip() for text in answer),
        trajectories=trajectory_texts,
        size=size,
        radius=radius,
        normalisation=cast("Normalisation", normalisation),
        seed=seed,
        token_budget=token_budget,
    )
    result = survey(request, load(model, device, dtype))
    write(request, result, out)
    for line in result.summary():
        typer.echo(line)
    typer.echo(f"page: {out / 'index.html'}\nfigure: {out / 'landscape.svg'}\ntable: {out / 'landscape.parquet'}")


def _check_numbers(size: int, radius: float, seed: int) -> None:
    if size > LARGEST_SIZE:
        raise InputError(f"--size {size}: must be at most {LARGEST_SIZE}")
    if radius > LARGEST_RADIUS:
        raise InputError(f"--radius {radius:g}: must be at most {LARGEST_RADIUS}; beyond 1 little of the model is left")
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"--seed {seed}: must be from 0 to 2^63 - 1")
