"""Lines with intervals: a panel's series against places along a numeric axis."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from raml.evaluation.intervals import Interval
from raml.report.charts.panels import MARK_SIZES, grid, handle, legend, log_ticks, nothing, slug
from raml.report.entry import FigureEntry, Item, Panel
from raml.report.shown import Effects, scaled
from raml.report.theme import LIGHT, STYLES

HEIGHT: Final = 2.75
SPREAD: Final = 0.3  # share of the smallest distance between places over which marks of different series stand

Placed = tuple[float, Interval, Item]
"""A point of a line: its place, what is shown there, and the item that it belongs to."""


def draw(entry: FigureEntry, effects: Effects) -> Figure:
    """Every panel's effects where series and places cross.

    An option `sharey` (`all`, `row` or a list of rows) makes panels share their y axis, `sharex: true` their x axis;
    `join: false` leaves out the lines; `named: true` writes the labels of places above their marks; `height` is that of
    a row in inches; `marks: last` marks lines at their ends alone. With `legends: panels` those with series of their
    own have a legend of their own, but for series that the panel before has too. A place with an `x` quantity
    (`options.x`) lies where that effect of the same model is, as scores against tokens.
    """
    options = entry.options
    heights = [options.get("height", HEIGHT)] * (1 + max(panel.row for panel in entry.panels))
    sharey = options.get("sharey", False)
    shared = {"sharex": options.get("sharex", False), "sharey": False if isinstance(sharey, list) else sharey}
    figure, axes = grid(entry.panels, heights, **shared)
    for panel, one in zip(entry.panels, axes, strict=True):
        if isinstance(sharey, list) and panel.row in sharey and panel.column > 0:
            one.sharey(next(first for other, first in zip(entry.panels, axes, strict=True) if other.row == panel.row))
        _panel(one, panel, entry, effects)
    for panel, one in zip(entry.panels, axes, strict=True):
        _clip(one, panel)
    if options.get("legends") == "panels":
        _legends(entry, axes)
        legend(figure, entry.series, entry.note, line=True)
    else:
        legend(figure, [item for panel in entry.panels for item in panel.series or entry.series], entry.note, line=True)
    return figure


def _legends(entry: FigureEntry, axes: Sequence[Axes]) -> None:
    """One in each panel that has series which the panel before has not."""
    labels: list[str] = []
    for panel, one in zip(entry.panels, axes, strict=True):
        before, labels = labels, [item.label for item in panel.series or []]
        if panel.series and labels != before:
            one.legend(handles=[handle(item, line=True) for item in panel.series], loc="best", fontsize=8)


def _panel(axes: Axes, panel: Panel, entry: FigureEntry, effects: Effects) -> None:
    series, at = panel.series or entry.series, panel.at or entry.at
    places = [place for one in series for place in _at(one, at) if place.value is not None]
    apart = _sidestep(panel, [place.value or 0.0 for place in places], len(series))
    marks_at = Counter(place.value for place in places if place.mark)
    crowded = {value for value, marks in marks_at.items() if marks > 1}
    drawn = False
    for number, one in enumerate(series):
        points = _points(panel, one, at, entry, effects)
        if points:
            drawn = True
            shift = 0 if one.points else (number - (len(series) - 1) / 2) * apart
            join, last = entry.options.get("join", True) and not one.hollow, entry.options.get("marks") == "last"
            moved = [shift if x in crowded else 0.0 for x, *_ in points]
            _draw(axes, one, points, moved, panel, join=join, marked=0 if one.thin else 1 if last else len(points))
            if entry.options.get("named"):
                _name(axes, points)
    _axes(axes, panel)
    if not drawn:
        nothing(axes)


def _points(panel: Panel, one: Item, at: Sequence[Item], entry: FigureEntry, effects: Effects) -> list[Placed]:
    """Of a series where each point lies, its interval and what is said of it: its own points, or effects at places."""
    if one.points is not None:
        return [(x, Interval(y, *(ends or (y, y))), one) for x, y, *ends in one.points]
    points = []
    for place in _at(one, at):
        found = effects.find(panel, one, place)
        x = _place(panel, one, place, entry, effects)
        interval = scaled(found, panel.show)
        if interval is not None and x is not None:
            points.append((x, interval, place))
    return points


def _at(one: Item, at: Sequence[Item]) -> list[Item]:
    """The places of a series: those whose group is its label, or those without a group."""
    own = [place for place in at if place.group == one.label]
    return own or [place for place in at if not place.group]


def _place(panel: Panel, one: Item, place: Item, entry: FigureEntry, effects: Effects) -> float | None:
    if "x" not in entry.options:
        return place.value
    found = effects.find(panel, one, place, quantity=entry.options["x"])
    return found.estimate if found else None


def _draw(
    axes: Axes,
    one: Item,
    points: Sequence[Placed],
    moved: Sequence[float],
    panel: Panel,
    *,
    join: bool,
    marked: int,
) -> None:
    """A line with intervals, and marks at the last `marked` points, each moved aside a little."""
    style = STYLES[one.like]
    colour, log = LIGHT[style.colour], panel.log in ("x", "both")
    x = [at * np.exp2(by) if log else at + by for (at, *_), by in zip(points, moved, strict=True)]
    for at, (_, interval, place) in zip(x, points, strict=True):
        if place.mark and interval.upper > interval.lower:
            look: Any = {"color": colour, "linewidth": 1.3, "alpha": 0.7 * one.strength, "clip_on": False}
            axes.vlines([at], interval.lower, interval.upper, **look)
    estimates = [interval.estimate for _, interval, _ in points]
    (line,) = axes.plot(x, estimates, color=colour, linewidth=1.4, alpha=one.strength, clip_on=False)
    line.set_linestyle(style.dashes if join else "none")
    if one.thin:
        line.set(linewidth=0.7, alpha=0.35)
    else:
        line.set_gid(f"{slug(panel.label or panel.title)}-{slug(one.label)}")
    for at, (_, interval, place) in list(zip(x, points, strict=True))[len(x) - marked :]:
        if not place.mark:
            continue
        (mark,) = axes.plot([at], [interval.estimate], style.marker, color=colour, clip_on=False, zorder=4)
        mark.set(markersize=MARK_SIZES[style.marker] - 0.6, markeredgecolor=LIGHT["surface"], markeredgewidth=0.6)
        mark.set_alpha(one.strength)
        if place.hollow or one.hollow:
            mark.set(markerfacecolor=LIGHT["surface"], markeredgecolor=colour, markeredgewidth=1.2)


def _name(axes: Axes, points: Sequence[Placed]) -> None:
    """The places' labels above their intervals."""
    above: Any = {"textcoords": "offset points", "xytext": (0, 2), "ha": "center", "va": "bottom", "fontsize": 8}
    for at, interval, place in points:
        axes.annotate(place.label, (at, interval.upper), annotation_clip=False, **above)


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
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at / 1000:g}k" if at >= 1000 else f"{at:g}"))
    if panel.log in ("y", "both"):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    if panel.ticks:
        axes.xaxis.set_major_locator(FixedLocator(list(panel.ticks)))
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
    if panel.zero:
        axes.axhline(0, color=LIGHT["neutral"], linewidth=0.9, zorder=1)


def _clip(axes: Axes, panel: Panel) -> None:
    """Per cent end at 0 and 100; not before all panels are drawn, which may share the axis."""
    if panel.show == "percent" and panel.log not in ("y", "both"):
        lower, upper = axes.get_ylim()
        axes.set_ylim(max(lower, 0), max(min(upper, 100), 1))
