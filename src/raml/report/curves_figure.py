"""Drawing of answer-NLL curves in the paper's layout: a panel a question, and below them the mean of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from raml.report.curves import GRID, PANELS, Curve, Summary
from raml.report.numbers import count
from raml.report.style import LIGHT, MARKERS, SERIES

Y_LABEL = "answer NLL (nats/token)"
LEFT, RIGHT = 0.062, 0.985


@dataclass(frozen=True)
class Kind:
    """A kind of trajectory (`correct` or `incorrect`) and the mean of its curves."""

    name: str
    summary: Summary | None


def draw_curves(
    panels: Sequence[Sequence[Curve]],
    own: Kind,
    other: Kind,
    answers: Mapping[str, str],
    *,
    model: str,
    top: float,
    confidence: float,
) -> Figure:
    """Panels of single curves above the mean curves of `own` and, for reference, of `other`.

    Args:
        panels: the curves of each question, at most `PANELS` x `CURVES_PER_PANEL`.
        own: the kind that the figure is about.
        other: the kind that it is compared with.
        answers: gold answer by question id.
        model: whose trajectories they are, for people.
        top: upper end of all y axes, nats/token.
        confidence: of the intervals in the summaries.
    """
    figure = Figure(figsize=(10, 6.2))
    grid = figure.add_gridspec(1, PANELS, wspace=0.1, left=LEFT, right=RIGHT, top=0.86, bottom=0.51)
    for number in range(PANELS):
        axes = figure.add_subplot(grid[number])
        frame(axes, top)
        if number < len(panels):
            _draw_panel(axes, number, panels[number], answers.get(panels[number][0].question_id, "unknown"))
        else:
            draw_nothing(axes, f"no {'further ' if panels else ''}question\nwith {own.name} trajectories")
        if number == 0:
            axes.set_ylabel(Y_LABEL)
        else:
            axes.tick_params(labelleft=False)
    if panels:
        _legend(figure, max(len(panel) for panel in panels), model)
    means = figure.add_subplot(figure.add_gridspec(1, 1, left=LEFT, right=0.8, top=0.35, bottom=0.08)[0])
    _draw_means(means, own, other, top, confidence)
    return figure


def frame(axes: Axes, top: float) -> None:
    """The y axis of an NLL, from 0 to `top`, with no grid along x."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=top > 4))
    axes.grid(axis="x", visible=False)
    axes.spines["left"].set_visible(False)


def _draw_panel(axes: Axes, number: int, curves: Sequence[Curve], answer: str) -> None:
    for index, curve in enumerate(curves):
        colour = LIGHT[SERIES[index]]
        (line,) = axes.plot(curve.position, curve.nll, color=colour, clip_on=False, zorder=3)
        line.set_gid(f"curve-{number + 1}-{index + 1}")
        (end,) = axes.plot(curve.position[-1:], curve.nll[-1:], MARKERS[index], color=colour, clip_on=False, zorder=4)
        end.set(markersize=6.5, markeredgecolor=LIGHT["surface"])
    axes.set_xlim(0, max(1, *(curve.length for curve in curves)))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("trajectory position (tokens)")
    axes.set_title(shorten(curves[0].question_id, 30), loc="left", pad=17, fontweight="bold")
    gold = f"gold answer: {shorten(answer, 26)}"
    axes.text(0, 1.04, gold, transform=axes.transAxes, color=LIGHT["muted"], fontsize=8)


def draw_nothing(axes: Axes, text: str) -> None:
    """`text` in place of a panel."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])


def _legend(figure: Figure, count: int, model: str) -> None:
    handles = [
        Line2D([], [], color=LIGHT[SERIES[index]], marker=MARKERS[index], markersize=6, label=f"trajectory {index + 1}")
        for index in range(count)
    ]
    figure.legend(handles=handles, loc="upper right", ncols=count, bbox_to_anchor=(RIGHT + 0.01, 1.0))
    figure.text(LEFT, 0.965, f"Single trajectories of {model}, a panel for each question", color=LIGHT["muted"])


def _draw_means(axes: Axes, own: Kind, other: Kind, top: float, confidence: float) -> None:
    frame(axes, top)
    axes.set_xlim(0, 1)
    axes.set_xlabel("relative position (% of the trajectory's tokens)")
    axes.set_ylabel(Y_LABEL)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    band = f"Mean over questions, all trajectories; band: {confidence:.0%} interval"
    axes.set_title(band, loc="left", color=LIGHT["muted"], pad=8)
    drawn = [
        (kind, kind.summary, colour, dashes, width)
        for kind, colour, dashes, width in ((own, "ink", "-", 2.0), (other, "neutral", "--", 1.4))
        if kind.summary
    ]
    if not own.summary:
        axes.text(
            1.02, 1, f"{own.name}\nno trajectories\nat this scale", transform=axes.transAxes, va="top", linespacing=1.3
        )
    for kind, summary, colour, dashes, width in drawn:
        axes.fill_between(GRID, summary.lower, summary.upper, color=LIGHT[colour], alpha=0.18, linewidth=0)
        (line,) = axes.plot(GRID, summary.mean, dashes, color=LIGHT[colour], linewidth=width, clip_on=False)
        line.set_gid(f"mean-{kind.name}")
    heights = _apart([summary.mean[-1] / top for _, summary, *_ in drawn], gap=0.42)
    for (kind, summary, colour, *_), height in zip(drawn, heights, strict=True):
        sizes = f"{count(summary.trajectories, 'trajectory')},\n{count(summary.questions, 'question')}"
        label = f"{kind.name}\n{sizes}"
        axes.text(1.02, height, label, transform=axes.transAxes, va="center", color=LIGHT[colour], linespacing=1.3)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Heights of at most two labels moved apart to `gap` (shares of the axis), kept inside the axis."""
    inside = [float(np.clip(height, gap / 2, 1 - gap / 2)) for height in heights]
    if len(inside) < 2 or abs(inside[0] - inside[1]) >= gap:
        return inside
    middle = float(np.clip(np.mean(inside), gap, 1 - gap))
    sign = 1 if heights[0] > heights[1] else -1
    return [middle + sign * gap / 2, middle - sign * gap / 2]


def shorten(text: str, length: int) -> str:
    """`text`, cut to `length` characters with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"
