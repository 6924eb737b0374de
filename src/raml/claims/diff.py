"""What changed between two states of the results, of folders or git revisions: verdicts, numbers, intervals.

Only what git keeps is looked at: `claims.json` and small tables. Of files of different ages is compared what both say.
"""

import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
import polars.selectors as cs
from pydantic import BaseModel, TypeAdapter, ValidationError

from raml.errors import DataError, InputError
from raml.storage import read_parquet, read_provenance

Change = Literal["changed", "added", "removed"]
Claim = dict[str, Any]
Row = tuple[float, float, float]  # value, lower, upper

CLAIMS: Final = "claims.json"
METRICS: Final = "tables/metrics.parquet"
TABLES: Final = ("questions/*.parquet", "evaluations/evaluations.parquet", "tables/*.parquet", "tables/*.csv")

# What decides and what is shown of a claim, its wording aside; the nested ones are compared number by number.
COMPARED: Final = (
    *("verdict", "measured", "interval", "n", "unit", "line", "claimed", "p", "p_holm", "verdict_holm"),
    "against_reported",
)
NESTED: Final = ("details", "effects")

# What tells the rows of a table apart, as far as a table has it; else they go by their places.
KEYS: Final = ("id", "effect", "model", "seed", "benchmark", "question_id", "metric", "step", "quantity")


class ClaimChange(BaseModel):
    """A claim of which a compared field, or a number of the details or effects, differs."""

    id: str
    exhibit: str
    change: Change
    fields: list[str]
    before: dict[str, object] | None
    after: dict[str, object] | None
    details: dict[str, tuple[object, object]]  # before and after by dotted path; null where there is none


class MetricChange(BaseModel):
    """A metric of one model on one benchmark of which the value or an end of its interval differs; shares of 1."""

    model: str
    benchmark: str
    metric: str
    change: Change
    before: Row | None
    after: Row | None


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


class Decided(BaseModel, extra="allow"):
    """What a `claims.json` of any age says of a claim; whatever else it says is kept as it is."""

    id: str
    verdict: str
    exhibit: str = ""


@dataclass(frozen=True)
class Results:
    """The versioned files of one scale; `files` holds what reads each, by its path below `results/<scale>/`."""

    where: str
    files: dict[str, Callable[[], bytes]]

    def claims(self) -> dict[str, Claim]:
        """What is said of each decided claim, by its id, in the file's order.

        Raises:
            DataError: the file is no list of claims, or two of them have the same id.
        """
        try:
            found = TypeAdapter(list[Decided]).validate_json(self.files[CLAIMS]())
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"])) or "(top level)"
            raise DataError(f"{self.where}/{CLAIMS} is no list of claims: {place}: {problem['msg']}") from None
        ids = Counter(claim.id for claim in found)
        if repeated := [name for name, times in ids.items() if times > 1]:
            raise DataError(f"{self.where}/{CLAIMS} has the claim {min(repeated)!r} twice")
        return {claim.id: claim.model_dump() for claim in found}

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
    old, new = before.claims(), after.claims()
    claims = [change for name in {**new, **old} if (change := _claim(old.get(name), new.get(name)))]
    notes = [*_missing_fields({before.where: old, after.where: new})]
    pairs: dict[str, tuple[pl.DataFrame | None, pl.DataFrame | None]] = {}
    for path in sorted({*before.files, *after.files}):
        try:
            if any(fnmatch(path, pattern) for pattern in TABLES):
                pairs[path] = before.table(path), after.table(path)
        except DataError as error:
            notes.append(f"{error}: not compared")
    metrics, metrics_same = _metrics(*pairs.get(METRICS, (None, None)))
    return ScaleChanges(
        scale=scale,
        claims=sorted(claims, key=lambda change: "verdict" not in change.fields),
        claims_same=len({**new, **old}) - len(claims),
        metrics=metrics,
        metrics_same=metrics_same,
        tables=[table for path, pair in pairs.items() if (table := _table(path, *pair))],
        notes=notes,
    )


def _claim(before: Claim | None, after: Claim | None) -> ClaimChange | None:
    fields: list[str] = [*COMPARED]
    details: dict[str, tuple[object, object]] = {}
    if before and after:
        both = before.keys() & after.keys()  # what one of two files did not have yet has not changed
        fields = [name for name in COMPARED if name in both and before[name] != after[name]]
        old, new = (
            dict(leaf for name in NESTED if name in both for leaf in _leaves(claim[name])) for claim in (before, after)
        )
        details = {path: (old.get(path), new.get(path)) for path in sorted(old | new) if old.get(path) != new.get(path)}
        if not fields and not details:
            return None
    shown = {*COMPARED, *NESTED[1:], "reason"}
    one, two = (claim and {name: claim[name] for name in claim if name in shown} for claim in (before, after))
    told = {"change": _kind(before, after), "fields": fields, "before": one, "after": two, "details": details}
    return ClaimChange.model_validate({**(after or before or {}), **told})


def _kind(before: object, after: object) -> Change:
    return "added" if before is None else "removed" if after is None else "changed"


def _leaves(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """What stands below `node` by dotted path; not the quantity's text."""
    if not isinstance(node, dict | list):
        yield ".".join(path), node
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if path or key != "quantity":
            yield from _leaves(value, (*path, str(key)))


def _missing_fields(claims: Mapping[str, dict[str, Claim]]) -> Iterator[str]:
    """What one of two claims files, by where they lie, did not say yet."""
    said = {where: {field for claim in told.values() for field in claim} for where, told in claims.items()}
    for where, fields in said.items():
        missing = set().union(*said.values()) - fields
        if lacking := [name for name in (*COMPARED, *NESTED) if name in missing]:
            yield f"{where}/{CLAIMS} does not say {', '.join(lacking)}: not compared"


def _metrics(*tables: pl.DataFrame | None) -> tuple[list[MetricChange], int]:
    """Changed metrics, the largest changes of a value first, and the number of the others."""
    named, columns = ["model", "benchmark", "metric"], ["value", "lower", "upper"]
    old, new = (
        {row[:3]: row[3:] for row in table.select(*named, *columns).iter_rows()}
        if table is not None and {*named, *columns} <= {*table.columns}
        else {}
        for table in tables
    )
    differing = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    differing.sort(key=lambda key: (-abs(new[key][0] - old[key][0]) if key in old and key in new else 1, key))
    pairs = ((key, old.get(key), new.get(key)) for key in differing)
    changes = [
        MetricChange(model=key[0], benchmark=key[1], metric=key[2], change=_kind(one, two), before=one, after=two)
        for key, one, two in pairs
    ]
    return changes, len({**new, **old}) - len(changes)


def _table(path: str, before: pl.DataFrame | None, after: pl.DataFrame | None) -> TableChange | None:
    if before is None or after is None:
        old, new = (None if table is None else table.height for table in (before, after))
        return TableChange(path=path, rows_before=old, rows_after=new, added=new or 0, removed=old or 0)
    names = sorted({*before.columns} & {*after.columns})
    flat = {*before.select(~cs.nested()).columns} & {*after.select(~cs.nested()).columns}
    keys: list[str] = [name for name in KEYS if name in flat]
    pairs = _places(before, keys).join(_places(after, keys), on=[*keys, "nth"], nulls_equal=True)
    one, two = before[pairs["place"]], after[pairs["place_right"]]
    found = {name: _difference(one[name], two[name]) for name in names}
    change = TableChange(
        path=path,
        rows_before=before.height,
        rows_after=after.height,
        added=after.height - pairs.height,
        removed=before.height - pairs.height,
        changed=sum(map(any, zip(*(differs for differs, _ in found.values()), strict=True))),
        columns={name: size for name, (differs, size) in found.items() if differs.any()},
    )
    return change if change.added or change.removed or change.changed else None


def _places(table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The place of each row with its keys; rows of equal keys are told apart by their order, `nth`."""
    texts = table.select(*(pl.col(name).cast(pl.String, strict=False) for name in keys), place=pl.int_range(pl.len()))
    return texts.with_columns(nth=pl.int_range(pl.len()).over(keys or pl.lit(0)))


def _difference(one: pl.Series, two: pl.Series) -> tuple[pl.Series, float | None]:
    """Where two columns differ, and by how much at most; None if not by numbers."""
    if not all(column.dtype.is_numeric() or column.dtype == pl.Boolean for column in (one, two)):
        differs = [before != after for before, after in zip(one.to_list(), two.to_list(), strict=True)]
        return pl.Series(differs, dtype=pl.Boolean), None
    before, after = (one, two) if one.dtype == two.dtype else (one.cast(pl.Float64), two.cast(pl.Float64))
    differ = before.ne_missing(after)
    sizes = (one.cast(pl.Float64) - two.cast(pl.Float64)).abs().filter(differ)
    known = len(sizes) and not sizes.has_nulls() and not sizes.is_nan().any()
    return differ, float(sizes.max()) if known else None  # type: ignore[arg-type]


def _of_folder(folder: Path, name: str) -> Version:
    """The scales below `folder`; of a scale's folder and copies of it the one that has the scale's name."""
    found: dict[str, Path] = {}
    for pattern in (CLAIMS, f"*/{CLAIMS}", f"results/*/{CLAIMS}"):
        for path in sorted(filter(Path.is_file, folder.glob(pattern))) if not found else []:
            scale, other = _scale(path.parent), found.get(_scale(path.parent))
            if other and scale not in (path.parent.name, other.name):
                raise InputError(
                    f"{name} holds two results of scale {scale}: {other} and {path.parent}; name one of them"
                )
            if other is None or path.parent.name == scale:
                found[scale] = path.parent
    if not found:
        raise DataError(
            f"{name} has no results: neither {folder}/{CLAIMS} nor one in a folder of {folder} or of its results/"
        )
    return Version(name, {scale: Results(str(path), _files(path)) for scale, path in found.items()})


def _files(folder: Path) -> dict[str, Callable[[], bytes]]:
    files = (path for pattern in (CLAIMS, *TABLES, "tables/training/*.csv") for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): path.read_bytes for path in files if path.is_file()}


def _scale(folder: Path) -> str:
    """The scale that the results of `folder` are of: a copy may have any name, but its tables say it."""
    for path in (folder / METRICS, folder / "evaluations/evaluations.parquet"):
        with suppress(DataError):
            return read_provenance(path).scale
    return folder.resolve().name


def _of_revision(name: str) -> Version:
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    if not commit:
        raise InputError(f"{name!r} is neither a folder nor a revision that git knows here; `git log` lists revisions")
    listed = _git("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit, "results/").decode(errors="replace")
    files: defaultdict[str, dict[str, Callable[[], bytes]]] = defaultdict(dict)
    for path in filter(None, listed.split("\0")):
        _, scale, *below = path.split("/")
        files[scale]["/".join(below)] = partial(_git, "cat-file", "blob", f"{commit}:{path}")
    scales = {scale: Results(f"{name}:results/{scale}", read) for scale, read in files.items() if CLAIMS in read}
    if not scales:
        raise DataError(f"revision {name} has no results: no results/<scale>/{CLAIMS} was in git then")
    return Version(name, scales)


def _git(*arguments: str) -> bytes:
    """What git prints; nothing where it does not know what is asked for."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True).stdout
    except OSError as error:
        raise InputError(f"git cannot be started ({error.strerror}); compare two folders instead") from None
