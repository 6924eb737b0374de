"""What the commands that work on the user's own model share: loading it, and writing a folder of results."""

import os
import tempfile
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raml.errors import InputError, RamlError

if TYPE_CHECKING:
    from rich.console import Console

    from raml.config import Section
    from raml.storage import Provenance
    from raml.trajectories.hub import Pretrained

DEVICES = ("auto", "cpu", "cuda")
PIPED_COLUMNS = 120
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
    warnings.filterwarnings("ignore", module="transformers|torch|huggingface_hub")
    from raml.trajectories.hub import load_named

    return load_named(model, device=device, dtype=dtype)


def console() -> "Console":
    """Where tables are printed: as wide as the terminal, and in a file or pipe as wide as they need to be read."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal or "COLUMNS" in os.environ else Console(width=PIPED_COLUMNS)


def remotes() -> dict[str, str]:
    """The urls of DVC's remotes by name, from its configuration in git and beside it.

    Raises:
        InputError: this is no DVC repository, or its configuration cannot be read.
    """
    from dvc.config import Config
    from dvc.repo import Repo

    with dvc_errors_named():
        Repo.find_dvc_dir()
        configured = Config.from_cwd()["remote"]
    return {name: remote["url"] for name, remote in configured.items()}


@contextmanager
def dvc_errors_named() -> Iterator[None]:
    """DVC's errors in the block become an `InputError` of one line."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise InputError(f"DVC: {' '.join(str(error).split())}") from None


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`, which `option` was given.

    Raises:
        InputError: it is not allowed.
    """
    if value not in allowed:
        raise InputError(f"{option} = {value!r}: allowed are {', '.join(allowed)}")
    return value


def plain(text: str, what: str, *, allowed: str = "") -> str:
    """`text`, in which nothing but what can be seen, blanks and the `allowed` control characters stand.

    Raises:
        InputError: it holds another control character, as where a shell's `printf` reads the `\\f` of `\\frac`.
    """
    for place, character in enumerate(text, 1):
        if unicodedata.category(character) == "Cc" and character not in allowed:
            raise InputError(
                f"{what} holds the control character U+{ord(character):04X} at character {place}; remove it (printf "
                "and $'...' make such characters of the backslashes in \\frac or \\theta, single quotes do not)"
            )
    return text


def read_text(path: Path, option: str) -> str:
    """The text of a file as UTF-8, line ends as line feeds, without the last one, which most editors add.

    Raises:
        InputError: the file is missing, unreadable, not UTF-8 text, empty, or holds control characters.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{option} {path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{option} {path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not text.strip():
        raise InputError(f"{option} {path} is empty")
    return plain(text, f"{option} {path}", allowed="\n\t")


def precision(pretrained: "Pretrained") -> str:
    """In what numbers and where the model runs: `float32 on cpu`."""
    model = pretrained.model
    return f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"


def origin(request: "Section", module: str, model: str, seed: int = 0) -> "Provenance":
    """The provenance of a command's table: its `request`, its `module` and, of a folder, the hash of the `model`."""
    from raml.provenance import provenance
    from raml.storage import model_hash

    weights = Path(model, "model.safetensors")
    return provenance(
        "cli", request, module, seed=seed, model_hash=model_hash(weights.parent) if weights.is_file() else None
    )


def check_output_folder(path: Path, names: Iterable[str] = ()) -> None:
    """Look before a long computation; `names` are the files to be written.

    Raises:
        InputError: `path` is a file, lies below one or cannot be written, or a folder has the name of a file.
    """
    existing = _existing(path)
    if not existing.is_dir():
        raise InputError(f"--out {path}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"--out {path}: {existing} cannot be written; name another folder")
    for name in names:
        if (path / name).is_dir():
            raise InputError(f"--out {path}: {path / name} is a folder, where a file is to be written; name another")


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files move to the folder `path` only if the block succeeds.

    A new `path` appears whole. In one that exists, files of the same name are replaced one by one and
    all others stay. Whatever happens, nothing else is left behind.

    Raises:
        InputError: `path` cannot be a folder.
        RamlError: it cannot be written.
    """
    check_output_folder(path)
    path = path.absolute()
    try:
        # On the file system of `path`, so that to rename is enough. What mkdtemp makes is closed to others.
        with tempfile.TemporaryDirectory(prefix=".raml-unfinished-", dir=_existing(path)) as temporary:
            staged = Path(temporary) / "out"
            staged.mkdir()
            yield staged
            if path.exists():
                check_output_folder(path, [file.name for file in staged.iterdir()])
                for file in staged.iterdir():
                    file.replace(path / file.name)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(path)
    except OSError as error:
        raise RamlError(f"cannot write {path}: {error.strerror or error}") from None


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists.

    Raises:
        InputError: the system knows no such path.
    """
    try:
        return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    except OSError as error:
        raise InputError(f"--out {path}: {(error.strerror or str(error)).lower()}; name another folder") from None
