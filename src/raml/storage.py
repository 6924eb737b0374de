"""Files between steps: written whole or not at all, read only if they match their schema.

Every output is written under a temporary name in its own folder, flushed to disk and renamed, so
that a killed job or a full disk never leaves a file that looks done.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import dataframely as dy
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from raml.errors import DataError, RamlError

S = TypeVar("S", bound=dy.Schema)

METADATA_KEY = "raml"


class Provenance(BaseModel):
    """Where a file comes from; stored in its metadata."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    scale: str
    config_hash: str
    code_version: str
    seed: int | None = None
    model_hash: str | None = None


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` only if the block succeeds.

    The temporary name is fixed, so that what a killed job left is overwritten by the next.

    Raises:
        RamlError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = _temporary(path)
    with _write_errors_named(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces `path` only if the block succeeds.

    What was there before is moved aside first: a kill leaves the whole old folder, none or the whole new one.

    Raises:
        RamlError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary, replaced = _temporary(path), path.with_name(f".{path.name}.old")
    with _write_errors_named(path):
        try:
            shutil.rmtree(replaced, ignore_errors=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            for file in filter(Path.is_file, temporary.rglob("*")):
                file.chmod(0o644)  # safetensors writes 0600
                with file.open("rb+") as handle:
                    os.fsync(handle.fileno())
            if path.exists():
                path.replace(replaced)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)


def link_folder(source: Path, target: Path) -> None:
    """Fill the folder `target` with second names for the files of `source`, which may be of many gigabytes.

    Copies where the file system has no such thing.
    """
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def _write_errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = _system_error(error)
        if reason is None:
            raise
        raise RamlError(
            f"cannot write {path}: {reason}; nothing was left behind, rerun once it can be written"
        ) from None


def _system_error(error: Exception) -> str | None:
    """Why the system refused a write, or None if `error` has another cause.

    polars and safetensors raise errors of their own, which end in `(os error NUMBER)`.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    number = re.search(r"\(os error (\d+)\)", str(error))
    return os.strerror(int(number[1])) if number else None


def write_table(table: pl.DataFrame, schema: type[dy.Schema], path: Path, provenance: Provenance) -> None:
    """Validate `table` against `schema` and write it as Parquet with its provenance.

    Raises:
        DataError: the table breaks its schema.
        RamlError: the file cannot be written.
    """
    valid = _validate(table, schema, f"table for {path}")

    def write(target: Path) -> None:
        valid.write_parquet(target, compression="zstd", metadata={METADATA_KEY: provenance.model_dump_json()})

    _write(path, write)


def read_table(path: Path, schema: type[S]) -> "dy.DataFrame[S]":
    """Read a Parquet table and validate it against `schema`.

    Raises:
        DataError: the file is missing, truncated, not Parquet, or of another schema.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; the workflow makes it (`snakemake --cores 2`, or `make reproduce`)")
    return _validate(read_parquet(path, str(path)), schema, str(path))


def read_parquet(source: Path | BinaryIO, where: str) -> pl.DataFrame:
    """Read any Parquet table; `where` is what a message calls it.

    By pyarrow, which looks at the lengths that a file speaks of: where they are wrong, polars ends the process.

    Raises:
        DataError: it is truncated, damaged or not Parquet.
    """
    try:
        table = pq.ParquetFile(source).read()
        table.validate(full=True)
        return pl.DataFrame(table.replace_schema_metadata())  # polars panics at metadata that is not UTF-8
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(f"{where} is truncated or not Parquet ({_first_line(error)}); delete it and rerun") from None


def read_provenance(path: Path) -> Provenance:
    """The provenance that `write_table` stored in `path`.

    Raises:
        DataError: the file is unreadable or was not written by this package.
    """
    try:
        return Provenance.model_validate_json((pq.read_metadata(path).metadata or {})[METADATA_KEY.encode()])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} carries no provenance of this package ({_first_line(error)})") from None


def write_json(value: Any, path: Path) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    write_text(text, path)


def write_text(text: str, path: Path) -> None:
    """Write `text` as UTF-8."""
    _write(path, lambda target: target.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; the workflow makes it (`snakemake --cores 2`, or `make reproduce`)"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({_first_line(error)})") from None


def file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_hash(folder: Path) -> str:
    """First 12 hex digits of the SHA-256 of a model's weights; of the files' digests if there are several.

    Raises:
        DataError: the folder holds no weights.
    """
    digests = [file_hash(path) for path in sorted(folder.glob("*.safetensors"))]
    if not digests:
        raise DataError(f"{folder} is no model folder (it holds no *.safetensors)")
    return (digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest())[:12]


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    with atomic_path(path) as temporary:
        write(temporary)


def _validate(table: pl.DataFrame, schema: type[S], where: str) -> "dy.DataFrame[S]":
    try:
        return schema.validate(table)
    except (dy.exc.SchemaError, dy.exc.ValidationError) as error:
        raise DataError(f"{where} breaks the schema {schema.__name__}: {' '.join(str(error).split())}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
