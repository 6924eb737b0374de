"""Drawing of Proposition 2.1: how exact the update is, and what it looks like along real and null trajectories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from raml.claims.downhill import QUARTERS, SOURCES
from raml.evaluation.intervals import Interval
from raml.report.style import LIGHT

CONSTRUCTIONS: Final = {
    "paper": ("series-2", "-", "the paper's construction"),
    "exact": ("series-1", "--", "the exact rank-one update"),
}
WIDTH_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
SOURCE_LABELS: Final = {"trajectory": "real", "shuffled": "shuffled", "random": "random"}
SOURCE_STYLES: Final[Mapping[str, tuple[str, str, Literal["-", "--", ":"]]]] = {
    "trajectory": ("series-1", "D", "-"),
    "shuffled": ("series-2", "s", "--"),
    "random": ("neutral", "o", ":"),
}
SIDESTEP: Final = 0.09  # between the sources' marks at one place
FLOOR: Final = 1e-17  # drawn in place of an error of exactly 0

Along = Mapping[str, Sequence[Interval | None]]  # by source, one interval a quarter or layer


@dataclass(frozen=True)
class Panels:
    """What is drawn: means over random blocks, and by source the intervals of the other three panels."""

    random_blocks: pl.DataFrame
    norms: Along
    cosines: Along
    layers: Along
    confidence: float


def draw(panels: Panels) -> Figure:
    """Four panels: block residuals; length and direction of the update along the trajectory; direction by layer."""
    figure = Figure(figsize=(10, 7.2))
    grid = figure.add_gridspec(2, 2, left=0.075, right=0.985, top=0.94, bottom=0.115, hspace=0.42, wspace=0.2)
    _residuals(figure, grid[0, 0], panels.random_blocks)
    places = [f"{quarter / len(QUARTERS):.0%}" for quarter in QUARTERS]
    read = "share of the trajectory read"
    norms = figure.add_subplot(grid[0, 1])
    _series(norms, panels.norms, places, "norms")
    _label(norms, "(b) Length of the update", read, "update against weights (Frobenius norms)")
    norms.set_ylim(bottom=0)
    cosines = figure.add_subplot(grid[1, 0])
    _series(cosines, panels.cosines, places, "cosines")
    _label(cosines, "(c) Direction of the update", read, "cosine with the negative gradient")
    layers = figure.add_subplot(grid[1, 1])
    n_layers = max((len(values) for values in panels.layers.values()), default=0)
    _series(layers, panels.layers, [str(layer) for layer in range(n_layers)], "layers")
    _label(layers, "(d) Direction by layer, mean of all prefixes", "layer", "cosine with the negative gradient")
    for axes in (cosines, layers):
        axes.axhline(0, color=LIGHT["neutral"], linewidth=0.8, zorder=1)
    handles = [
        Line2D([], [], color=LIGHT[colour], marker=marker, linestyle=dashes, markersize=6, label=SOURCE_LABELS[source])
        for source, (colour, marker, dashes) in SOURCE_STYLES.items()
    ]
    figure.legend(handles=handles, loc="lower right", ncols=3, bbox_to_anchor=(0.99, 0.0))
    note = f"(b) to (d): correct trajectories and nulls of equal length; bars: {panels.confidence:.0%} intervals"
    figure.text(0.075, 0.022, note, color=LIGHT["muted"])
    return figure


def _residuals(figure: Figure, place: SubplotSpec, means: pl.DataFrame) -> None:
    """Two axes, since fourteen orders of magnitude lie between the constructions."""
    parts = place.subgridspec(2, 1, height_ratios=(3, 1), hspace=0.08)
    dimensions, lengths = (sorted(means[column].unique()) for column in ("dimension", "prompt_length"))
    axes = {name: figure.add_subplot(parts[row]) for row, name in enumerate(CONSTRUCTIONS)}
    for name, part in axes.items():
        colour, dashes, text = CONSTRUCTIONS[name]
        for dimension, marker in zip(dimensions, WIDTH_MARKERS, strict=False):
            of_width = means.filter(construction=name, dimension=dimension).sort("prompt_length")
            errors = [max(error, FLOOR) for error in of_width["relative_error"]]
            (line,) = part.plot(
                of_width["prompt_length"], errors, dashes, color=LIGHT[colour], marker=marker, markersize=5, linewidth=1
            )
            line.set_gid(f"residual-{name}-{dimension}")
            line.set(markeredgecolor=LIGHT["surface"], markeredgewidth=0.5)
        part.set_yscale("log")
        part.set_xscale("log", base=2)
        part.xaxis.set_major_locator(FixedLocator(lengths))
        part.xaxis.set_major_formatter(FuncFormatter(lambda length, _: f"{length:g}"))
        part.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{error:g}"))
        part.xaxis.set_minor_locator(NullLocator())
        part.yaxis.set_minor_locator(NullLocator())
        part.text(0.98, 0.9, text, transform=part.transAxes, color=LIGHT[colour], ha="right", va="top")
    errors = means.filter(construction="paper")["relative_error"].to_list()
    axes["paper"].set_ylim(min([6e-3, *errors]) / 2, 2 * max([1.5, *errors]))
    axes["exact"].set_ylim(1e-17, 1e-12)
    axes["exact"].yaxis.set_major_locator(FixedLocator([1e-16, 1e-14]))
    axes["paper"].tick_params(labelbottom=False)
    axes["paper"].set_title("(a) One block of random weights", loc="left", fontweight="bold")
    axes["paper"].set_ylabel("relative error of the output")
    axes["exact"].set_xlabel("prompt length (tokens)")
    widths = [
        Line2D([], [], color=LIGHT["muted"], marker=marker, linestyle="none", markersize=5, label=f"width {dimension}")
        for dimension, marker in zip(dimensions, WIDTH_MARKERS, strict=False)
    ]
    if widths:
        axes["paper"].legend(handles=widths, loc="lower left", handlelength=1, fontsize=8)


def _series(axes: Axes, along: Along, places: Sequence[str], name: str) -> None:
    """Marks with intervals, one line a source; a place without enough questions stays empty."""
    for index, source in enumerate(SOURCES):
        colour, marker, dashes = SOURCE_STYLES[source]
        known = [(place, interval) for place, interval in enumerate(along.get(source, [])) if interval]
        if not known:
            continue
        x = [place + (index - 1) * SIDESTEP for place, _ in known]
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
        line.set_gid(f"{name}-{source}")
    axes.set_xlim(-0.5, max(len(places), 1) - 0.5)
    axes.set_xticks(range(len(places)), places)
    axes.grid(axis="x", visible=False)


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
