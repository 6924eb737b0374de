"""Where DVC would write: nothing outside this checkout, whatever `dvc.lock`, a `.dvc` file or a remote says.

DVC itself follows a path with `..` in the list of a folder's files, which comes from the remote.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from raml.cli.common import dvc_errors_named
from raml.errors import DataError

if TYPE_CHECKING:
    from dvc.output import Output


def check_outputs() -> None:
    """Refuse outputs of DVC's stages that lie outside this checkout, by their paths or by links on the way.

    Raises:
        DataError: one does; nothing has been written.
        InputError: this is no DVC repository, or its files cannot be read.
    """
    _check_cache()
    for output in _outputs():
        _check(Path(output.fs_path), output)


def _check_cache() -> None:
    """Of a cache elsewhere only the user's own configuration may speak, not what git brought."""
    from dvc.config import Config

    with dvc_errors_named():
        named = Config.from_cwd().load_one("repo").get("cache", {}).get("dir")
    if named is not None and not Path(named).resolve().is_relative_to(Path.cwd().resolve()):
        raise DataError(
            f".dvc/config puts DVC's cache outside this checkout, at {named}; nothing is restored: if you want it "
            "there, say so yourself with `dvc cache dir --local`"
        )


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
            names = [entry["relpath"] for entry in json.loads(manifest.read_text(encoding="utf-8"))]
            paths = [PurePosixPath(name) for name in names]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"the list of files of {output} is damaged; delete {manifest} and restore again") from None
        for path in paths:
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise _outside(f"{output}/{path}")
            _check(Path(output.fs_path, path), f"{output}/{path}")


def _outputs() -> "Iterator[Output]":
    from dvc.repo import Repo

    with dvc_errors_named(), Repo() as repo:
        yield from repo.index.outs


def _check(path: Path, name: object) -> None:
    root = Path.cwd().resolve()
    # A link in the place of the output itself is replaced, one on the way would be followed.
    if not (path.parent.resolve() / path.name).is_relative_to(root) or path.resolve() == root:
        raise _outside(name)


def _outside(name: object) -> DataError:
    return DataError(f"{name} lies outside this checkout; nothing is restored: do not trust this repository or remote")
