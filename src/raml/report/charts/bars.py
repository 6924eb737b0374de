"""Bars, a row each, with its name to the left and what is said of it at its end."""

from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raml.report.charts.panels import grid, nothing, slug
from raml.report.entry import FigureEntry
from raml.report.shown import Effects
from raml.report.theme import LIGHT, STYLES

ROW: Final = 0.27  # inches
ROOM: Final = 1.22
"""How far the axis reaches beyond the longest bar, so that there is room for what is said of it."""


def draw(entry: FigureEntry, effects: Effects) -> Figure:
    """The rows of each panel, from above: a bar as long as a row's `value`, its `small` print beside it."""
    lines = [[panel.rows or entry.rows for panel in entry.panels if panel.row == row] for row in _places(entry)]
    figure, axes = grid(entry.panels, [ROW * max(1, *map(len, rows)) + 0.5 for rows in lines])
    for panel, one in zip(entry.panels, axes, strict=True):
        rows = panel.rows or entry.rows
        for place, row in enumerate(rows):
            value = row.value or 0.0
            (bar,) = one.barh([place], [value], height=0.62, color=LIGHT[STYLES[row.like].colour])
            bar.set_gid(f"{slug(panel.label or 'bar')}-{slug(row.label)}")
            beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
            one.annotate(row.small, (value, place), color=LIGHT["muted"], **beside)  # type: ignore[arg-type]
        one.set_ylim(max(len(rows), 1) - 0.4, -0.6)
        one.set_yticks(range(len(rows)), [row.label for row in rows])
        one.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
        one.set_xlim(0, ROOM * max([row.value or 0.0 for row in rows], default=0.0) or 1.0)
        one.xaxis.set_major_locator(MaxNLocator(6))
        one.grid(axis="y", visible=False)
        if not rows:
            nothing(one)
    return figure


def _places(entry: FigureEntry) -> range:
    return range(1 + max(panel.row for panel in entry.panels))
