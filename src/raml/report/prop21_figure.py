"""Drawing of Proposition 2.1: how exact the update is, and what it looks like along real and null trajectories."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from raml.claims.downhill import QUARTERS
from raml.evaluation.intervals import Interval
from raml.report.style import LIGHT

Style = tuple[str, str, Literal["-", "--", ":"]]  # colour, marker, line
Along = Mapping[str, Sequence[Interval | None]]  # by source or quantity, one interval a quarter or layer

MOST_TICKS: Final = 12  # with a label that is not in its neighbours' way

CONSTRUCTION_LABELS: Final[Mapping[str, str]] = {
    "none": "weights unchanged",
    "query": "changed query alone",
    "paper": "the paper's construction",
    "exact": "exact rank-one update",
}
CONSTRUCTION_STYLES: Final[Mapping[str, Style]] = {
    "none": ("neutral", "o", ":"),
    "query": ("series-3", "^", "--"),
    "paper": ("series-2", "s", "-"),
    "exact": ("series-1", "D", "-"),
}
SOURCE_LABELS: Final = {"trajectory": "real", "shuffled": "shuffled", "random": "random"}
SOURCE_STYLES: Final[Mapping[str, Style]] = {
    "trajectory": ("series-1", "D", "-"),
    "shuffled": ("series-2", "s", "--"),
    "random": ("neutral", "o", ":"),
}
LOSS_LABELS: Final = {"actual": "actual", "first_order": "to first order"}
LOSS_STYLES: Final[Mapping[str, Style]] = {"actual": ("series-1", "D", "-"), "first_order": ("series-3", "^", "--")}
SIDESTEP: Final = 0.09  # between marks at one place
FLOOR: Final = 1e-17  # drawn in place of an error of exactly 0


@dataclass(frozen=True)
class Panels:
    """What is drawn: means over random blocks, by source the intervals of three panels, and the loss of two."""

    random_blocks: pl.DataFrame
    norms: Along
    cosines: Along
    layers: Along
    loss_correct: Along
    loss_incorrect: Along
    confidence: float


def draw(panels: Panels) -> Figure:
    """Six panels: residuals; length and direction of the update; direction by layer; what the loss does."""
    figure = Figure(figsize=(10, 10.6))
    grid = figure.add_gridspec(3, 2, left=0.075, right=0.985, top=0.965, bottom=0.085, hspace=0.4, wspace=0.2)
    _residuals(figure, grid[0, 0], panels.random_blocks)
    places = [f"{quarter / len(QUARTERS):.0%}" for quarter in QUARTERS]
    read = "share of the trajectory read"
    norms = figure.add_subplot(grid[0, 1])
    _series(norms, panels.norms, places, "norms", SOURCE_STYLES)
    _label(norms, "(b) Length of the update", read, "update against weights (Frobenius norms)")
    norms.set_ylim(bottom=0)
    cosines = figure.add_subplot(grid[1, 0])
    _series(cosines, panels.cosines, places, "cosines", SOURCE_STYLES)
    _label(cosines, "(c) Direction of the update", read, "cosine with the negative gradient")
    layers = figure.add_subplot(grid[1, 1])
    n_layers = max((len(values) for values in panels.layers.values()), default=0)
    _series(layers, panels.layers, [str(layer) for layer in range(n_layers)], "layers", SOURCE_STYLES)
    _label(layers, "(d) Direction by layer, mean of all prefixes", "layer", "cosine with the negative gradient")
    correct = figure.add_subplot(grid[2, 0])
    incorrect = figure.add_subplot(grid[2, 1], sharey=correct)
    _series(correct, panels.loss_correct, places, "loss-correct", LOSS_STYLES)
    _series(incorrect, panels.loss_incorrect, places, "loss-incorrect", LOSS_STYLES)
    _label(correct, "(e) The gold answer's loss, correct trajectories", read, "change of the NLL (nats)")
    _label(incorrect, "(f) The same, incorrect trajectories", read, "change of the NLL (nats)")
    correct.legend(handles=_handles(LOSS_STYLES, LOSS_LABELS), loc="lower left", fontsize=8)
    for axes in (cosines, layers, correct, incorrect):
        axes.axhline(0, color=LIGHT["neutral"], linewidth=0.8, zorder=1)
    figure.legend(
        handles=_handles(SOURCE_STYLES, SOURCE_LABELS), loc="lower right", ncols=3, bbox_to_anchor=(0.99, 0.0)
    )
    note = f"(b) to (d): correct trajectories and nulls of equal length; (b) to (f): {panels.confidence:.0%} intervals"
    figure.text(0.075, 0.016, note, color=LIGHT["muted"])
    return figure


def _residuals(figure: Figure, place: SubplotSpec, means: pl.DataFrame) -> None:
    """Two axes, since fourteen orders of magnitude lie between the exact update and the rest."""
    parts = place.subgridspec(2, 1, height_ratios=(3, 1), hspace=0.08)
    upper, lower = (figure.add_subplot(parts[row]) for row in range(2))
    lengths = sorted(means["prompt_length"].unique())
    for name, (colour, marker, dashes) in CONSTRUCTION_STYLES.items():
        axes = lower if name == "exact" else upper
        over_widths = (
            means.filter(construction=name)
            .group_by("prompt_length")
            .agg(
                pl.col("relative_error").mean().alias("mean"),
                pl.col("relative_error").min().alias("lowest"),
                pl.col("relative_error").max().alias("highest"),
            )
            .sort("prompt_length")
            .with_columns(pl.col("mean", "lowest", "highest").clip(lower_bound=FLOOR))
        )
        x = over_widths["prompt_length"].to_numpy()
        (line,) = axes.plot(
            x, over_widths["mean"].to_numpy(), dashes, color=LIGHT[colour], marker=marker, markersize=5, linewidth=1.2
        )
        line.set(markeredgecolor=LIGHT["surface"], markeredgewidth=0.5)
        line.set_gid(f"residual-{name}")
        axes.fill_between(
            x,
            over_widths["lowest"].to_numpy(),
            over_widths["highest"].to_numpy(),
            color=LIGHT[colour],
            alpha=0.15,
            linewidth=0,
        )
    for axes in (upper, lower):
        axes.set_yscale("log")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(lengths))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda length, _: f"{length:g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{error:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
    errors = means.filter(pl.col("construction") != "exact")["relative_error"].to_list()
    upper.set_ylim(min([2e-2, *errors]) / 2, 2 * max([1.5, *errors]))
    lower.set_ylim(1e-17, 1e-12)
    lower.yaxis.set_major_locator(FixedLocator([1e-16, 1e-14]))
    upper.tick_params(labelbottom=False)
    upper.set_title("(a) One block of random weights", loc="left", fontweight="bold")
    upper.set_ylabel("relative error of the output")
    lower.set_xlabel("prompt length (tokens)")
    upper.legend(handles=_handles(CONSTRUCTION_STYLES, CONSTRUCTION_LABELS), loc="lower left", fontsize=8)


def _series(axes: Axes, along: Along, places: Sequence[str], name: str, styles: Mapping[str, Style]) -> None:
    """Marks with intervals, one line a style; a place without enough questions stays empty."""
    for index, (key, (colour, marker, dashes)) in enumerate(styles.items()):
        known = [(place, interval) for place, interval in enumerate(along.get(key, [])) if interval]
        if not known:
            continue
        x = [place + (index - (len(styles) - 1) / 2) * SIDESTEP for place, _ in known]
        estimates = [interval.estimate for _, interval in known]
        axes.vlines(
            x,
            [interval.lower for _, interval in known],
            [interval.upper for _, interval in known],
            color=LIGHT[colour],
            linewidth=1.4,
        )
        (line,) = axes.plot(x, estimates, dashes, color=LIGHT[colour], marker=marker, markersize=6, linewidth=1)
        line.set(markeredgecolor=LIGHT["surface"])
        line.set_gid(f"{name}-{key}")
    axes.set_xlim(-0.5, max(len(places), 1) - 0.5)
    apart = max(1, math.ceil(len(places) / MOST_TICKS))
    axes.set_xticks(range(0, len(places), apart), places[::apart])
    axes.grid(axis="x", visible=False)


def _handles(styles: Mapping[str, Style], labels: Mapping[str, str]) -> list[Line2D]:
    return [
        Line2D([], [], color=LIGHT[colour], marker=marker, linestyle=dashes, markersize=5, label=labels[name])
        for name, (colour, marker, dashes) in styles.items()
    ]


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
