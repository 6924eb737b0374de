"""Data sets of the Hugging Face Hub and of files, as rows of which a configuration names the columns."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import datasets
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled

from raml.config import HubDataset
from raml.errors import DataError, RamlError

Row = dict[str, Any]

HUB_TIMEOUT: Final = 10  # seconds until the Hub counts as out of reach
READERS: Final[Mapping[str, str]] = {".json": "json", ".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}


def read(source: HubDataset, ways: Iterable[str]) -> tuple[str, list[Row]]:
    """The commit of a data set (`local` of a folder or file) and its rows, with the columns that `ways` lead into.

    Raises:
        DataError: it cannot be read, is gated, or lacks a column.
    """
    datasets.disable_progress_bars()
    path = Path(source.dataset)
    # Small, read once and recorded in a table: nothing that a later run should take from a cache.
    with TemporaryDirectory() as cache:
        options = {"split": source.split, "cache_dir": cache}
        try:
            version = "local"
            if path.is_dir() and not source.files:
                named = source.subset in datasets.get_dataset_config_names(str(path))
                table = datasets.load_dataset(str(path), source.subset if named else None, **options)
            elif path.exists():
                files = [path / file for file in source.files] if path.is_dir() else [path]
                table = _read_files(files, options)
            else:
                version = _commit(source)
                table = _fetch(source, version, options)
        except RamlError:
            raise
        except Exception as error:  # the Hub, its client, pyarrow and fsspec raise nearly anything
            raise _unreadable(source, f"{name_of(source)} cannot be read", error) from None
        columns = {_column(way, table.column_names): way for way in ways}
        if missing := [way for column, way in columns.items() if column not in table.column_names]:
            raise DataError(
                f"{name_of(source)} has no column {missing[0].split('.')[0]!r}; it has {', '.join(table.column_names)}"
            )
        return version, table.select_columns(list(columns)).to_list()


def cell(row: Row, way: str, source: HubDataset) -> str:
    """What `way` leads to in a row, as text; empty if there is nothing.

    Raises:
        DataError: the way leads nowhere, or to something else than text or a number.
    """
    value = part(row, way, source)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and not isinstance(value, str | int | float):
        raise DataError(f"{name_of(source)}: column {way!r} holds a {type(value).__name__}, not text or a number")
    return "" if value is None else str(value).strip()


def part(row: Row, way: str, source: HubDataset) -> Any:
    """What `way` leads to in a row; None where a mapping on the way has no such key.

    Raises:
        DataError: something on the way has no parts.
    """
    column = _column(way, row)
    value: Any = row[column]
    for step in way[len(column) + 1 :].split(".") if way != column else []:
        if value is None:
            return None
        value = _read_json(value) if isinstance(value, str) else value
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise DataError(f"{name_of(source)}: the way {way!r} leads nowhere, there is no {step!r} in {value!r:.60}")
    return value


def name_of(source: HubDataset) -> str:
    """How messages call a data set."""
    return " ".join(word for word in (source.dataset, source.subset, source.split) if word)


def _column(way: str, columns: Iterable[str]) -> str:
    return way if way in columns else way.split(".")[0]


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read_files(files: list[Path], options: Mapping[str, Any]) -> datasets.Dataset:
    for path in files:
        if path.suffix not in READERS or path.suffix != files[0].suffix:
            raise DataError(f"{path} is not a file of questions; allowed: {', '.join(READERS)}, or a folder of them")
    paths = [str(path) for path in files]
    return datasets.load_dataset(READERS[files[0].suffix], data_files={options["split"]: paths}, **options)


def _fetch(source: HubDataset, commit: str, options: Mapping[str, Any]) -> datasets.Dataset:
    if not source.files:
        return datasets.load_dataset(source.dataset, source.subset, revision=commit, **options)
    # By name: the data set's own list of them is a program, which is not run.
    fetched = [hf_hub_download(source.dataset, file, repo_type="dataset", revision=commit) for file in source.files]
    return _read_files([Path(file) for file in fetched], options)


def _commit(source: HubDataset) -> str:
    """The commit that the revision stands for; asked first, since loading retries a dead connection for a minute."""
    try:
        return str(HfApi().dataset_info(source.dataset, revision=source.revision, timeout=HUB_TIMEOUT).sha)
    except Exception as error:
        raise _unreadable(
            source,
            f"{name_of(source)}: there is no such folder or file, and the Hugging Face Hub does not give it",
            error,
        ) from None


def _unreadable(source: HubDataset, what: str, error: Exception) -> DataError:
    if isinstance(error, GatedRepoError) or "gated dataset" in str(error):
        return DataError(
            f"{name_of(source)} is gated: accept its conditions at https://huggingface.co/datasets/{source.dataset} "
            f"and log in with `hf auth login`, or set `dataset` to a folder that holds it"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return DataError(
            f"{what}: HF_HUB_OFFLINE=1 forbids to ask; unset it, or set `dataset` to a folder that holds it"
        )
    return DataError(f"{what} ({_short(error)})")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
