"""Landscapes in the paper's layout: for each question a surface in 3-D and below it its contours.

Surfaces and contours are drawn in the colours of viridis, which grow lighter with the NLL for every kind of
colour vision. They stay as they are in the page's dark theme; lines and text follow it.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FixedLocator, MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D  # type: ignore[import-untyped]

from raml.report.charts.curves import Y_LABEL, shorten
from raml.report.entry import FigureEntry
from raml.report.landscapes import Array, Surface
from raml.report.raw import Followed
from raml.report.shown import Effects
from raml.report.theme import LIGHT

COLUMNS: Final = 4
LEVELS: Final = 12
PATCHES: Final = 10  # of a surface along each direction, at most: keeps the file small

COLOURS: Final = LinearSegmentedColormap.from_list("landscape", colormaps["viridis"](np.linspace(0.05, 1, 64)))
TRAJECTORY: Final = LIGHT["series-2"]
OUTLINE: Final = [Stroke(linewidth=3, foreground=LIGHT["surface"]), Normal()]
END: Final[dict[str, Any]] = {"color": TRAJECTORY, "markeredgecolor": LIGHT["surface"]}
OUTSIDE: Final[dict[str, Any]] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 3,
    "markerfacecolor": LIGHT["surface"],
    "markeredgecolor": TRAJECTORY,
    "markeredgewidth": 0.7,
}


def draw(entry: FigureEntry, effects: Effects, followed: Followed) -> Figure:
    """The landscapes of the followed model that are shown."""
    return draw_surfaces(followed.surfaces)


def draw_surfaces(shown: Sequence[Surface]) -> Figure:
    """Surface above contour, a column a question, `COLUMNS` at most side by side; one colour scale for all."""
    columns = min(COLUMNS, max(1, len(shown)))
    blocks = max(1, math.ceil(len(shown) / columns))
    figure = Figure(figsize=(1.67 + 2.05 * columns, 4.9 * blocks + 0.45))
    figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.03, wspace=0.0, hspace=0.0)
    if not shown:
        figure.text(0.5, 0.5, "no question with a landscape", ha="center", va="center", color=LIGHT["muted"])
        return figure
    norm = Normalize(min(float(one.nll.min()) for one in shown), max(float(one.nll.max()) for one in shown))
    grid = figure.add_gridspec(2 * blocks, columns, height_ratios=[1.1, 1] * blocks)
    contours = []
    for place, one in enumerate(shown):
        block, column = divmod(place, columns)
        surface: Any = figure.add_subplot(grid[2 * block, column], projection="3d", computed_zorder=False)
        _surface(surface, one, norm, place + 1)
        contours.append(figure.add_subplot(grid[2 * block + 1, column]))
        _contour(contours[-1], one, norm, place + 1)
        if column == 0:
            contours[-1].set_ylabel("direction 2")
        else:
            contours[-1].tick_params(labelleft=False)
    _colour_bar(figure, contours[:columns], norm)
    if any(one.projection for one in shown):
        _legend(figure, columns)
    return figure


def _surface(axes: Axes3D, shown: Surface, norm: Normalize, number: int) -> None:
    x, y = np.meshgrid(shown.x, shown.y)  # [y, x], as the landscape
    stride = max(1, (len(shown.x) - 1) // PATCHES)
    look: dict[str, Any] = {"cmap": COLOURS, "norm": norm, "linewidth": 0.25, "edgecolor": LIGHT["surface"]}
    surface = axes.plot_surface(x, y, shown.nll, rstride=stride, cstride=stride, antialiased=True, zorder=1, **look)
    surface.set_gid(f"surface-{number}")
    if at := shown.projection:
        height = at.height + 0.01 * (float(norm.vmax or 0) - float(norm.vmin or 0))
        (line,) = axes.plot(at.x, at.y, height, color=TRAJECTORY, linewidth=1.6, zorder=3, path_effects=OUTLINE)
        line.set_gid(f"surface-curve-{number}")
        for end, marker in ((0, "o"), (-1, "s")):
            axes.plot(at.x[[end]], at.y[[end]], height[[end]], marker, markersize=5, zorder=4, **END)
    axes.view_init(elev=32, azim=-62)
    axes.set_box_aspect((1, 1, 0.72), zoom=1.12)
    axes.set_zlim(norm.vmin, norm.vmax)
    for axis, name, ticks in (
        (axes.xaxis, "direction 1", FixedLocator(_ticks(shown.x))),
        (axes.yaxis, "direction 2", FixedLocator(_ticks(shown.y))),
        (axes.zaxis, "NLL", MaxNLocator(3)),
    ):
        axis.set_major_locator(ticks)
        axis.set_tick_params(pad=-4, labelsize=7)
        axis.set_label_text(name, fontsize=8, color=LIGHT["muted"])
        axis.labelpad = -9
        axis.set_pane_color((0, 0, 0, 0))
        axis._axinfo["grid"].update(color=LIGHT["line"], linewidth=0.4)
        axis.line.set_color(LIGHT["neutral"])
    axes.text2D(0, 1.08, shorten(shown.question, 26), transform=axes.transAxes, fontweight="bold", fontsize=9)
    answer = f"gold answer: {shorten(shown.answer, 22)}"
    axes.text2D(0, 1.0, answer, transform=axes.transAxes, color=LIGHT["muted"], fontsize=8)


def _contour(axes: Axes, shown: Surface, norm: Normalize, number: int) -> None:
    levels = MaxNLocator(LEVELS).tick_values(float(norm.vmin or 0), float(norm.vmax or 0))
    filled = axes.contourf(shown.x, shown.y, shown.nll, levels=levels, cmap=COLOURS, norm=norm)
    filled.set_gid(f"contour-{number}")
    lines = axes.contour(shown.x, shown.y, shown.nll, levels=levels, colors=LIGHT["surface"], linewidths=0.4)
    lines.set_gid(f"contour-lines-{number}")
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(_ticks(shown.x))
    axes.set_yticks(_ticks(shown.y))
    axes.set_xlabel("direction 1; time \N{RIGHTWARDS ARROW}" if shown.projection else "direction 1")
    if at := shown.projection:
        (line,) = axes.plot(at.x, at.y, color=TRAJECTORY, linewidth=1.6, clip_on=False, zorder=3, path_effects=OUTLINE)
        line.set_gid(f"contour-curve-{number}")
        axes.plot(at.x[~at.reached], at.y[~at.reached], clip_on=False, zorder=4, **OUTSIDE)
        for end, marker in ((0, "o"), (-1, "s")):
            axes.plot(at.x[[end]], at.y[[end]], marker, markersize=6, clip_on=False, zorder=5, **END)


def _ticks(axis: Array) -> list[float]:
    return [float(axis[0]), 0.0, float(axis[-1])]


def _colour_bar(figure: Figure, axes: Sequence[Axes], norm: Normalize) -> None:
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=list(axes), shrink=0.8, aspect=16, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.grid(visible=False)
    bar.set_label(Y_LABEL, fontsize=8, color=LIGHT["muted"])


def _legend(figure: Figure, columns: int) -> None:
    ends = (("o", "trajectory, from its start"), ("s", "to its end"))
    look: dict[str, Any] = {"color": TRAJECTORY, "linewidth": 1.6, "markersize": 5}
    handles = [Line2D([], [], marker=marker, label=label, **look) for marker, label in ends]
    handles.append(Line2D([], [], label="its NLL is not reached there", **OUTSIDE))
    figure.legend(handles=handles, loc="outside upper left", ncols=3 if columns > 2 else 1)
