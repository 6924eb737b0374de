"""Drawing of landscapes in the paper's layout: for each question a surface in 3-D and below it its contours.

Surfaces and contours are drawn in the colours of viridis, which grow lighter with the NLL for every kind of
colour vision. They stay as they are in the page's dark theme; lines and text follow it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
from numpy.typing import NDArray

from raml.probing.projection import Projection
from raml.report.style import LIGHT
from raml.report.svg import drawing, write_svg
from raml.storage import write_text

COLUMNS: Final = 4
LEVELS: Final = 12
PATCHES: Final = 10  # of a surface along each direction, at most: keeps the file small
NLL_LABEL: Final = "answer NLL (nats/token)"

COLOURS: Final = LinearSegmentedColormap.from_list("landscape", colormaps["viridis"](np.linspace(0.05, 1, 64)))
TRAJECTORY: Final = LIGHT["series-2"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """A question's landscape, `nll` [size of y, size of x] in nats per answer token, and a curve projected onto it."""

    title: str
    subtitle: str
    x: Array
    y: Array
    nll: Array
    curve: Projection | None


def draw_landscapes(panels: Sequence[Panel]) -> Figure:
    """Surface above contour, a column a question, `COLUMNS` at most side by side; one colour scale for all."""
    columns = min(COLUMNS, max(1, len(panels)))
    blocks = max(1, math.ceil(len(panels) / columns))
    with_curves = any(panel.curve for panel in panels)
    head = 0.35 if not with_curves else 0.45 if columns > 2 else 0.85  # inches for the legend
    width, height = 1.67 + 2.05 * columns, 5.2 * blocks
    figure = Figure(figsize=(width, height + head))
    if not panels:
        figure.text(0.5, 0.5, "no question with a landscape", ha="center", va="center", color=LIGHT["muted"])
        return figure
    norm = Normalize(min(float(panel.nll.min()) for panel in panels), max(float(panel.nll.max()) for panel in panels))
    for block in range(blocks):
        top = 1 - (head + 5.2 * block) / (height + head)
        bottom = 1 - (head + 5.2 * (block + 1) - 0.55) / (height + head)
        grid = figure.add_gridspec(
            2, columns, left=0.62 / width, right=1 - 1.05 / width, top=top, bottom=bottom, hspace=0.02, wspace=0.12,
            height_ratios=[1.1, 1],
        )  # fmt: skip
        for column, panel in enumerate(panels[block * columns : (block + 1) * columns]):
            number = block * columns + column + 1
            surface: Any = figure.add_subplot(grid[0, column], projection="3d", computed_zorder=False)
            _draw_surface(surface, panel, norm, number)
            contour = figure.add_subplot(grid[1, column])
            _draw_contour(contour, panel, norm, number)
            if column == 0:
                contour.set_ylabel("direction 2")
            else:
                contour.tick_params(labelleft=False)
    _colour_bar(figure, norm, width, height + head)
    if with_curves:
        _legend(figure, width, columns)
    return figure


def write_landscapes(panels: Sequence[Panel], path: Path, *, name: str, title: str, description: str) -> None:
    """Draw and save as SVG; positions are rounded to a hundredth of a point, which halves the file.

    Raises:
        RamlError: the file cannot be written.
    """
    with drawing():
        write_svg(draw_landscapes(panels), path, name=name, title=title, description=description)
    text = path.read_text(encoding="utf-8")
    write_text(re.sub(r' d="[^"]+"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), text), path)


def _draw_surface(axes: Axes3D, panel: Panel, norm: Normalize, number: int) -> None:
    x, y = np.meshgrid(panel.x, panel.y)  # [y, x], as the landscape
    stride = max(1, (len(panel.x) - 1) // PATCHES)
    surface = axes.plot_surface(
        x, y, panel.nll, rstride=stride, cstride=stride, cmap=COLOURS, norm=norm, linewidth=0.25,
        edgecolor=LIGHT["surface"], antialiased=True, zorder=1,
    )  # fmt: skip
    surface.set_gid(f"surface-{number}")
    if panel.curve:
        at, lift = panel.curve, 0.01 * (float(norm.vmax or 0) - float(norm.vmin or 0))
        (line,) = axes.plot(at.x, at.y, at.height + lift, color=TRAJECTORY, linewidth=1.6, zorder=3)
        line.set_path_effects([Stroke(linewidth=3, foreground=LIGHT["surface"]), Normal()])
        line.set_gid(f"surface-curve-{number}")
        for index, marker in ((0, "o"), (-1, "s")):
            axes.plot(
                at.x[[index]], at.y[[index]], at.height[[index]] + lift, marker, color=TRAJECTORY, markersize=5,
                markeredgecolor=LIGHT["surface"], zorder=4,
            )  # fmt: skip
    axes.view_init(elev=32, azim=-62)
    axes.set_box_aspect((1, 1, 0.72), zoom=1.12)
    axes.set_zlim(norm.vmin, norm.vmax)
    for axis, name, ticks in (
        (axes.xaxis, "direction 1", FixedLocator(_ticks(panel.x))),
        (axes.yaxis, "direction 2", FixedLocator(_ticks(panel.y))),
        (axes.zaxis, "NLL", MaxNLocator(3)),
    ):
        axis.set_major_locator(ticks)
        axis.set_tick_params(pad=-4, labelsize=7)
        axis.set_label_text(name, fontsize=8, color=LIGHT["muted"])
        axis.labelpad = -9
        axis.set_pane_color((0, 0, 0, 0))
        axis._axinfo["grid"].update(color=LIGHT["line"], linewidth=0.4)
        axis.line.set_color(LIGHT["neutral"])
    axes.text2D(0, 1.08, panel.title, transform=axes.transAxes, fontweight="bold", fontsize=9)
    axes.text2D(0, 1.0, panel.subtitle, transform=axes.transAxes, color=LIGHT["muted"], fontsize=8)


def _draw_contour(axes: Axes, panel: Panel, norm: Normalize, number: int) -> None:
    levels = MaxNLocator(LEVELS).tick_values(float(norm.vmin or 0), float(norm.vmax or 0))
    filled = axes.contourf(panel.x, panel.y, panel.nll, levels=levels, cmap=COLOURS, norm=norm)
    filled.set_gid(f"contour-{number}")
    lines = axes.contour(panel.x, panel.y, panel.nll, levels=levels, colors=LIGHT["surface"], linewidths=0.4)
    lines.set_gid(f"contour-lines-{number}")
    axes.set_aspect("equal")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xticks(_ticks(panel.x))
    axes.set_yticks(_ticks(panel.y))
    axes.set_xlabel("direction 1; time \N{RIGHTWARDS ARROW}" if panel.curve else "direction 1")
    if panel.curve:
        at = panel.curve
        (line,) = axes.plot(at.x, at.y, color=TRAJECTORY, linewidth=1.6, clip_on=False, zorder=3)
        line.set_path_effects([Stroke(linewidth=3, foreground=LIGHT["surface"]), Normal()])
        line.set_gid(f"contour-curve-{number}")
        outside = ~at.reached
        axes.plot(
            at.x[outside], at.y[outside], "o", markersize=3, markerfacecolor=LIGHT["surface"],
            markeredgecolor=TRAJECTORY, markeredgewidth=0.7, linestyle="none", clip_on=False, zorder=4,
        )  # fmt: skip
        for index, marker in ((0, "o"), (-1, "s")):
            axes.plot(
                at.x[[index]], at.y[[index]], marker, color=TRAJECTORY, markersize=6,
                markeredgecolor=LIGHT["surface"], clip_on=False, zorder=5,
            )  # fmt: skip


def _ticks(axis: Array) -> list[float]:
    return [float(axis[0]), 0.0, float(axis[-1])]


def _colour_bar(figure: Figure, norm: Normalize, width: float, height: float) -> None:
    axes = figure.add_axes((1 - 0.72 / width, 0.75 / height, 0.12 / width, 1.7 / height))
    figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, drawedges=False)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(NLL_LABEL.replace(" (", "\n("), fontsize=7.5, color=LIGHT["muted"])


def _legend(figure: Figure, width: float, columns: int) -> None:
    handles = [
        Line2D([], [], color=TRAJECTORY, linewidth=1.6, marker="o", markersize=5, label="trajectory, from its start"),
        Line2D([], [], color=TRAJECTORY, linewidth=1.6, marker="s", markersize=5, label="to its end"),
        Line2D(
            [], [], linestyle="none", marker="o", markersize=3.5, markerfacecolor=LIGHT["surface"],
            markeredgecolor=TRAJECTORY, label="its NLL is not reached there",
        ),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.3 / width, 1.0), ncols=3 if columns > 2 else 1)
