"""Drawing of paired curves: thinking and no-thinking of single trajectories, their means, and their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from raml.evaluation.intervals import Interval
from raml.report.curves import GRID, PANELS, Curve, Summary
from raml.report.curves_figure import LEFT, RIGHT, Y_LABEL, draw_nothing, frame, shorten
from raml.report.numbers import MINUS
from raml.report.style import LIGHT

MODES = ("thinking", "no_thinking")
LABELS = {"thinking": "thinking", "no_thinking": "no-thinking"}
COLOURS = {"thinking": "series-1", "no_thinking": "series-2"}
DASHES: Mapping[str, Any] = {"thinking": "-", "no_thinking": (0, (4, 1.6))}
MARKERS: Mapping[str, Mapping[str, Any]] = {
    "thinking": {"marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.6},
    "no_thinking": {"marker": "s", "markersize": 5},
}  # one fits into the other
WIDTHS = {"thinking": 1.9, "no_thinking": 1.5}  # so that both show where they coincide


@dataclass(frozen=True)
class Pair:
    """Both curves of one trajectory by mode, and by mode the share of it read when half of the fall is first made."""

    curves: Mapping[str, Curve]
    half_fall: Mapping[str, float]

    @property
    def thinking(self) -> Curve:
        """The curve in thinking mode."""
        return self.curves["thinking"]


@dataclass(frozen=True)
class Difference:
    """No-thinking less thinking on some trajectories; `half_fall` in shares of the trajectory, `end` in nats/token."""

    label: str
    half_fall: Interval | None
    end: Interval | None


def draw_pairs(
    pairs: Sequence[Pair],
    means: Mapping[str, Summary],
    differences: Sequence[Difference],
    answers: Mapping[str, str],
    *,
    model: str,
    top: float,
    confidence: float,
) -> Figure:
    """A panel for each of `pairs`; below them the mean curves and, by benchmark, the differences.

    Args:
        pairs: at most `PANELS`, one a question.
        means: the mean curves by mode; empty if there are none.
        differences: one row each in the panels of differences, the first on top.
        answers: gold answer by question id.
        model: whose trajectories they are, for people.
        top: upper end of the axes of the NLL, nats/token.
        confidence: of the intervals.
    """
    figure = Figure(figsize=(10, 6.6))
    grid = figure.add_gridspec(1, PANELS, wspace=0.1, left=LEFT, right=RIGHT, top=0.85, bottom=0.53)
    for number in range(PANELS):
        axes = figure.add_subplot(grid[number])
        frame(axes, top)
        if number < len(pairs):
            question = pairs[number].thinking.question_id
            _draw_pair(axes, number, pairs[number], answers.get(question, "unknown"))
        else:
            draw_nothing(axes, f"no {'further ' if pairs else ''}question\nwith correct trajectories")
        if number == 0:
            axes.set_ylabel(Y_LABEL)
        else:
            axes.tick_params(labelleft=False)
    figure.text(LEFT, 0.965, f"Single trajectories of {model}, a panel for each question", color=LIGHT["muted"])
    _legend(figure)
    _draw_means(
        figure.add_subplot(figure.add_gridspec(1, 1, left=LEFT, right=0.47, top=0.36, bottom=0.09)[0]), means, top
    )
    figure.text(LEFT, 0.385, f"Mean over questions; band: {confidence:.0%} interval", color=LIGHT["muted"])
    figure.text(0.592, 0.385, "No-thinking less thinking, mean over questions", color=LIGHT["muted"])
    below = figure.add_gridspec(1, 2, wspace=0.16, left=0.592, right=RIGHT, top=0.36, bottom=0.09)
    half, end = (figure.add_subplot(below[place]) for place in (0, 1))
    _draw_differences(half, [(one.label, one.half_fall) for one in differences], "half-fall")
    half.set_xlabel("half first made (% of the trajectory)\n\N{LEFTWARDS ARROW} earlier · later \N{RIGHTWARDS ARROW}")
    half.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}".replace("-", MINUS)))
    half.set_yticklabels([one.label for one in differences])
    _draw_differences(end, [(one.label, one.end) for one in differences], "end")
    end.set_xlabel("NLL at the end (nats/token)\n\N{LEFTWARDS ARROW} lower · higher \N{RIGHTWARDS ARROW}")
    return figure


def _draw_pair(axes: Axes, number: int, pair: Pair, answer: str) -> None:
    for mode in MODES:
        curve, colour = pair.curves[mode], LIGHT[COLOURS[mode]]
        (line,) = axes.plot(curve.position, curve.nll, linestyle=DASHES[mode], color=colour, zorder=3)
        line.set(clip_on=False, linewidth=WIDTHS[mode])
        line.set_gid(f"pair-{number + 1}-{mode}")
        if curve.nll[-1] < curve.nll[0]:
            share = np.array([pair.half_fall[mode]])
            (half,) = axes.plot(share * curve.length, curve.at(share), color=colour, clip_on=False, zorder=4)
            half.set(**MARKERS[mode], markeredgecolor=colour)
    axes.set_xlim(0, max(1, pair.thinking.length))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("trajectory position (tokens)")
    axes.set_title(shorten(pair.thinking.question_id, 30), loc="left", pad=17, fontweight="bold")
    gold = f"gold answer: {shorten(answer, 26)}"
    axes.text(0, 1.04, gold, transform=axes.transAxes, color=LIGHT["muted"], fontsize=8)


def _legend(figure: Figure) -> None:
    lines = [Line2D([], [], color=LIGHT[COLOURS[mode]], linestyle=DASHES[mode], linewidth=1.7) for mode in MODES]
    halves = tuple(Line2D([], [], color=LIGHT[COLOURS[mode]], linestyle="", **MARKERS[mode]) for mode in MODES)
    figure.legend(
        handles=[*lines, halves],
        labels=[*(LABELS[mode] for mode in MODES), "half of the fall first made"],
        handler_map={tuple: HandlerTuple(ndivide=None)},
        loc="upper right",
        ncols=3,
        bbox_to_anchor=(RIGHT + 0.01, 1.0),
    )


def _draw_means(axes: Axes, means: Mapping[str, Summary], top: float) -> None:
    if not means:
        draw_nothing(axes, "no correct trajectories\nat this scale")
        return
    frame(axes, top)
    axes.set_xlim(0, 1)
    axes.set_xlabel("relative position (% of the trajectory's tokens)")
    axes.set_ylabel(Y_LABEL)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    for mode in MODES:
        summary, colour = means[mode], LIGHT[COLOURS[mode]]
        axes.fill_between(GRID, summary.lower, summary.upper, color=colour, alpha=0.18, linewidth=0)
        (line,) = axes.plot(GRID, summary.mean, linestyle=DASHES[mode], color=colour, clip_on=False)
        line.set(linewidth=WIDTHS[mode])
        line.set_gid(f"mean-{mode}")


def _draw_differences(axes: Axes, rows: Sequence[tuple[str, Interval | None]], name: str) -> None:
    axes.axvline(0, color=LIGHT["neutral"], linewidth=0.9)
    for row, (_, interval) in enumerate(rows):
        colour = LIGHT["ink" if row == 0 else "muted"]
        if interval is None:
            axes.text(0, row, "too few", color=LIGHT["muted"], fontsize=8, ha="center", va="center").set_bbox(
                {"facecolor": LIGHT["surface"], "edgecolor": "none", "pad": 1.5}
            )
            continue
        axes.plot([interval.lower, interval.upper], [row, row], color=colour, linewidth=1.8, solid_capstyle="round")
        (point,) = axes.plot([interval.estimate], [row], "D", color=colour, markersize=6)
        point.set_gid(f"{name}-{row + 1}")
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.6)
    axes.set_yticks(range(len(rows)), [""] * len(rows))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    reach = max((abs(end) for _, one in rows if one for end in (one.lower, one.upper)), default=0.0) or 1.0
    axes.set_xlim(-1.1 * reach, 1.1 * reach)
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
