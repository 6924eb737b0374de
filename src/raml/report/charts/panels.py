"""What charts share: a grid of panels, a legend, a note, an axis around 0; sizes in inches, laid out by matplotlib."""

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from raml.report.entry import Item, Panel
from raml.report.numbers import number
from raml.report.theme import LIGHT, STYLES

WIDTH: Final = 10.0
MARK_SIZES: Final = {"o": 6.0, "s": 5.6, "D": 5.4, "^": 6.8, "v": 6.8, "P": 7.2}
"""Points, of equal weight to the eye."""


def grid(
    panels: Sequence[Panel], heights: Sequence[float], *, sharex: Any = False, sharey: Any = False
) -> tuple[Figure, list[Axes]]:
    """A figure and the axes of each panel; `heights` are of the rows."""
    columns = 1 + max(panel.column for panel in panels)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, wspace=0.02, hspace=0.04)
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.55), layout=layout)
    axes = figure.subplots(len(heights), columns, squeeze=False, sharex=sharex, sharey=sharey, height_ratios=heights)
    used = {(panel.row, panel.column) for panel in panels}
    for row, line in enumerate(axes):
        for column, one in enumerate(line):
            if (row, column) not in used:
                figure.delaxes(one)
    for panel in panels:
        one = axes[panel.row][panel.column]
        raised = any(other.sides for other in panels if other.row == panel.row)
        one.set_title(panel.title or panel.label, loc="left", fontweight="bold", pad=18 if raised else 6)
        one.set_xlabel(panel.x)
        one.set_ylabel(panel.y)
        one.spines["left"].set_visible(False)
        if panel.group:
            place: Any = {"xycoords": "axes fraction", "xytext": (0, 22), "textcoords": "offset points"}
            one.annotate(panel.group, (0, 1), fontsize=11, fontweight="bold", annotation_clip=False, **place)
    return figure, [axes[panel.row][panel.column] for panel in panels]


def legend(figure: Figure, series: Sequence[Item], note: str, *, line: bool = False) -> None:
    """A row of marks and labels above the panels, and a note at its right; phones show the left side first."""
    handles = [handle(item, line=line) for item in {item.label: item for item in series if item.label}.values()]
    if handles:
        figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 6), columnspacing=1.4)
    if note:
        figure.text(0.994, 0.995, note, color=LIGHT["muted"], ha="right", va="top")


def handle(item: Item, *, line: bool = False) -> Line2D:
    """An item's mark with its label, on a piece of its line if so asked."""
    style = STYLES[item.like]
    mark = Line2D(
        [],
        [],
        color=LIGHT[style.colour],
        marker=style.marker,
        label=item.label,
        markersize=MARK_SIZES.get(style.marker, 6),
    )
    mark.set_linestyle(style.dashes if line else "none")
    mark.set_alpha(item.strength)
    if item.hollow:
        mark.set(markerfacecolor=LIGHT["surface"], markeredgewidth=1.3)
    return mark


def around_zero(axes: Axes, ends: Sequence[float], panel: Panel) -> None:
    """A horizontal axis with a line at 0 that holds all `ends`, and says what its sides mean."""
    lower, upper = min([-panel.least, *ends]), max([panel.least, *ends])
    margin = 0.05 * (upper - lower) or 1.0
    axes.set_xlim(lower - margin, upper + margin)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.axvline(0, color=LIGHT["neutral"], linewidth=1.1, zorder=1)
    for text, side, offset in zip(panel.sides or (), ("right", "left"), (-3, 3), strict=False):
        place = {
            "xycoords": ("data", "axes fraction"),
            "xytext": (offset, 3),
            "textcoords": "offset points",
            "ha": side,
        }
        axes.annotate(text, (0, 1), fontsize=7.5, color=LIGHT["muted"], annotation_clip=False, **place)  # type: ignore[arg-type]


def log_ticks(axis: Axis) -> None:
    """Powers of ten in plain text on a logarithmic axis."""
    axis.set_major_locator(LogLocator(10))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 1)))


def slug(text: str) -> str:
    """Text as a part of an SVG id: `mg-pass8` for `mG-Pass@8`."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "" for letter in text.lower().replace(" ", "-"))


def nothing(axes: Axes, text: str = "not run") -> None:
    """Say so in an empty panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])
