"""A state of the results, as a folder holds it or as a git revision does: what `raml compare` reads.

Only what git keeps is looked at: `claims.json` and small tables. Files of older revisions lack what was added since.
"""

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from raml.errors import DataError, InputError
from raml.storage import read_parquet, read_provenance

CLAIMS: Final = "claims.json"
TABLES: Final = ("questions/*.parquet", "evaluations/evaluations.parquet", "tables/*.parquet", "tables/*.csv")


class Decided(BaseModel):
    """What a `claims.json` of any age says of a claim; of a `raml.claims.result.ClaimResult` what can be compared."""

    model_config = ConfigDict(extra="ignore")

    id: str
    verdict: str
    exhibit: str = ""
    statement: str = ""
    measured: float | None = None
    unit: str | None = None
    interval: tuple[float, float] | None = None
    n: dict[str, int] | None = None
    line: float | None = None
    claimed: str | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict_holm: str | None = None
    against_reported: list[dict[str, object]] | None = None
    reason: str = ""
    details: dict[str, object] = {}


DECIDED: Final = TypeAdapter(list[Decided])


@dataclass(frozen=True)
class Results:
    """The versioned files of one scale; `files` holds what reads each, by its path below `results/<scale>/`."""

    where: str
    files: dict[str, Callable[[], bytes]]

    def claims(self) -> list[Decided]:
        """The decided claims in the file's order.

        Raises:
            DataError: the file is no list of claims, or two of them have the same id.
        """
        try:
            found = DECIDED.validate_json(self.files[CLAIMS]())
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(part) for part in problem["loc"]) or "(top level)"
            raise DataError(f"{self.where}/{CLAIMS} is no list of claims: {place}: {problem['msg']}") from None
        ids = [claim.id for claim in found]
        if repeated := sorted({name for name in ids if ids.count(name) > 1}):
            raise DataError(f"{self.where}/{CLAIMS} has the claim {repeated[0]!r} twice")
        return found

    def tables(self) -> list[str]:
        """Paths of the tables that git keeps."""
        return sorted(path for path in self.files if any(fnmatch(path, pattern) for pattern in TABLES))

    def table(self, path: str) -> pl.DataFrame:
        """The table at `path`.

        Raises:
            DataError: it is truncated or of another format.
        """
        content = BytesIO(self.files[path]())
        if path.endswith(".parquet"):
            return read_parquet(content, f"{self.where}/{path}")
        try:
            return pl.read_csv(content)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.where}/{path} cannot be read: {reason}") from None


@dataclass(frozen=True)
class Version:
    """A state of the results: what it was called and its scales by name."""

    name: str
    scales: dict[str, Results]


def open_version(name: str | None) -> Version:
    """What `name` stands for: a folder if there is one of that name, else a git revision; None is the working tree.

    A folder may be that of one scale (it holds `claims.json`), hold such folders, or hold `results/` with them.

    Raises:
        InputError: it is neither a folder nor a revision, or git is not there.
        DataError: it has no results.
    """
    if name is None:
        return _of_folder(Path("results"), "the working tree")
    path = Path(name)
    if path.is_dir():
        return _of_folder(path, name)
    if path.exists():
        raise InputError(f"{name} is a file; name a folder with {CLAIMS} or a git revision")
    return _of_revision(name)


def _of_folder(folder: Path, name: str) -> Version:
    for candidates in ([folder], _below(folder), _below(folder / "results")):
        scales = [path for path in candidates if (path / CLAIMS).is_file()]
        if scales:
            return Version(name, _by_scale(scales, name))
    raise DataError(
        f"{name} has no results: neither {folder}/{CLAIMS} nor one in a folder of {folder} or of its results/"
    )


def _by_scale(folders: Sequence[Path], name: str) -> dict[str, Results]:
    """Results by scale; of a scale's folder and copies of it beside it the one that has the scale's name."""
    found: dict[str, Path] = {}
    for folder in folders:
        scale = _scale(folder)
        if scale in found and folder.name != scale and found[scale].name != scale:
            raise InputError(
                f"{name} holds two results of scale {scale}: {found[scale]} and {folder}; name one of them"
            )
        if scale not in found or folder.name == scale:
            found[scale] = folder
    return {scale: Results(str(folder), _files(folder)) for scale, folder in found.items()}


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _files(folder: Path) -> dict[str, Callable[[], bytes]]:
    below = ("", "questions", "evaluations", "tables", "tables/training")
    files = [path for part in below for path in (folder / part).glob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in files}


def _scale(folder: Path) -> str:
    """The scale that the results of `folder` are of: a copy may have any name, but its tables say it."""
    for path in (folder / "tables/metrics.parquet", folder / "evaluations/evaluations.parquet"):
        try:
            return read_provenance(path).scale
        except DataError:
            continue
    return folder.resolve().name


def _of_revision(name: str) -> Version:
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    if not commit:
        raise InputError(f"{name!r} is neither a folder nor a revision that git knows here; `git log` lists revisions")
    listed = _git("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit.decode(), "results/")
    paths = [PurePosixPath(path) for path in listed.decode(errors="replace").split("\0") if path]
    scales = [path.parts[1] for path in paths if path.parts[2:] == (CLAIMS,)]
    if not scales:
        raise DataError(f"revision {name} has no results: no results/<scale>/{CLAIMS} was in git then")
    return Version(name, {scale: _in_commit(name, commit.decode(), scale, paths) for scale in scales})


def _in_commit(name: str, commit: str, scale: str, paths: Iterable[PurePosixPath]) -> Results:
    folder = PurePosixPath("results", scale)
    files: dict[str, Callable[[], bytes]] = {
        path.relative_to(folder).as_posix(): partial(_git, "cat-file", "blob", f"{commit}:{path}")
        for path in paths
        if path.is_relative_to(folder)
    }
    return Results(f"{name}:{folder}", files)


def _git(*arguments: str) -> bytes:
    """What git prints; nothing where it does not know what is asked for."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True).stdout
    except OSError as error:
        raise InputError(f"git cannot be started ({error.strerror}); compare two folders instead") from None
