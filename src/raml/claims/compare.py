"""What changed between two states of the results: verdicts, numbers, intervals. Nothing is run for it."""

import math
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import polars as pl
from pydantic import BaseModel

from raml.claims.version import Decided, Results, Version
from raml.errors import DataError, InputError

Change = Literal["changed", "added", "removed"]
Number = bool | int | float | str | None

# What decides and what is shown of a claim; its wording is not among it.
COMPARED: Final = (
    *("verdict", "measured", "interval", "n", "unit", "line", "claimed", "p", "p_holm", "verdict_holm"),
    "against_reported",
)
METRICS: Final = "tables/metrics.parquet"

# What tells the rows of a table apart, as far as a table has it; without any of it rows go by their places.
KEYS: Final = ("id", "model", "seed", "benchmark", "question_id", "metric", "step", "quantity")


class ClaimChange(BaseModel):
    """A claim of which a compared field or a number of the details differs."""

    id: str
    exhibit: str
    change: Change
    fields: list[str]
    before: dict[str, object] | None
    after: dict[str, object] | None
    details: dict[str, tuple[Number, Number]]  # before and after by dotted path; null where there is none


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
    changed: int
    columns: dict[str, float | None]  # columns that differ; null if not by a number


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


def compare(before: Version, after: Version, scale: str | None = None) -> Comparison:
    """The differences at `scale`, or at each scale that both have.

    Raises:
        InputError: one of them lacks the scale, or they have none in common.
        DataError: a `claims.json` cannot be read.
    """
    for version in (before, after):
        if scale is not None and scale not in version.scales:
            has = ", ".join(version.scales)
            raise InputError(f"--scale {scale}: {version.name} has no results of it; it has those of {has}")
    common = [name for name in before.scales if name in after.scales] if scale is None else [scale]
    if not common:
        one, two = (", ".join(version.scales) for version in (before, after))
        raise InputError(
            f"{before.name} has results of {one}, {after.name} of {two}: no scale in common, nothing to compare"
        )
    changes = [compare_scale(name, before.scales[name], after.scales[name]) for name in common]
    return Comparison(before=before.name, after=after.name, scales=changes)


def compare_scale(scale: str, before: Results, after: Results) -> ScaleChanges:
    """The differences at one scale.

    Raises:
        DataError: a `claims.json` cannot be read.
    """
    notes: list[str] = []
    claims, claims_same = _claims(before.claims(), after.claims())
    tables = _tables(before, after, notes)
    metrics, metrics_same = _metrics(tables[METRICS]) if METRICS in tables else ([], 0)
    return ScaleChanges(
        scale=scale,
        claims=claims,
        claims_same=claims_same,
        metrics=metrics,
        metrics_same=metrics_same,
        tables=[change for path, pair in tables.items() if (change := _table(path, *pair))],
        notes=[*_missing_fields(before, after), *notes],
    )


def _claims(before: list[Decided], after: list[Decided]) -> tuple[list[ClaimChange], int]:
    """Changed claims, those whose verdict changed first, and the number of the others."""
    old, new = ({claim.id: claim for claim in claims} for claims in (before, after))
    ids = [*new, *(name for name in old if name not in new)]
    changes = [change for name in ids if (change := _claim(old.get(name), new.get(name)))]
    return sorted(changes, key=lambda change: "verdict" not in change.fields), len(ids) - len(changes)


def _claim(before: Decided | None, after: Decided | None) -> ClaimChange | None:
    known = after or before
    assert known is not None
    change: Change = "added" if before is None else "removed"
    fields: list[str] = [*COMPARED]
    details: dict[str, tuple[Number, Number]] = {}
    if before is not None and after is not None:
        # A field that one of the two files did not have yet has not changed.
        both = [name for name in COMPARED if name in before.model_fields_set & after.model_fields_set]
        fields = [name for name in both if getattr(before, name) != getattr(after, name)]
        old, new = dict(_leaves(before.details)), dict(_leaves(after.details))
        details = {path: (old.get(path), new.get(path)) for path in sorted(old | new) if old.get(path) != new.get(path)}
        change = "changed"
    if not fields and not details:
        return None
    return ClaimChange(
        id=known.id,
        exhibit=known.exhibit,
        change=change,
        fields=fields,
        before=_shown(before),
        after=_shown(after),
        details=details,
    )


def _shown(claim: Decided | None) -> dict[str, object] | None:
    if claim is None:
        return None
    return claim.model_dump(mode="json", include={*COMPARED, "reason"}, exclude_unset=True)


def _leaves(node: object, path: str = "") -> Iterator[tuple[str, Number]]:
    """Numbers below `node` by their dotted path, and words that stand where numbers do; not the quantity's text."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if path or key != "quantity":
                yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _leaves(value, f"{path}.{place}")
    elif isinstance(node, bool | int | float | str):
        yield path, node


def _missing_fields(before: Results, after: Results) -> Iterator[str]:
    """What one of two claims files did not say yet."""
    named = [(results, _fields(results.claims())) for results in (before, after)]
    everything = set(COMPARED) & (named[0][1] | named[1][1])
    for results, fields in named:
        if lacking := [name for name in COMPARED if name in everything - fields]:
            yield f"{results.where}/claims.json does not say {', '.join(lacking)}: not compared"


def _fields(claims: list[Decided]) -> set[str]:
    return {name for claim in claims for name in claim.model_fields_set}


def _tables(before: Results, after: Results, notes: list[str]) -> dict[str, tuple[pl.DataFrame | None, ...]]:
    """Each table before and after, None where there is none; of one that cannot be read there is a note instead."""
    found: dict[str, tuple[pl.DataFrame | None, ...]] = {}
    for path in sorted({*before.tables(), *after.tables()}):
        try:
            found[path] = tuple(results.table(path) if path in results.files else None for results in (before, after))
        except DataError as error:
            notes.append(f"{error}: not compared")
    return found


def _metrics(pair: tuple[pl.DataFrame | None, ...]) -> tuple[list[MetricChange], int]:
    """Changed metrics, the largest changes of a value first, and the number of the others."""
    old, new = ({} if table is None else _metric_rows(table) for table in pair)
    changes = [
        MetricChange(
            model=key[0],
            benchmark=key[1],
            metric=key[2],
            change="added" if key not in old else "removed" if key not in new else "changed",
            before=old.get(key),
            after=new.get(key),
        )
        for key in {**new, **old}
        if old.get(key) != new.get(key)
    ]
    return sorted(changes, key=_by_size), len({**new, **old}) - len(changes)


def _metric_rows(table: pl.DataFrame) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    columns = ["model", "benchmark", "metric", "value", "lower", "upper"]
    if any(name not in table.columns for name in columns):
        return {}
    return {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in table.select(columns).iter_rows()}


def _by_size(change: MetricChange) -> tuple[bool, float, str, str, str]:
    both = change.before is not None and change.after is not None
    size = abs(change.after[0] - change.before[0]) if change.before and change.after else 0.0
    return (not both, -size, change.model, change.benchmark, change.metric)


def _table(path: str, before: pl.DataFrame | None, after: pl.DataFrame | None) -> TableChange | None:
    if before is None or after is None:
        heights = [None if table is None else table.height for table in (before, after)]
        return TableChange(
            path=path,
            rows_before=heights[0],
            rows_after=heights[1],
            added=heights[1] or 0,
            removed=heights[0] or 0,
            changed=0,
            columns={},
        )
    keys: list[str] = [name for name in KEYS if name in before.columns and name in after.columns]
    old, new = _rows(before, keys), _rows(after, keys)
    columns: dict[str, float | None] = {}
    changed = 0
    for key in old.keys() & new.keys():
        if differing := [name for name in _names(before, after) if not _equal(old[key].get(name), new[key].get(name))]:
            changed += 1
            for name in differing:
                columns[name] = _larger(columns.get(name, 0.0), old[key].get(name), new[key].get(name))
    added, removed = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    if not added and not removed and not changed:
        return None
    return TableChange(
        path=path,
        rows_before=before.height,
        rows_after=after.height,
        added=added,
        removed=removed,
        changed=changed,
        columns=dict(sorted(columns.items())),
    )


def _names(before: pl.DataFrame, after: pl.DataFrame) -> list[str]:
    return [name for name in before.columns if name in after.columns]


def _rows(table: pl.DataFrame, keys: list[str]) -> dict[tuple[object, ...], dict[str, object]]:
    """Rows by their keys; rows of equal keys are told apart by their order."""
    found: dict[tuple[object, ...], dict[str, object]] = {}
    times: dict[tuple[object, ...], int] = {}
    for row in table.iter_rows(named=True):
        key = tuple(row[name] for name in keys)
        times[key] = times.get(key, 0) + 1
        found[(*key, times[key])] = row
    return found


def _equal(one: object, two: object) -> bool:
    nan = isinstance(one, float) and isinstance(two, float) and math.isnan(one) and math.isnan(two)
    return nan or one == two


def _larger(largest: float | None, one: object, two: object) -> float | None:
    """The larger of the largest difference so far and that of two values; None if one of them was no number."""
    numbers = isinstance(one, int | float) and isinstance(two, int | float)
    if largest is None or not numbers:
        return None
    difference = abs(float(one) - float(two))  # type: ignore[arg-type]
    return None if math.isnan(difference) else max(largest, difference)
