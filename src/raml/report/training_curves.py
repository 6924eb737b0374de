"""What the trainers logged, as curves: each seed's and their mean, in blocks of steps if there are many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raml.config import Scale

Floats = NDArray[np.float64]

POINTS: Final = 200
"""Most points of a curve; of a longer one each point is the mean of a block of steps."""
EDGE: Final = 0.1
"""Share of the steps over which the beginning and the end of a curve are averaged."""


@dataclass(frozen=True)
class Quantity:
    """Something that is logged: its name there, its name for people, and whether it is a share of 1."""

    name: str
    label: str
    unit: Literal["", "%"] = ""

    @property
    def factor(self) -> float:
        """By which a number is multiplied to have the unit that is shown."""
        return 100.0 if self.unit else 1.0


@dataclass(frozen=True)
class Technique:
    """A way of training: the models trained so, what is drawn of them, and what only the table holds."""

    name: str
    models: Sequence[str]
    drawn: Sequence[Quantity]
    others: Sequence[Quantity]

    def shown(self, curves: "Curves") -> list[Quantity]:
        """What the table holds: all that is drawn, and of the others what was logged."""
        logged = {name for model, name in curves if model in self.models}
        return [*self.drawn, *(quantity for quantity in self.others if quantity.name in logged)]


@dataclass(frozen=True)
class Curve:
    """A quantity against the optimiser steps: `steps` of shape [points], `seeds` of [seeds, points], NaN if missing."""

    steps: Floats
    seeds: Floats
    last_step: int

    @property
    def mean(self) -> Floats:
        """Over seeds, shape [points]; every point has a seed."""
        return np.asarray(np.nanmean(self.seeds, axis=0))

    def edge(self, *, last: bool) -> Floats:
        """Each seed's mean over the first, or the last, tenth of the points, at least one; shape [seeds]."""
        points = max(1, round(EDGE * self.steps.size))
        part = self.seeds[:, -points:] if last else self.seeds[:, :points]
        known = part[~np.isnan(part).all(axis=1)]
        return np.asarray(np.nanmean(known, axis=1))

    def line(self, values: Floats, factor: float) -> list[list[float]]:
        """Points of a chart: `values` at the steps, times `factor`; those that are missing are left out."""
        numbers = zip(self.steps, factor * values, strict=True)
        return [[float(step), float(f"{value:.6g}")] for step, value in numbers if not np.isnan(value)]


Curves = Mapping[tuple[str, str], Curve]
"""By model and quantity; what was not logged is missing."""

SHARED: Final = (Quantity("grad_norm", "gradient norm"),)
GRPO_DRAWN: Final = (
    Quantity("reward", "reward (Eq. 21)"),
    Quantity("accuracy", "correct completions (%)", "%"),
    Quantity("group_accuracy", "groups with a correct one (%)", "%"),
    Quantity("equal_reward_groups", "groups of equal rewards (%)", "%"),
    Quantity("length", "length (tokens)"),
    Quantity("entropy", "entropy (nats/token)"),
    Quantity("clip_fraction", "clipped tokens (%)", "%"),
    *SHARED,
)
GRPO_OTHERS: Final = (
    Quantity("reward_std", "standard deviation of the reward"),
    Quantity("formatted", "formatted completions (%)", "%"),
    Quantity("truncated", "truncated completions (%)", "%"),
    Quantity("kl", "KL to the start (nats/token)"),
    Quantity("loss", "loss"),
)
SFT_DRAWN: Final = (
    Quantity("loss", "loss (nats/token)"),
    Quantity("mean_token_accuracy", "tokens guessed right (%)", "%"),
    Quantity("entropy", "entropy (nats/token)"),
    *SHARED,
)
DPO_DRAWN: Final = (
    Quantity("loss", "loss (nats/pair)"),
    Quantity("rewards_accuracies", "pairs told apart (%)", "%"),
    Quantity("rewards_margins", "margin (nats)"),
    *SHARED,
)
DPO_OTHERS: Final = (
    Quantity("rewards_chosen", "implicit reward, chosen (nats)"),
    Quantity("rewards_rejected", "implicit reward, rejected (nats)"),
    Quantity("entropy", "entropy (nats/token)"),
)


def techniques(styles: Sequence[str]) -> list[Technique]:
    """The techniques of the outer loop, GRPO first; SFT of `styles`."""
    return [
        Technique("GRPO", ["zero_grpo", "sft_grpo"], GRPO_DRAWN, GRPO_OTHERS),
        Technique("SFT", [f"sft_{style}" for style in styles], SFT_DRAWN, ()),
        Technique("DPO", ["dpo"], DPO_DRAWN, DPO_OTHERS),
    ]


def training(table: pl.DataFrame, scale: Scale) -> dict[str, Any]:
    """What the exhibit of the outer loop's curves can name: techniques, curves, and what was counted.

    Args:
        table: rows of `schemas.TrainingRecord`.
        scale: what was trained.
    """
    wanted = techniques([style for style in ("short", "long") if style in scale.sft])
    curves = to_curves(table, wanted)
    return {
        "techniques": wanted,
        "curves": curves,
        "models": {model for model, _ in curves},
        "seeds": table["seed"].n_unique(),
        "steps": table.select("model", "seed", "step").n_unique(),
        "points": POINTS,
        "edge": f"{EDGE:.0%}",
    }


def to_curves(table: pl.DataFrame, wanted: Sequence[Technique]) -> Curves:
    """The curves of all that `wanted` names and `table` (rows of `schemas.TrainingRecord`) holds."""
    found = {}
    for technique in wanted:
        for model in technique.models:
            for quantity in (*technique.drawn, *technique.others):
                rows = table.filter(model=model, quantity=quantity.name)
                if rows.height:
                    found[model, quantity.name] = _curve(rows)
    return found


def _curve(rows: pl.DataFrame) -> Curve:
    steps, seeds = rows["step"].unique().sort(), rows["seed"].unique().sort()
    values = np.full((seeds.len(), steps.len()), np.nan)
    values[seeds.search_sorted(rows["seed"]), steps.search_sorted(rows["step"])] = rows["value"]
    blocks = np.array_split(np.arange(steps.len()), min(POINTS, steps.len()))
    known = ~np.isnan(values)
    filled = np.where(known, values, 0)
    counts = np.stack([known[:, block].sum(axis=1) for block in blocks], axis=1)
    sums = np.stack([filled[:, block].sum(axis=1) for block in blocks], axis=1)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    at = steps.to_numpy().astype(np.float64)
    return Curve(np.array([at[block].mean() for block in blocks]), means, int(at[-1]))
