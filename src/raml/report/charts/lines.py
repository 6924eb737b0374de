"""Lines with intervals: a panel's series against places along a numeric axis."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from raml.report.charts.panels import MARK_SIZES, grid, legend, nothing, slug
from raml.report.entry import FigureEntry, Item, Panel
from raml.report.shown import Effects, scaled
from raml.report.theme import LIGHT, STYLES

HEIGHT: Final = 2.75
SPREAD: Final = 0.3  # share of the smallest distance between places over which marks of different series stand


def draw(entry: FigureEntry, effects: Effects) -> Figure:
    """Every panel's effects where series and places cross.

    An option `sharey` (`all` or `row`) makes panels share their y axis; `join: false` leaves out the lines. A place
    with an `x` quantity (`options.x`) lies where that effect of the same model is, as scores against tokens.
    """
    heights = [HEIGHT] * (1 + max(panel.row for panel in entry.panels))
    figure, axes = grid(entry.panels, heights, sharey=entry.options.get("sharey", False))
    for panel, one in zip(entry.panels, axes, strict=True):
        _panel(one, panel, entry, effects)
    legend(figure, [item for panel in entry.panels for item in panel.series or entry.series], entry.note, line=True)
    return figure


def _panel(axes: Axes, panel: Panel, entry: FigureEntry, effects: Effects) -> None:
    series, at = panel.series or entry.series, panel.at or entry.at
    places = [place for one in series for place in _at(one, at) if place.value is not None]
    apart = _sidestep(panel, [place.value or 0.0 for place in places], len(series))
    drawn = False
    for number, one in enumerate(series):
        points = []
        for place in _at(one, at):
            found = effects.find(panel, one, place)
            x = _place(panel, one, place, entry, effects)
            if found is not None and x is not None:
                points.append((x, scaled(found, panel.show), place.hollow or one.hollow))
        if points:
            drawn = True
            shift = (number - (len(series) - 1) / 2) * apart
            _draw(axes, one, points, shift, panel, join=entry.options.get("join", True) and not one.hollow)
    _axes(axes, panel)
    if not drawn:
        nothing(axes)


def _at(one: Item, at: Sequence[Item]) -> list[Item]:
    """The places of a series: those whose group is its label, or those without a group."""
    own = [place for place in at if place.group == one.label]
    return own or [place for place in at if not place.group]


def _place(panel: Panel, one: Item, place: Item, entry: FigureEntry, effects: Effects) -> float | None:
    if "x" not in entry.options:
        return place.value
    found = effects.find(panel, one, place, quantity=entry.options["x"])
    return found and found.estimate


def _draw(
    axes: Axes, one: Item, points: Sequence[tuple[float, Any, bool]], shift: float, panel: Panel, *, join: bool
) -> None:
    style = STYLES[one.like]
    colour, log = LIGHT[style.colour], panel.log in ("x", "both")
    x = [at * np.exp2(shift) if log else at + shift for at, *_ in points]
    intervals = [interval for _, interval, _ in points]
    ends = [interval.lower for interval in intervals], [interval.upper for interval in intervals]
    axes.vlines(x, *ends, color=colour, linewidth=1.3, alpha=0.7, clip_on=False)
    (line,) = axes.plot(x, [interval.estimate for interval in intervals], color=colour, linewidth=1.4, clip_on=False)
    line.set_linestyle(style.dashes if join else "none")
    line.set_gid(f"{slug(panel.label or panel.title)}-{slug(one.label)}")
    for place, interval, hollow in zip(x, intervals, [hollow for *_, hollow in points], strict=True):
        (mark,) = axes.plot([place], [interval.estimate], style.marker, color=colour, clip_on=False, zorder=4)
        mark.set(markersize=MARK_SIZES[style.marker] - 0.6, markeredgecolor=LIGHT["surface"], markeredgewidth=0.6)
        if hollow:
            mark.set(markerfacecolor=LIGHT["surface"], markeredgecolor=colour, markeredgewidth=1.2)


def _sidestep(panel: Panel, values: Sequence[float], series: int) -> float:
    """How far marks of neighbouring series at one place stand apart, in doublings on a logarithmic axis."""
    places = np.unique(np.log2(values) if panel.log in ("x", "both") else values)
    nearest = float(np.diff(places).min()) if len(places) > 1 else 1.0
    return SPREAD * nearest / max(series, 2) if len(values) else 0.0


def _axes(axes: Axes, panel: Panel) -> None:
    axes.grid(axis="x", visible=False)
    if panel.log in ("x", "both"):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
    if panel.log in ("y", "both"):
        axes.set_yscale("log")
    if panel.ticks:
        axes.xaxis.set_major_locator(FixedLocator(list(panel.ticks)))
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
    if panel.zero:
        axes.axhline(0, color=LIGHT["neutral"], linewidth=0.9, zorder=1)
