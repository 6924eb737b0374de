"""What the commands that work on the user's own model share: loading it, and writing a folder of results."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raml.errors import InputError

if TYPE_CHECKING:
    from raml.trajectories.hub import Pretrained

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("auto", "float32", "bfloat16")

Model = Annotated[
    str, typer.Option("--model", help="Folder of a Hugging Face causal language model, or its name on the Hub.")
]
Device = Annotated[str, typer.Option("--device", help=f"{', '.join(DEVICES)}: the GPU if there is one.")]
Dtype = Annotated[str, typer.Option("--dtype", help=f"{', '.join(DTYPES)}: float32 on the CPU, as saved on the GPU.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; other files in it are left alone.")]


def load(model: str, device: str = "auto", dtype: str = "auto") -> "Pretrained":
    """Model, in eval mode on its device, and tokenizer; nothing but our own errors is printed.

    Raises:
        InputError: an unknown device or dtype, no such model, or a model that does not fit the memory.
    """
    one_of("--device", device, DEVICES)
    one_of("--dtype", dtype, DTYPES)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", module="transformers|torch|huggingface_hub")
    from raml.trajectories.hub import load_named

    return load_named(model, device=device, dtype=dtype)


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`, which `option` was given.

    Raises:
        InputError: it is not allowed.
    """
    if value not in allowed:
        raise InputError(f"{option} = {value!r}: allowed are {', '.join(allowed)}")
    return value


def check_output_folder(path: Path) -> None:
    """Look before a long computation.

    Raises:
        InputError: `path` is a file, or lies below one.
    """
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise InputError(f"--out {path}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK):
        raise InputError(f"--out {path}: {existing} cannot be written; name another folder")


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files move to the folder `path` only if the block succeeds.

    A new `path` appears whole. In one that exists, files of the same name are replaced one by one and
    all others stay.

    Raises:
        InputError: `path` cannot be a folder.
        RamlError: the disk is full; nothing is left behind.
    """
    from raml.storage import atomic_folder

    check_output_folder(path)
    path = path.absolute()
    if not path.exists():
        with atomic_folder(path) as folder:
            yield folder
        return
    staged = path / ".raml"
    with atomic_folder(staged) as folder:
        yield folder
    for file in staged.iterdir():
        file.replace(path / file.name)
    staged.rmdir()
