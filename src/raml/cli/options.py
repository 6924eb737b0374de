"""Options that several commands share, each with its help and its checks."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from raml.errors import InputError


class TextFile(NamedTuple):
    """A text file that an option names: its name without the ending, and its text."""

    name: str
    text: str


class Assignment(NamedTuple):
    """`KEY=VALUE`; the value is YAML, the key may have several parts with dots between them."""

    key: str
    value: Any


def read_text_file(path: str) -> TextFile:
    """The file's text as UTF-8, line ends as line feeds, without the last one, which most editors add.

    Raises:
        BadParameter: the file is missing, unreadable, not UTF-8 text, empty, or holds control characters.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not text.strip():
        raise typer.BadParameter(f"{path} is empty")
    return TextFile(Path(path).stem, check_text(text))


def read_assignment(text: str) -> Assignment:
    """`a.b=1` as `a.b` and 1.

    Raises:
        BadParameter: it is not of that form.
        ConfigError: the value is not YAML.
    """
    from raml.config.reading import parse_yaml

    key, sign, value = text.partition("=")
    if not sign or not all(key.split(".")):
        raise typer.BadParameter(f"{text!r}: write KEY=VALUE")
    return Assignment(key, parse_yaml(value, text))


def check_text(value: Any) -> Any:
    """Callback: a text or texts, which may hold line ends and tabs but no other control characters."""
    for text in [value] if isinstance(value, str) else value or ():
        for place, character in enumerate(text, 1):
            if unicodedata.category(character) == "Cc" and character not in "\n\t":
                raise typer.BadParameter(
                    f"it holds the control character U+{ord(character):04X} at character {place}; remove it (printf "
                    "and $'...' make such characters of the backslashes in \\frac or \\theta, single quotes do not)"
                )
    return value


def check_output_folder(path: Path) -> Path:
    """Callback: a folder that can be written, before a long computation."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise typer.BadParameter(f"{existing} is a file; name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"{existing} cannot be written; name another folder")
    return path


def check_question(questions: Sequence[str], prompts: Sequence[TextFile], instruction: str | None) -> None:
    """Check what the model is to be given.

    Raises:
        InputError: there are questions and prompts, neither, a blank question, or an instruction after a prompt.
    """
    if bool(questions) == bool(prompts):
        raise InputError("give --question TEXT, or --prompt FILE with the exact prompt, and not both")
    if any(not question.strip() for question in questions):
        raise InputError("a --question is blank")
    if prompts and instruction is not None:
        raise InputError("--instruction is not used with --prompt FILE, which holds all of the prompt; leave it out")


Scale = Annotated[str, typer.Option(help="A file of config/scales/ and a folder of results/.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]

Model = Annotated[str, typer.Option(help="Folder of a Hugging Face causal language model, or its name on the Hub.")]
Out = Annotated[
    Path, typer.Option(callback=check_output_folder, help="Folder to write; other files in it are left alone.")
]
Instruction = Annotated[
    str | None, typer.Option(callback=check_text, help="Follows the question; by default asks for the answer's format.")
]
TokenBudget = Annotated[int | None, typer.Option(min=1, help="Tokens in one forward pass; bounds the memory.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16"], typer.Option(help="auto: float32 on the CPU, as saved on the GPU.")
]
QUESTION = typer.Option(callback=check_text, help="Asked through the model's chat template.")
PROMPT = typer.Option(parser=read_text_file, metavar="FILE", help="The exact prompt, instead of --question.")
TRAJECTORY = typer.Option(parser=read_text_file, metavar="FILE", help="What the model thought. May be repeated.")
ANSWER = typer.Option(callback=check_text, help="The gold answer, without braces around it.")
