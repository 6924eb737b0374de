"""`raml landscape`: an answer's NLL over two random directions in weight space, for any causal language model."""

from typing import Annotated, Literal

import typer

from raml.cli import options
from raml.errors import InputError

LARGEST_SEED = 2**63 - 1  # that the table holds


def landscape(
    model: options.Model,
    answer: Annotated[list[str], options.ANSWER],
    out: options.Out,
    question: Annotated[list[str] | None, options.QUESTION] = None,
    prompt: Annotated[list[options.TextFile] | None, options.PROMPT] = None,
    trajectory: Annotated[list[options.TextFile] | None, options.TRAJECTORY] = None,
    instruction: options.Instruction = None,
    size: Annotated[int, typer.Option(min=3, max=1001, help="Grid points along each direction; odd.")] = 21,
    radius: Annotated[
        float, typer.Option(min=0, max=1000, help="Of the grid; at 1 a direction is as long as the weights.")
    ] = 1.0,
    normalisation: Annotated[
        Literal["filter", "tensor"], typer.Option(help="As in Li et al. (2018), or as in the paper's released code.")
    ] = "filter",
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the two directions.")] = 0,
    token_budget: options.TokenBudget = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Measure an answer's NLL around the model's weights and write a page, a figure and a table of it.

    For several questions repeat --question or --prompt, --answer and --trajectory.
    """
    questions, prompts, trajectories = question or [], prompt or [], trajectory or []
    options.check_question(questions, prompts, instruction)
    number = len(questions or prompts)
    if len(answer) != number:
        raise InputError(f"{number} questions but {len(answer)} answers: give one --answer for each")
    if len(trajectories) not in (0, number):
        raise InputError(f"{number} questions but {len(trajectories)} trajectories: give one for each, or none")

    from raml.cli.landscape_text import Request, run

    request = Request(
        model=model,
        questions=tuple(text.strip() for text in questions),
        prompts=tuple(file.text for file in prompts),
        instruction=instruction,
        answers=tuple(text.strip() for text in answer),
        trajectories=tuple(file.text for file in trajectories),
        size=size,
        radius=radius,
        normalisation=normalisation,
        seed=seed,
        token_budget=token_budget,
    )
    run(request, device, dtype, out)
