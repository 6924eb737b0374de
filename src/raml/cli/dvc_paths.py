"""DVC's remotes, and where DVC would write: nothing outside this checkout, whatever git or a remote says.

DVC itself follows a path with `..` in the list of a folder's files, which comes from the remote.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from raml.errors import DataError, InputError

if TYPE_CHECKING:
    from dvc.output import Output


def remotes() -> dict[str, str]:
    """The urls of DVC's remotes by name, from its configuration in git and beside it.

    Raises:
        InputError: this is no DVC repository, or its configuration cannot be read.
    """
    from dvc.config import Config
    from dvc.repo import Repo

    with _dvc_errors():
        Repo.find_dvc_dir()
        return {name: remote["url"] for name, remote in Config.from_cwd()["remote"].items()}


def check_outputs() -> None:
    """Refuse outputs of DVC's stages that lie outside this checkout, by their paths or by links on the way.

    Raises:
        DataError: one does, or git puts DVC's cache elsewhere, which only the user may; nothing has been written.
        InputError: this is no DVC repository, or its files cannot be read.
    """
    from dvc.config import Config

    with _dvc_errors():
        cache = Config.from_cwd().load_one("repo").get("cache", {}).get("dir")
    if cache is not None and not Path(cache).resolve().is_relative_to(Path.cwd().resolve()):
        raise DataError(
            f".dvc/config puts DVC's cache outside this checkout, at {cache}; nothing is restored: if you want it "
            "there, say so yourself with `dvc cache dir --local`"
        )
    for output in _outputs():
        _check(Path(output.fs_path), str(output))


def check_manifests() -> None:
    """The same of every file that the fetched lists of folders' files name.

    Raises:
        DataError: one lies outside its folder, or a list is damaged.
        InputError: as `check_outputs`.
    """
    for output in _outputs():
        if not (output.hash_info and output.hash_info.isdir):
            continue
        manifest = Path(output.cache.oid_to_path(output.hash_info.value))
        if not manifest.is_file():
            continue
        try:
            entries = json.loads(manifest.read_text(encoding="utf-8"))
            paths = [PurePosixPath(entry["relpath"]) for entry in entries]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"the list of files of {output} is damaged; delete {manifest} and restore again") from None
        for path in paths:
            inside = path.parts and not path.is_absolute() and ".." not in path.parts
            _check(Path(output.fs_path, path) if inside else Path(), f"{output}/{path}")


def _outputs() -> "Iterator[Output]":
    from dvc.repo import Repo

    with _dvc_errors(), Repo() as repo:
        yield from repo.index.outs


def _check(path: Path, name: str) -> None:
    root = Path.cwd().resolve()
    # A link in the place of the output itself is replaced, one on the way would be followed.
    if path.resolve() == root or not (path.parent.resolve() / path.name).is_relative_to(root):
        raise DataError(
            f"{name} lies outside this checkout; nothing is restored: do not trust this repository or remote"
        )


@contextmanager
def _dvc_errors() -> Iterator[None]:
    """DVC's errors in the block become an `InputError` of one line."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise InputError(f"DVC: {' '.join(str(error).split())}") from None
