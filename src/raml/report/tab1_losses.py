"""What Table 1 measures: the outer loss before and after each training, and what reading a trajectory does to it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from raml.claims.decision import difference_or_none, interval_or_none
from raml.claims.outer_loss import cut_off
from raml.errors import ConfigError
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells

Source = Literal["oracle", "own"]

SOURCES: Final[Mapping[Source, str]] = {"oracle": "oracle trajectories", "own": "own trajectories"}
# The trained models by technique, in the order of the paper's rows.
TECHNIQUES: Final[Mapping[str, Sequence[str]]] = {
    "SFT": ("sft_short", "sft_long"),
    "DPO": ("dpo",),
    "GRPO": ("zero_grpo", "sft_grpo"),
}
CELL: Final = ["seed", "question_id"]
CLAIM: Final = "outer_loss"


@dataclass(frozen=True)
class Fall:
    """The outer loss of one source before and after a training, in nats per answer token, and how far it falls.

    Means over the questions that both models have trajectories of; None with fewer than two. `among_right` is the
    fall between those trajectories of both that are right.
    """

    before: Interval | None
    after: Interval | None
    fall: Interval | None
    among_right: Interval | None


@dataclass(frozen=True)
class Reading:
    """A model's answer NLL without and after trajectories of one source, and the share of these that are right.

    `cut_off` is the share of the model's samples that did not end within the limit, which are not among them.
    """

    without: Interval | None
    after: Interval | None
    fall: Interval | None
    right: float
    cut_off: float | None


Falls = dict[tuple[str, Source], Fall]


def falls(losses: pl.DataFrame, starts: Mapping[str, str], bootstrap: Bootstrap) -> Falls:
    """What each trained model's training did to the loss, from each source; models that `losses` lacks are left out.

    Args:
        losses: rows of `schemas.OuterLoss`.
        starts: the model that each was trained from.
        bootstrap: how intervals are made, seeded as in the claim.

    Raises:
        ConfigError: `starts` lacks a trained model that was measured.
    """
    found: Falls = {}
    for model in trained_models(losses):
        if model not in starts:
            raise ConfigError(f"starts has no entry for {model}, whose outer loss was measured; it has {dict(starts)}")
        start = starts[model]
        for source in SOURCES:
            of_source = losses.filter(source=source)
            before, after = (of_source.filter(model=name) for name in (start, model))
            found[model, source] = Fall(
                _level(before.join(after, on=CELL, how="semi"), bootstrap, start, source, "nll"),
                _level(after.join(before, on=CELL, how="semi"), bootstrap, model, source, "nll"),
                mean_fall(of_source, start, model, bootstrap, source, "all"),
                mean_fall(of_source.filter("correct"), start, model, bootstrap, source, "correct"),
            )
    return found


def mean_fall(
    losses: pl.DataFrame, start: str, model: str, bootstrap: Bootstrap, source: Source, label: str
) -> Interval | None:
    """The loss of `start` less that of `model`, paired by seed and question.

    Args:
        losses: those after trajectories of `source` that are meant.
        start: the model before training.
        model: the one after it.
        bootstrap: how intervals are made, seeded as in the claim.
        source: of the trajectories.
        label: which of them.
    """
    before, after = (losses.filter(model=name) for name in (start, model))
    labels = (CLAIM, start, model, source, "nll", label)
    return difference_or_none(paired_cells(before, after, "nll"), bootstrap, *labels)


def trained_models(losses: pl.DataFrame) -> list[str]:
    """The trained models that `losses` has, in the order of the tables."""
    present = set(losses["model"])
    return [model for models in TECHNIQUES.values() for model in models if model in present]


def readings(
    losses: pl.DataFrame, evaluations: pl.DataFrame, models: Sequence[str], bootstrap: Bootstrap
) -> dict[tuple[str, Source], Reading]:
    """What reading a whole trajectory of each source does to the answer NLL of each of `models` that is in `losses`.

    Args:
        losses: rows of `schemas.OuterLoss`.
        evaluations: rows of `schemas.Evaluation` of the samples that own trajectories are the first of.
        models: whose.
        bootstrap: how intervals are made.
    """
    found: dict[tuple[str, Source], Reading] = {}
    for model in models:
        left_out = cut_off(evaluations, model, losses["benchmark"])
        for source in SOURCES:
            rows = losses.filter(model=model, source=source).with_columns(
                fall=pl.col("nll_without") - pl.col("nll"), right=pl.col("correct").cast(pl.Float64)
            )
            if not rows.is_empty():
                without, after = (_level(rows, bootstrap, model, source, value) for value in ("nll_without", "nll"))
                fall = interval_or_none(cells(rows, "fall"), bootstrap, model, source, "fall")
                found[model, source] = Reading(without, after, fall, float(np.nanmean(cells(rows, "right"))), left_out)
    return found


def _level(rows: pl.DataFrame, bootstrap: Bootstrap, model: str, source: Source, value: str) -> Interval | None:
    interval = interval_or_none(cells(rows, value), bootstrap, CLAIM, source, value, model)
    return interval and interval.within(0, math.inf)
