"""Effects as exhibits look them up: by their parts, the other way round too, and as people read them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from raml.claims.effects import EffectSpec
from raml.claims.quantities.table import QUANTITIES, SHARE, base_name
from raml.errors import ConfigError
from raml.evaluation.intervals import Interval
from raml.report.entry import PARTS, Format, Item
from raml.report.exhibit import NONE, Cell
from raml.report.numbers import MINUS, measurement, number, percent

NOT_RUN = Cell(text="not run")
FEW = Cell(text="\N{EN DASH}", small="too few questions")
ALIKE = Cell(text="\N{EN DASH}", small="all alike")


@dataclass(frozen=True)
class Shown:
    """An effect as it was measured; `interval` is None with fewer than two questions."""

    spec: EffectSpec
    estimate: float
    interval: Interval | None
    questions: int
    seeds: int
    n: int

    @property
    def format(self) -> Format:
        """How its numbers are shown, by its unit."""
        if QUANTITIES[base_name(self.spec.quantity)].unit == SHARE:
            return "points" if self.spec.baseline else "percent"
        return "plain"


class Effects:
    """The effects of a scale (rows of `claims.effects.EffectTable`)."""

    def __init__(self, table: pl.DataFrame) -> None:
        """Take the table."""
        self._rows = {row["effect"]: row for row in table.iter_rows(named=True)}
        self.quantities = frozenset(table["quantity"])
        self.seeds = max(table["seeds"], default=0)

    def places(self, quantity: str) -> list[str]:
        """Where a quantity was measured: benchmarks, or pools of them."""
        return sorted({row["over"] for row in self._rows.values() if row["quantity"] == quantity})

    def find(self, *items: Item, **parts: Any) -> Shown | None:
        """The effect of all parts together, later ones winning; None if it was not measured.

        A difference that was taken the other way round is shown with its sign changed.

        Raises:
            ConfigError: a part is missing, or the quantity is one that nobody makes.
        """
        spec, row, sign = self._row(items, parts)
        return _shown(spec, row, sign) if row else None

    def alike(self, *items: Item) -> bool:
        """Whether an effect was measured and has no number, as a trend of models that score alike on every question."""
        _, row, _ = self._row(items, {})
        return row is not None and row["estimate"] is None

    def _row(
        self, items: Sequence[Item], parts: Mapping[str, Any]
    ) -> tuple[EffectSpec, Mapping[str, Any] | None, Literal[1, -1]]:
        labels = {item.label for item in items}
        crossing = [own for item in items for label, own in item.parts.items() if label in labels]
        found = {
            name: value for one in (*items, *crossing) for name in PARTS if (value := getattr(one, name)) is not None
        }
        merged = {**found, **parts}
        if "quantity" not in merged or "model" not in merged:
            raise ConfigError(f"an effect needs a quantity and a model, found {merged}")
        if base_name(merged["quantity"]) not in QUANTITIES:
            raise ConfigError(
                f"quantity {merged['quantity']!r} is one that nobody makes; allowed are {', '.join(QUANTITIES)}"
            )
        spec = EffectSpec(**merged)
        if row := self._rows.get(spec.name):
            return spec, row, 1
        return spec, self._rows.get(_reversed(spec).name) if spec.baseline else None, -1


def cell(shown: Shown | None, show: Format | None = None) -> Cell:
    """An effect with its interval in small print."""
    if shown is None:
        return NOT_RUN
    show = show or shown.format
    if show == "estimate":
        return Cell(text=number(shown.estimate))
    if shown.interval is None:
        return FEW if shown.questions else NONE
    lower, upper = shown.interval.lower, shown.interval.upper
    match show:
        case "percent":
            return Cell(text=percent(shown.estimate), small=f"{percent(lower)} to {percent(upper)}")
        case "points":
            return Cell(text=points(shown.estimate), small=f"{points(lower)} to {points(upper)}")
        case "count":
            return Cell(text=f"{shown.estimate:,.0f}")
    if 0 < abs(shown.estimate) < 1e-4:
        return Cell(text=number(shown.estimate, 2), small=f"{number(lower, 2)} to {number(upper, 2)}")
    text, small = measurement(shown.estimate, (lower, upper))
    return Cell(text=text, small=small)


def in_words(shown: Shown | None, show: Format | None = None) -> str:
    """`36.7 (30.1 to 41.0)`."""
    one = cell(shown, show)
    return f"{one.text} ({one.small})" if one.small else one.text


def points(share: float) -> str:
    """A difference of shares in percentage points with its sign: `+3.2`, `0.0`."""
    text = f"{100 * share:+z.1f}".replace("-", MINUS)
    return "0.0" if text == "+0.0" else text


def scaled(shown: Shown | None, show: Format | None = None) -> Interval | None:
    """Estimate and interval in the unit shown, per cent for shares; without an interval the estimate alone."""
    if shown is None:
        return None
    factor = 100 if (show or shown.format) in ("percent", "points") else 1
    ends = (shown.interval.lower, shown.interval.upper) if shown.interval else (shown.estimate, shown.estimate)
    return Interval(factor * shown.estimate, factor * ends[0], factor * ends[1])


def missing(shown: Iterable[Shown | None]) -> bool:
    """Whether nothing was measured."""
    return all(one is None for one in shown)


def _reversed(spec: EffectSpec) -> EffectSpec:
    return spec.model_copy(update={"model": spec.baseline, "baseline": spec.model})


def _shown(spec: EffectSpec, row: Mapping[str, Any], sign: int) -> Shown | None:
    if row["estimate"] is None:
        return None
    ends = sorted(sign * row[end] for end in ("lower", "upper")) if row["lower"] is not None else None
    interval = Interval(sign * row["estimate"], *ends) if ends else None
    return Shown(spec, sign * row["estimate"], interval, row["questions"], row["seeds"], row["n"])
