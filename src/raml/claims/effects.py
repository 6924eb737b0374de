"""Effects: a quantity of a model, or its paired difference between two models, over some benchmarks, with its interval.

All that figures, tables and verdicts show as estimates comes from here; nothing else resamples.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, groupby
from typing import Final, Literal

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from raml.claims.quantities.table import QUANTITIES, base_name, tables_of
from raml.config import Section
from raml.evaluation.efficiency import BUDGET
from raml.evaluation.intervals import Bootstrap, Cells, Interval

ALL: Final = "all benchmarks"
POOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "trained families": ("in_domain", "in_domain_hard"),
    "within domain": ("within_domain",),
    "across domains": ("other_domain",),
}
WITHOUT: Final = " without "
FINE: Final = re.compile("^NLL@|/quarter |/layer |/width |: ")
"""Quantities of points along a curve or parts of a model, which are pooled only and in no pair."""
LEFT_OUT: Final = re.compile("^(trend/|slope/)?(mG-)?Pass@")


class EffectSpec(Section):
    """What an effect is of; the baseline's `share` is subtracted.

    `over` is a benchmark, `all benchmarks`, one of `POOLS`, or such a pool `without` some benchmarks. Intervals are BCa
    for a single model and Student's t for a difference, unless `interval` says otherwise.
    """

    quantity: str = Field(min_length=1)
    model: str = Field(min_length=1)
    baseline: str | None = None
    share: float = Field(default=1.0, gt=0)
    over: str = ALL
    interval: Literal["bca", "t"] | None = None

    @property
    def name(self) -> str:
        """`Pass@8 of sft_long less sft_short on trained families`."""
        share = "" if self.share == 1 else f"{self.share:g} x "
        less = f" less {share}{self.baseline}" if self.baseline else ""
        return f"{self.quantity} of {self.model}{less} on {self.over}"

    @property
    def range(self) -> tuple[float, float]:
        """The values that the effect can take.

        Raises:
            KeyError: the quantity's base name is unknown.
        """
        one = QUANTITIES[base_name(self.quantity)]
        if self.baseline is None:
            return one.lowest, one.highest
        return one.lowest - self.share * one.highest, one.highest - self.share * one.lowest


class EffectTable(dy.Schema):
    """A row an effect; ends and spread (as `intervals.Spread` has it) are null with fewer than two questions."""

    effect = dy.String(primary_key=True, min_length=1)
    quantity = dy.String(min_length=1)
    model = dy.String(min_length=1)
    baseline = dy.String(nullable=True)
    over = dy.String(min_length=1)
    estimate = dy.Float64(nullable=True)
    lower = dy.Float64(nullable=True)
    upper = dy.Float64(nullable=True)
    questions = dy.Int64(min=0)
    seeds = dy.Int64(min=0)
    n = dy.Int64(min=0)  # samples, trajectories or tokens of the models together
    between_questions = dy.Float64(nullable=True)
    noise = dy.Float64(nullable=True)
    offsets = dy.Float64(nullable=True)
    offsets_by_noise = dy.Float64(nullable=True)


@dataclass(frozen=True)
class Effect:
    """What was measured of a spec; `means` are those of the model and of its baseline, if it has one."""

    spec: EffectSpec
    estimate: float | None  # none where all that was measured has no weight
    interval: Interval | None
    questions: int
    seeds: int
    n: int
    means: tuple[float, ...]

    def row(self) -> dict[str, object]:
        """The columns of `EffectTable`."""
        spread = self.interval.replicates.spread if self.interval and self.interval.replicates else None
        return {
            "effect": self.spec.name,
            **self.spec.model_dump(include={"quantity", "model", "baseline", "over"}),
            **{name: getattr(self, name) for name in ("estimate", "questions", "seeds", "n")},
            **{end: getattr(self.interval, end, None) for end in ("lower", "upper")},
            **{
                part: getattr(spread, part, None)
                for part in ("between_questions", "noise", "offsets", "offsets_by_noise")
            },
        }


@dataclass(frozen=True)
class _Measured:
    """A quantity of a model: arrays of shape [seeds, questions], NaN where a seed lacks a question."""

    seeds: list[int]
    questions: list[str]
    benchmarks: NDArray[np.str_]  # [questions], as are the domains
    domains: NDArray[np.str_]
    value: Cells
    weight: Cells
    n: Cells

    def on(self, chosen: NDArray[np.bool_]) -> "_Measured":
        """The chosen questions alone."""
        questions = [name for name, keep in zip(self.questions, chosen, strict=True) if keep]
        arrays = (array[:, chosen] for array in (self.value, self.weight, self.n))
        return _Measured(self.seeds, questions, self.benchmarks[chosen], self.domains[chosen], *arrays)


class Quantities:
    """The quantities of a scale, ready for effects."""

    def __init__(self, table: pl.DataFrame, bootstrap: Bootstrap) -> None:
        """Take rows of `QuantityTable` and how intervals are made."""
        self.bootstrap = bootstrap
        self._rows = {
            (str(quantity), str(model)): rows
            for (quantity, model), rows in table.partition_by("quantity", "model", as_dict=True).items()
        }
        self._measured: dict[tuple[str, str], _Measured] = {}

    @cached_property
    def names(self) -> frozenset[str]:
        """The quantities that there are."""
        return frozenset(quantity for quantity, _ in self._rows)

    def models(self, quantity: str) -> list[str]:
        """The models that have a quantity."""
        return sorted(model for name, model in self._rows if name == quantity)

    def benchmarks(self, quantity: str, model: str) -> list[str]:
        """Those on which a model has it, by domain, then name; none of numbers that are of no benchmark."""
        measured = self._of(quantity, model)
        found = set(zip(measured.domains.tolist(), measured.benchmarks.tolist(), strict=True)) if measured else set()
        return [name for _, name in sorted(found) if name]

    def places(self, quantity: str, model: str) -> list[str]:
        """Where an effect is taken: each benchmark, each pool of those of scores, and all together."""
        names, measured = self.benchmarks(quantity, model), self._of(quantity, model)
        pools = [pool for pool, parts in POOLS.items() if measured and np.isin(measured.domains, parts).any()]
        of_scores = tables_of(quantity, model)[0] in ("evaluations", "outer")
        return [*(names if len(names) > 1 else []), *(pools if of_scores else []), ALL]

    def without_one(self, quantity: str, model: str) -> list[str]:
        """The trained families without each of their benchmarks in turn, of Pass@k, mG-Pass@k and their trends."""
        pool, measured = next(iter(POOLS)), self._of(quantity, model)
        if not LEFT_OUT.search(quantity) or "/" in model or measured is None:
            return []
        names = sorted(set(measured.benchmarks[_chosen(measured, pool)].tolist()))
        return [f"{pool}{WITHOUT}{name}" for name in names if len(names) > 1]

    def pools(self, spec: EffectSpec, benchmark: str) -> bool:
        """Whether a pooled effect holds questions of a benchmark."""
        measured = self._of(spec.quantity, spec.model)
        return measured is not None and benchmark in measured.benchmarks[_chosen(measured, spec.over)]

    def effect(self, spec: EffectSpec) -> Effect | None:
        """What was measured of `spec`; None if nothing of it was."""
        sides = [self._side(spec, model) for model in (spec.model, spec.baseline) if model is not None]
        if any(side is None for side in sides):
            return None
        known = [side for side in sides if side is not None]
        if spec.baseline is None:
            known = [_informative(known[0])]
            values, shown = _linearised(known[0].value, known[0].weight), [known[0].value]
        else:
            known = list(_aligned(*known))
            values = known[0].value - spec.share * known[1].value
            missing = np.isnan(values)
            shown = [np.where(missing, np.nan, side.value) for side in known]
        present = ~np.isnan(values)
        if not known[0].seeds:
            return None
        student = spec.interval == "t" if spec.interval else spec.baseline is not None
        enough = present.any(axis=0).sum() >= 2
        interval = self.bootstrap.mean(values, student=student).within(*spec.range) if enough else None
        estimate = interval.estimate if interval else _mean(values) if present.any() else None
        counted = sum(int(np.nansum(np.where(present, side.n, 0))) for side in known)
        questions = _count(known[0].weight, present)
        seeds = int(present.any(axis=1).sum())
        return Effect(spec, estimate, interval, questions, seeds, counted, tuple(map(_mean, shown)))

    def _side(self, spec: EffectSpec, model: str) -> _Measured | None:
        measured = self._of(spec.quantity, model)
        chosen = _chosen(measured, spec.over) if measured else np.zeros(0, dtype=bool)
        return measured.on(chosen) if measured and chosen.any() else None

    def _of(self, quantity: str, model: str) -> _Measured | None:
        key = quantity, model
        if key in self._rows and key not in self._measured:
            self._measured[key] = _arrays(self._rows[key])
        return self._measured.get(key)


def every(quantities: Quantities) -> list[EffectSpec]:
    """Each quantity of each model, on each benchmark and pooled; those of `FINE` are pooled only.

    Scores and trends are also taken over the trained families without one of their benchmarks, as claims are where one
    of them can decide nothing.
    """
    return [
        EffectSpec(quantity=quantity, model=model, over=over)
        for quantity in sorted(quantities.names)
        for model in quantities.models(quantity)
        for over in (
            [ALL]
            if FINE.search(quantity)
            else [*quantities.places(quantity, model), *quantities.without_one(quantity, model)]
        )
    ]


def pairs(quantities: Quantities, models: Sequence[str], cold_starts: Sequence[tuple[str, str]]) -> list[EffectSpec]:
    """The differences that are compared: of main models, of variants of a model, and of a cold start and none.

    Each is taken one way round; the other way round it is the same with its sign changed. Budgets are left out, which
    are points on a line.

    Args:
        quantities: of the scale.
        models: the main ones; each is compared with each before it.
        cold_starts: of each further base model GRPO from its SFT model, and from itself.
    """
    found = []
    for quantity in sorted(name for name in quantities.names if not FINE.search(name)):
        present = [name for name in quantities.models(quantity) if BUDGET not in name]
        compared = [*combinations([name for name in reversed(models) if name in present], 2), *cold_starts]
        for _, group in groupby(present, lambda name: name.partition("/")[0]):
            compared += combinations(reversed(list(group)), 2)
        for model, baseline in dict.fromkeys(compared):
            if model in present and baseline in present:
                found += [
                    EffectSpec(quantity=quantity, model=model, baseline=baseline, over=over)
                    for over in quantities.places(quantity, model)
                ]
    return found


def effect_table(effects: Iterable[Effect | None]) -> pl.DataFrame:
    """Rows of `EffectTable`, each effect once, in the order of their names."""
    rows = {one.spec.name: one.row() for one in effects if one is not None}
    schema = {name: column.dtype for name, column in EffectTable.columns().items()}
    return EffectTable.cast(pl.DataFrame([rows[name] for name in sorted(rows)], schema=schema))


def _chosen(measured: _Measured, over: str) -> NDArray[np.bool_]:
    """The questions of `over`."""
    pool, _, left_out = over.partition(WITHOUT)
    kept = ~np.isin(measured.benchmarks, left_out.split(", ") if left_out else [])
    if pool == ALL:
        return kept
    if pool in POOLS:
        return kept & np.isin(measured.domains, POOLS[pool])
    return np.asarray(kept & (measured.benchmarks == pool))


def _arrays(rows: pl.DataFrame) -> _Measured:
    seeds, row = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    questions, first, column = np.unique(
        np.asarray(rows["question_id"].to_list(), dtype=np.str_), return_index=True, return_inverse=True
    )
    arrays = []
    for name in ("value", "weight", "n"):
        array = np.full((len(seeds), len(questions)), np.nan)
        array[row, column] = rows[name].to_numpy()
        arrays.append(array)
    benchmarks, domains = (np.asarray(rows[name].to_list(), dtype=np.str_)[first] for name in ("benchmark", "domain"))
    return _Measured(seeds.tolist(), questions.tolist(), benchmarks, domains, *arrays)


def _aligned(one: _Measured, two: _Measured) -> tuple[_Measured, _Measured]:
    """Both on the seeds and questions that they share."""
    seeds = [seed for seed in one.seeds if seed in set(two.seeds)]
    chosen = set(one.questions) & set(two.questions)

    def cut(side: _Measured) -> _Measured:
        kept = side.on(np.array([name in chosen for name in side.questions], dtype=bool))
        rows = [side.seeds.index(seed) for seed in seeds]
        arrays = (array[rows] for array in (kept.value, kept.weight, kept.n))
        return _Measured(seeds, kept.questions, kept.benchmarks, kept.domains, *arrays)

    return cut(one), cut(two)


def _linearised(value: Cells, weight: Cells) -> Cells:
    """Cells whose mean is the weighted mean of `value`, so that intervals of a plain mean serve it.

    A ratio of means, linearised about its value: each cell's deviation is that of weight x value - mean x weight.
    """
    if np.nanmin(weight, initial=1.0) == 1.0:
        return value
    scale = np.nanmean(weight, axis=0).mean()
    mean = np.nanmean(weight * value, axis=0).mean() / scale
    return np.asarray(mean + weight * (value - mean) / scale, dtype=np.float64)


def _informative(measured: _Measured) -> _Measured:
    """Without the questions that have no weight in any seed."""
    chosen = np.nansum(measured.weight, axis=0) > 0
    return measured if chosen.all() else measured.on(chosen)


def _count(weight: Cells, present: NDArray[np.bool_]) -> int:
    """Questions with a weight in some seed; of weights that are probabilities as many as there are at the mean."""
    if np.nanmin(weight, initial=1.0) == 1.0:
        return int(present.any(axis=0).sum())
    return int(np.floor((1 - np.nanprod(1 - weight, axis=0)).sum() + 1e-9))


def _mean(values: Cells) -> float:
    """Over questions of the mean over seeds; 0 without any."""
    known = ~np.isnan(values).all(axis=0)
    return float(np.nanmean(values[:, known], axis=0).mean()) if known.any() else 0.0
