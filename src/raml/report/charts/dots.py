"""Dot plots with intervals: rows under group headings, marks of several series side by side in a row."""

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raml.evaluation.intervals import Interval
from raml.report.charts.panels import MARK_SIZES, around_zero, grid, legend, log_ticks, nothing, slug
from raml.report.entry import FigureEntry, Item, Panel
from raml.report.shown import Effects, scaled
from raml.report.theme import LIGHT, STYLES

FILLED: Final = 0.7  # share of a row's height that its marks take up
HEADING: Final = 0.34  # inches for a group's heading


def draw(entry: FigureEntry, effects: Effects) -> Figure:
    """Every panel's effects where rows and series cross; rows are named beside the first panel of each line of them."""
    heights = []
    for row in range(1 + max(panel.row for panel in entry.panels)):
        first = next(panel for panel in entry.panels if panel.row == row)
        heights.append(_Rows(first.rows or entry.rows, _most(entry, row)).height + 0.75)
    figure, axes = grid(entry.panels, heights)
    for panel, one in zip(entry.panels, axes, strict=True):
        rows, series = panel.rows or entry.rows, panel.series or entry.series
        places = _Rows(rows, _most(entry, panel.row))
        places.frame(one)
        places.tint(one, panel.label)
        _panel(one, panel, places, series, effects)
        if panel.column == 0:
            places.name(one)
    shown = [item for panel in entry.panels for item in panel.series or entry.series]
    legend(figure, shown, entry.note)
    return figure


def _most(entry: FigureEntry, row: int) -> int:
    """Series of the panel that has most of those beside it: their rows are equally high."""
    return max(len(panel.series or entry.series) for panel in entry.panels if panel.row == row)


class _Rows:
    """Where the rows of a panel stand, in inches downwards from its upper edge."""

    def __init__(self, rows: Sequence[Item], series: int) -> None:
        """Lay out `rows`, those of a group next to each other."""
        self.rows = rows
        self.pitch = 0.26 + 0.09 * max(series, 2)
        self.middles: list[float] = []
        self.headings: dict[str, float] = {}  # their lower edges
        self.between: list[float] = []
        edge = 0.0
        for row in rows:
            if row.group and row.group not in self.headings:
                edge += HEADING
                self.headings[row.group] = edge
            elif edge > 0:
                self.between.append(edge)
            self.middles.append(edge + self.pitch / 2)
            edge += self.pitch
        self.height = max(edge, self.pitch)

    def frame(self, axes: Axes) -> None:
        """No ticks, a thin line between the rows of a group, a darker one under its heading."""
        axes.set_ylim(self.height, 0)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        for edge in self.between:
            axes.axhline(edge, color=LIGHT["line"], linewidth=0.6, zorder=0.5)
        for edge in self.headings.values():
            axes.axhline(edge, color=LIGHT["neutral"], linewidth=0.8, zorder=0.5)

    def tint(self, axes: Axes, label: str) -> None:
        """Mark the rows that are tinted in the panel of this name."""
        for row, middle in zip(self.rows, self.middles, strict=True):
            if label in row.tinted:
                ends = middle - self.pitch / 2, middle + self.pitch / 2
                axes.axhspan(*ends, color=LIGHT["accent"], alpha=0.1, linewidth=0, zorder=0)

    def name(self, axes: Axes) -> None:
        """Names, with small print under them, and headings, left of the axes."""
        axes.set_yticks(self.middles, [f"{row.label}\n{row.small}" if row.small else row.label for row in self.rows])
        axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
        for heading, edge in self.headings.items():
            where: Any = {"xycoords": ("axes fraction", "data"), "xytext": (-6, 4), "textcoords": "offset points"}
            axes.annotate(
                heading, (0, edge), fontweight="bold", ha="right", va="bottom", annotation_clip=False, **where
            )


def _panel(axes: Axes, panel: Panel, places: _Rows, series: Sequence[Item], effects: Effects) -> None:
    step = FILLED * places.pitch / max(len(series), 2)
    ends: list[float] = []
    for number, one in enumerate(series):
        offset = (number - (len(series) - 1) / 2) * step
        for row, middle in zip(places.rows, places.middles, strict=True):
            drawn = _drawn(panel, row, one, effects)
            if drawn is None:
                continue
            hollow = row.paper or one.paper or one.hollow
            name = f"{slug(panel.label or panel.title)}-{slug(row.label)}-{slug(one.label)}"
            draw_dot(axes, one, middle + offset, drawn, hollow=hollow, gid=name)
            ends += [drawn.lower, drawn.upper]
    if panel.zero:
        around_zero(axes, ends, panel)
    elif panel.show == "percent":
        axes.set_xlim(0, 100)
        axes.set_xticks(range(0, 101, 25))
    elif panel.log in ("x", "both"):
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    if not ends:
        nothing(axes)


def _drawn(panel: Panel, row: Item, one: Item, effects: Effects) -> Interval | None:
    """The effect in the panel's unit; of a row or series of the paper its number, without width."""
    if row.paper or one.paper:
        value = row.reported.get(f"{one.label}, {panel.label}", row.reported.get(one.label))
        return None if value is None else Interval(value, value, value)
    return scaled(effects.find(panel, row, one), panel.show)


def draw_dot(axes: Axes, item: Item, height: float, drawn: Interval, *, hollow: bool, gid: str) -> None:
    """A horizontal interval and a mark on it, a hollow mark without one."""
    style = STYLES[item.like]
    colour = LIGHT[style.colour]
    if drawn.upper > drawn.lower:
        axes.hlines([height], drawn.lower, drawn.upper, color=colour, linewidth=1.8, alpha=0.55, clip_on=False)
    (mark,) = axes.plot([drawn.estimate], [height], style.marker, color=colour, clip_on=False)
    mark.set(markersize=MARK_SIZES[style.marker], markeredgecolor=LIGHT["surface"], markeredgewidth=0.6)
    if hollow:
        mark.set(markerfacecolor=LIGHT["surface"], markeredgecolor=colour, markeredgewidth=1.3)
    mark.set_gid(gid)
