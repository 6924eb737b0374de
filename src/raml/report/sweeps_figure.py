"""What the figures of many models share (figs 4, 8 and 9): a grid of panels, their titles, a legend and score marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from raml.report.style import LIGHT
from raml.report.sweeps import Score

LEFT, RIGHT = 0.055, 0.985
TOP: Final = 0.14  # inches above the legend and the note


@dataclass(frozen=True)
class Sizes:
    """Inches of a row's axes, of the gap between rows, and above and below all of them."""

    panel: float
    gap: float
    head: float
    foot: float


@dataclass(frozen=True)
class Grid:
    """A figure of `rows` x `columns` panels."""

    figure: Figure
    spec: GridSpec
    rows: int
    height: float

    def add(self, row: int, column: int, title: str, x_label: str, y_label: str) -> Axes:
        """A panel; only those of the lowest row name their x axis, and those of the first column their y axis."""
        axes = self.figure.add_subplot(self.spec[row, column])
        axes.set_title(title, loc="left", fontweight="bold")
        if column == 0:
            axes.set_ylabel(y_label)
        if row == self.rows - 1:
            axes.set_xlabel(x_label)
        axes.grid(axis="x", visible=False)
        axes.spines["left"].set_visible(False)
        return axes

    def note(self, text: str, *, right: bool = True) -> None:
        """A line above the panels, at the right or the left edge."""
        place, side = (RIGHT, "right") if right else (0.006, "left")
        self.figure.text(place, 1 - TOP / self.height, text, color=LIGHT["muted"], va="top", ha=side)

    def legend(self, handles: Sequence[Line2D]) -> None:
        """A row of marks above the panels, from the left."""
        self.figure.legend(
            handles=list(handles),
            loc="upper left",
            ncols=max(len(handles), 1),
            bbox_to_anchor=(LEFT, 1 - TOP / self.height),
            borderaxespad=0.0,
            columnspacing=1.4,
            handletextpad=0.5,
        )


def panels(rows: int, columns: int, sizes: Sizes) -> Grid:
    """A figure for so many panels, none of which is drawn yet; at least one row and column."""
    rows, columns = max(rows, 1), max(columns, 1)
    height = sizes.head + rows * sizes.panel + (rows - 1) * sizes.gap + sizes.foot
    figure = Figure(figsize=(10, height))
    spec = figure.add_gridspec(
        rows,
        columns,
        left=LEFT,
        right=RIGHT,
        top=1 - sizes.head / height,
        bottom=sizes.foot / height,
        hspace=sizes.gap / sizes.panel,
        wspace=0.09,
    )
    return Grid(figure, spec, rows, height)


def not_run(axes: Axes) -> None:
    """Say so in a panel without a score."""
    axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])


def draw_interval(axes: Axes, place: float, score: Score, **style: Any) -> None:
    """The interval of a score, if it has one, as an upright line at `place` in per cent."""
    if score.interval:
        axes.vlines([place], 100 * score.interval.lower, 100 * score.interval.upper, clip_on=False, **style)


def draw_mark(axes: Axes, place: float, score: Score, marker: str, **style: Any) -> Line2D:
    """The mean of a score at `place` in per cent, with a thin edge that sets it off from lines behind it."""
    edge: dict[str, Any] = {"markeredgecolor": LIGHT["surface"], "markeredgewidth": 0.6}
    (mark,) = axes.plot([place], [100 * score.mean], marker, clip_on=False, **(edge | style))
    return mark
