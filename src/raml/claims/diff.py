"""What changed between two states of the results, of folders or git revisions: verdicts, numbers, intervals.

Only what git keeps is looked at: `claims.json` and small tables. Of files of different ages is compared what both say.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from raml.errors import DataError, InputError
from raml.storage import read_parquet, read_provenance

Change = Literal["changed", "added", "removed"]
Leaf = bool | int | float | str | None

CLAIMS: Final = "claims.json"
METRICS: Final = "tables/metrics.parquet"
TABLES: Final = ("questions/*.parquet", "evaluations/evaluations.parquet", "tables/*.parquet", "tables/*.csv")

# What decides and what is shown of a claim, its wording aside; the nested ones are compared number by number.
COMPARED: Final = (
    *("verdict", "measured", "interval", "n", "unit", "line", "claimed", "p", "p_holm", "verdict_holm"),
    "against_reported",
)
NESTED: Final = ("details", "effects")

# What tells the rows of a table apart, as far as a table has it; without any of it rows go by their places.
KEYS: Final = ("id", "model", "seed", "benchmark", "question_id", "metric", "step", "quantity")


class ClaimChange(BaseModel):
    """A claim of which a compared field, or a number of the details or effects, differs."""

    id: str
    exhibit: str
    change: Change
    fields: list[str]
    before: dict[str, object] | None
    after: dict[str, object] | None
    details: dict[str, tuple[Leaf, Leaf]]  # before and after by dotted path; null where there is none


class MetricChange(BaseModel):
    """A metric of one model on one benchmark of which the value or an end of its interval differs; shares of 1."""

    model: str
    benchmark: str
    metric: str
    change: Change
    before: tuple[float, float, float] | None  # value, lower, upper
    after: tuple[float, float, float] | None


class TableChange(BaseModel):
    """How many rows of a table differ, and by how much at most in each column of numbers."""

    path: str
    rows_before: int | None  # null where there is no such table
    rows_after: int | None
    added: int
    removed: int
    changed: int = 0
    columns: dict[str, float | None] = {}  # columns that differ; null if not by a number


class ScaleChanges(BaseModel):
    """All that differs at one scale, and in `notes` what could not be compared."""

    scale: str
    claims: list[ClaimChange]
    claims_same: int
    metrics: list[MetricChange]
    metrics_same: int
    tables: list[TableChange]
    notes: list[str]


class Comparison(BaseModel):
    """What differs between the states `before` and `after`."""

    before: str
    after: str
    scales: list[ScaleChanges]


class Decided(BaseModel):
    """What a `claims.json` of any age says of a claim."""

    model_config = ConfigDict(extra="allow")

    id: str
    verdict: str
    exhibit: str = ""

    @property
    def said(self) -> dict[str, Any]:
        """All fields that the file has."""
        return self.model_dump(mode="json", exclude_unset=True)


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
            place = ".".join(map(str, problem["loc"])) or "(top level)"
            raise DataError(f"{self.where}/{CLAIMS} is no list of claims: {place}: {problem['msg']}") from None
        ids = [claim.id for claim in found]
        if repeated := sorted({name for name in ids if ids.count(name) > 1}):
            raise DataError(f"{self.where}/{CLAIMS} has the claim {repeated[0]!r} twice")
        return found

    def table(self, path: str) -> pl.DataFrame | None:
        """The table at `path`, None where there is none.

        Raises:
            DataError: it is truncated or of another format.
        """
        if path not in self.files:
            return None
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


def compare(before: Version, after: Version, scale: str | None = None) -> Comparison:
    """The differences at `scale`, or at each scale that both have.

    Raises:
        InputError: one of them lacks the scale, or they have none in common.
        DataError: a `claims.json` cannot be read.
    """
    one, two = (", ".join(version.scales) for version in (before, after))
    for version, has in ((before, one), (after, two)):
        if scale is not None and scale not in version.scales:
            raise InputError(f"--scale {scale}: {version.name} has no results of it; it has those of {has}")
    common = [name for name in before.scales if name in after.scales and scale in (None, name)]
    if not common:
        raise InputError(
            f"{before.name} has results of {one}, {after.name} of {two}: no scale in common, nothing to compare"
        )
    changes = [_compare_scale(name, before.scales[name], after.scales[name]) for name in common]
    return Comparison(before=before.name, after=after.name, scales=changes)


def _compare_scale(scale: str, before: Results, after: Results) -> ScaleChanges:
    old, new = ({claim.id: claim.said for claim in results.claims()} for results in (before, after))
    claims = [change for name in {**new, **old} if (change := _claim(old.get(name), new.get(name)))]
    notes = [*_missing_fields({before.where: old, after.where: new})]
    metrics: list[MetricChange] = []
    metrics_same = 0
    tables = []
    for path in sorted({*before.files, *after.files}):
        if not any(fnmatch(path, pattern) for pattern in TABLES):
            continue
        try:
            pair = before.table(path), after.table(path)
        except DataError as error:
            notes.append(f"{error}: not compared")
            continue
        if path == METRICS:
            metrics, metrics_same = _metrics(*map(_metric_rows, pair))
        if change := _table(path, *pair):
            tables.append(change)
    return ScaleChanges(
        scale=scale,
        claims=sorted(claims, key=lambda change: "verdict" not in change.fields),
        claims_same=len({**new, **old}) - len(claims),
        metrics=metrics,
        metrics_same=metrics_same,
        tables=tables,
        notes=notes,
    )


def _claim(before: dict[str, Any] | None, after: dict[str, Any] | None) -> ClaimChange | None:
    known: dict[str, Any] = after or before or {}
    fields: list[str] = [*COMPARED]
    details: dict[str, tuple[Leaf, Leaf]] = {}
    if before is not None and after is not None:
        both = before.keys() & after.keys()  # what one of the two files did not have yet has not changed
        fields = [name for name in COMPARED if name in both and before[name] != after[name]]
        old, new = (
            {path: leaf for name in NESTED if name in both for path, leaf in _leaves(claim[name])}
            for claim in (before, after)
        )
        details = {path: (old.get(path), new.get(path)) for path in sorted(old | new) if old.get(path) != new.get(path)}
        if not fields and not details:
            return None
    return ClaimChange(
        id=known["id"],
        exhibit=known.get("exhibit", ""),
        change=_kind(before, after),
        fields=fields,
        before=_shown(before),
        after=_shown(after),
        details=details,
    )


def _kind(before: object, after: object) -> Change:
    return "added" if before is None else "removed" if after is None else "changed"


def _shown(claim: dict[str, Any] | None) -> dict[str, object] | None:
    return claim and {name: claim[name] for name in (*COMPARED, "effects", "reason") if name in claim}


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """What stands below `node` by dotted path, items of lists by their `name` if they have one; not `quantity`."""
    if isinstance(node, Mapping):
        items: Iterable[tuple[object, object]] = (pair for pair in node.items() if path or pair[0] != "quantity")
    elif isinstance(node, list):
        items = ((part.get("name", n) if isinstance(part, dict) else n, part) for n, part in enumerate(node))
    else:
        if node is not None:
            yield path, node  # type: ignore[misc]
        return
    for key, value in items:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _missing_fields(claims: Mapping[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    """What one of two claims files, by where they lie, did not say yet."""
    named = {where: {field for claim in told.values() for field in claim} for where, told in claims.items()}
    for where, fields in named.items():
        missing = set().union(*named.values()) - fields
        if fields and (lacking := [name for name in (*COMPARED, *NESTED) if name in missing]):
            yield f"{where}/{CLAIMS} does not say {', '.join(lacking)}: not compared"


Row = tuple[float, float, float]


def _metric_rows(table: pl.DataFrame | None) -> dict[tuple[str, str, str], Row]:
    columns = ["model", "benchmark", "metric", "value", "lower", "upper"]
    if table is None or not {*columns} <= {*table.columns}:
        return {}
    return {row[:3]: row[3:] for row in table.select(columns).iter_rows()}


def _metrics(
    old: dict[tuple[str, str, str], Row], new: dict[tuple[str, str, str], Row]
) -> tuple[list[MetricChange], int]:
    """Changed metrics, the largest changes of a value first, and the number of the others."""
    differing = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    differing.sort(key=lambda key: (-abs(new[key][0] - old[key][0]) if key in old and key in new else 1, key))
    changes = [
        MetricChange(
            **dict(zip(("model", "benchmark", "metric"), key, strict=True)),
            change=_kind(old.get(key), new.get(key)),
            before=old.get(key),
            after=new.get(key),
        )
        for key in differing
    ]
    return changes, len({**new, **old}) - len(changes)


def _table(path: str, before: pl.DataFrame | None, after: pl.DataFrame | None) -> TableChange | None:
    if before is None or after is None:
        old, new = (None if table is None else table.height for table in (before, after))
        return TableChange(path=path, rows_before=old, rows_after=new, added=new or 0, removed=old or 0)
    names = [name for name in before.columns if name in after.columns]
    keys = [
        name for name in KEYS if name in names and not (before[name].dtype.is_nested() or after[name].dtype.is_nested())
    ]
    pairs = _places(before, keys).join(_places(after, keys), on=[*keys, "nth"], nulls_equal=True)
    one, two = before[pairs["place"]], after[pairs["place_right"]]
    differ = {name: mask for name in names if (mask := _differs(one[name], two[name])).any()}
    change = TableChange(
        path=path,
        rows_before=before.height,
        rows_after=after.height,
        added=after.height - pairs.height,
        removed=before.height - pairs.height,
        changed=pl.DataFrame(differ).select(pl.any_horizontal(pl.all()).sum()).item() if differ else 0,
        columns={
            name: _largest(one[name].filter(differ[name]), two[name].filter(differ[name])) for name in sorted(differ)
        },
    )
    return change if change.added or change.removed or differ else None


def _places(table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The place of each row with its keys; rows of equal keys are told apart by their order, `nth`."""
    texts = table.select(*(pl.col(name).cast(pl.String, strict=False) for name in keys), place=pl.int_range(pl.len()))
    return texts.with_columns(nth=pl.int_range(pl.len()).over(keys or pl.lit(0)))


def _numeric(*columns: pl.Series) -> bool:
    return all(column.dtype.is_numeric() or column.dtype == pl.Boolean for column in columns)


def _differs(one: pl.Series, two: pl.Series) -> pl.Series:
    if _numeric(one, two):
        return one.ne_missing(two)
    return pl.Series(
        [before != after for before, after in zip(one.to_list(), two.to_list(), strict=True)], dtype=pl.Boolean
    )


def _largest(one: pl.Series, two: pl.Series) -> float | None:
    """The largest difference; None if one of the values is no number."""
    if not _numeric(one, two):
        return None
    sizes = (one.cast(pl.Float64) - two.cast(pl.Float64)).abs()
    return None if sizes.has_nulls() or sizes.is_nan().any() else float(sizes.max())  # type: ignore[arg-type]


def _of_folder(folder: Path, name: str) -> Version:
    for pattern in (CLAIMS, f"*/{CLAIMS}", f"results/*/{CLAIMS}"):
        if scales := [path.parent for path in sorted(folder.glob(pattern)) if path.is_file()]:
            return Version(name, _by_scale(scales, name))
    raise DataError(
        f"{name} has no results: neither {folder}/{CLAIMS} nor one in a folder of {folder} or of its results/"
    )


def _by_scale(folders: Iterable[Path], name: str) -> dict[str, Results]:
    """Results by scale; of a scale's folder and copies of it beside it the one that has the scale's name."""
    found: dict[str, Path] = {}
    for folder in folders:
        scale = _scale(folder)
        if scale in found and scale not in (folder.name, found[scale].name):
            raise InputError(
                f"{name} holds two results of scale {scale}: {found[scale]} and {folder}; name one of them"
            )
        if scale not in found or folder.name == scale:
            found[scale] = folder
    return {scale: Results(str(folder), _files(folder)) for scale, folder in found.items()}


def _files(folder: Path) -> dict[str, Callable[[], bytes]]:
    files = (path for pattern in (CLAIMS, *TABLES, "tables/training/*.csv") for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in files if path.is_file()}


def _scale(folder: Path) -> str:
    """The scale that the results of `folder` are of: a copy may have any name, but its tables say it."""
    for path in (folder / METRICS, folder / "evaluations/evaluations.parquet"):
        try:
            return read_provenance(path).scale
        except DataError:
            continue
    return folder.resolve().name


def _of_revision(name: str) -> Version:
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    if not commit:
        raise InputError(f"{name!r} is neither a folder nor a revision that git knows here; `git log` lists revisions")
    listed = _git("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit, "results/").decode(errors="replace")
    scales: dict[str, Results] = {}
    for path in map(PurePosixPath, filter(None, listed.split("\0"))):
        if len(path.parts) > 2:
            scale, below = path.parts[1], PurePosixPath(*path.parts[2:])
            results = scales.setdefault(scale, Results(f"{name}:results/{scale}", {}))
            results.files[str(below)] = partial(_git, "cat-file", "blob", f"{commit}:{path}")
    scales = {scale: results for scale, results in scales.items() if CLAIMS in results.files}
    if not scales:
        raise DataError(f"revision {name} has no results: no results/<scale>/{CLAIMS} was in git then")
    return Version(name, scales)


def _git(*arguments: str) -> bytes:
    """What git prints; nothing where it does not know what is asked for."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True).stdout
    except OSError as error:
        raise InputError(f"git cannot be started ({error.strerror}); compare two folders instead") from None
