"""`raml probe`: what each token of a trajectory does to the NLL of an answer, for any causal language model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raml.cli.common import Device, Dtype, Model, Out, check_output_folder, load, one_of
from raml.errors import InputError

if TYPE_CHECKING:
    from raml.report.viewer import Mode

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
    stride: Annotated[int, typer.Option("--stride", help="Probe every so many tokens.")] = 1,
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
    if not question.strip() and prompt is None:
        raise InputError("give --question TEXT, or --prompt FILE with the exact prompt")
    check_output_folder(out)
    trajectories = {path.stem: read_text(path, "--trajectory") for path in trajectory}
    if len(trajectories) < len(trajectory):
        raise InputError("two --trajectory files have the same name; rename one")
    prompt_text = read_text(prompt, "--prompt") if prompt else None

    from raml.cli.follow import Request, follow, write

    request = Request(
        model=model,
        question=question.strip(),
        prompt=prompt_text,
        instruction=instruction,
        answers=(answer.strip(), *(wrong.strip() for wrong in distractor or ())),
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


def read_text(path: Path, option: str) -> str:
    """The text of a file as UTF-8, line ends as line feeds, without the last one, which most editors add.

    Raises:
        InputError: the file is missing, unreadable, not UTF-8 text, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{option} {path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{option} {path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not text.strip():
        raise InputError(f"{option} {path} is empty")
    return text
