"""`raml probe`: what each token of a trajectory does to the NLL of an answer, for any causal language model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raml.cli.common import Device, Dtype, Model, Out, check_output_folder, load, one_of, plain, read_text
from raml.errors import InputError

if TYPE_CHECKING:
    from raml.report.viewer import Mode

FILES = ("curves.parquet", "curves.svg", "index.html")
MODES: dict[str, tuple["Mode", ...]] = {
    "thinking": ("thinking",),
    "no-thinking": ("no_thinking",),
    "both": ("thinking", "no_thinking"),
}


def probe(
    model: Model,
    answer: Annotated[str, typer.Option("--answer", help="The gold answer, without braces around it.")],
    trajectory: Annotated[
        list[Path], typer.Option("--trajectory", help="Text file with what the model thought. May be repeated.")
    ],
    out: Out,
    question: Annotated[str, typer.Option("--question", help="Asked through the model's chat template.")] = "",
    prompt: Annotated[
        Path | None, typer.Option("--prompt", help="Text file with the exact prompt, instead of the chat template.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option("--instruction", help="Follows the question; by default asks for the answer's format.")
    ] = None,
    distractor: Annotated[
        list[str] | None, typer.Option("--distractor", help="A wrong answer to follow as well. May be repeated.")
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help=f"{', '.join(MODES)}: with the thinking left open, closed first, or each.")
    ] = "thinking",
    end_of_thinking: Annotated[
        str | None,
        typer.Option(
            "--end-of-thinking", help="Closes the thinking in no-thinking mode; by default </think> or a sentence."
        ),
    ] = None,
    stride: Annotated[int, typer.Option("--stride", help="Probe every so many tokens, and after the last.")] = 1,
    token_budget: Annotated[
        int | None, typer.Option("--token-budget", help="Probe tokens in one forward pass; bounds the memory.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Follow an answer's NLL along a trajectory and write a page, a figure and a table of it."""
    one_of("--mode", mode, tuple(MODES))
    if stride < 1:
        raise InputError(f"--stride {stride}: must be at least 1")
    if token_budget is not None and token_budget < 1:
        raise InputError(f"--token-budget {token_budget}: must be at least 1")
    if end_of_thinking is not None and mode == "thinking":
        raise InputError("--end-of-thinking is only forced with --mode no-thinking or --mode both")
    if end_of_thinking is not None and not end_of_thinking.strip():
        raise InputError("--end-of-thinking is blank: it would force nothing, as --mode thinking does; leave it out")
    if bool(question.strip()) == bool(prompt):
        raise InputError("give --question TEXT, or --prompt FILE with the exact prompt, and not both")
    if prompt and instruction is not None:
        raise InputError("--instruction is not used with --prompt FILE, which holds all of the prompt; leave it out")
    answers = [plain(answer, "--answer"), *(plain(wrong, "--distractor") for wrong in distractor or ())]
    plain(question, "--question", allowed="\n\t")
    plain(instruction or "", "--instruction", allowed="\n\t")
    plain(end_of_thinking or "", "--end-of-thinking", allowed="\n\t")
    check_output_folder(out, FILES)
    trajectories = {path.stem: read_text(path, "--trajectory") for path in trajectory}
    if len(trajectories) < len(trajectory):
        raise InputError("two --trajectory files have the same name; rename one")
    prompt_text = read_text(prompt, "--prompt") if prompt else None

    from raml.cli.follow import Request, follow, write
    from raml.report.viewer import MOST_ANSWERS

    if len(answers) > MOST_ANSWERS:
        raise InputError(
            f"{len(answers) - 1} distractors: {MOST_ANSWERS - 1} can be told apart from each other in a figure; follow "
            "the others in a run of their own"
        )
    request = Request(
        model=model,
        question=question.strip(),
        prompt=prompt_text,
        instruction=instruction,
        answers=tuple(text.strip() for text in answers),
        trajectories=trajectories,
        modes=MODES[mode],
        end_of_thinking=end_of_thinking,
        stride=stride,
        token_budget=token_budget,
    )
    result = follow(request, load(model, device, dtype))
    write(request, result, out)
    for line in result.summary():
        typer.echo(line)
    typer.echo(f"page: {out / 'index.html'}\nfigure: {out / 'curves.svg'}\ntable: {out / 'curves.parquet'}")
