"""Drawing of Figure 11: accuracy against tokens, a panel for each metric and benchmark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from raml.evaluation.efficiency import BUDGET
from raml.report.scores_figure import slug
from raml.report.style import LIGHT
from raml.report.sweeps import Score, y_range
from raml.report.sweeps_figure import Sizes, draw_interval, draw_mark, not_run, panels

ROOM: Final = 1.4  # of the token axis beyond its points, as a factor
SIZES: Final = Sizes(panel=2.25, gap=0.5, head=0.72, foot=0.55)
LABELS: Final[Mapping[str, str]] = {
    "thinking": "whole thinking",
    "budget": "budgets of thinking",
    "no_thinking": "no thinking",
    "summary": "summary",
    "control": "last steps",
}
COLOURS: Final[Mapping[str, str]] = {
    "thinking": "series-1",
    "budget": "neutral",
    "no_thinking": "series-2",
    "summary": "series-3",
    "control": "series-4",
}
MARKERS: Final[Mapping[str, str]] = {"thinking": "D", "budget": "o", "no_thinking": "s", "summary": "^", "control": "v"}
MARK_SIZES: Final[Mapping[str, float]] = {"thinking": 6, "budget": 4, "no_thinking": 6, "summary": 6.5, "control": 9.5}


@dataclass(frozen=True)
class Point:
    """A way to answer at one place in one metric: its score and the mean tokens of an answer."""

    tokens: float
    score: Score


Points = Mapping[tuple[str, str, str], Point]
"""By way (`budget 32` and so on for budgets), place and metric."""


def draw_efficiency(points: Points, places: Sequence[str], metrics: Sequence[str], confidence: float) -> Figure:
    """A row of panels for each metric, a column for each place; all share their axes.

    Args:
        points: of all ways.
        places: benchmarks, and all of them pooled.
        metrics: as the rows stand.
        confidence: of the intervals.
    """
    grid = panels(len(metrics), len(places), SIZES)
    ends = y_range({key: point.score for key, point in points.items()})
    tokens = [point.tokens for point in points.values()] or [1.0, 2.0]
    reach = (min(tokens) / ROOM, max(tokens) * ROOM)
    for row, metric in enumerate(metrics):
        for column, place in enumerate(places):
            axes = grid.add(row, column, f"{metric}: {place}", "tokens of an answer", "score (%)")
            shown = {way: point for (way, at, of), point in points.items() if (at, of) == (place, metric)}
            _draw_panel(axes, shown, f"{slug(metric)}-{slug(place)}")
            _token_axis(axes, reach)
            axes.set_ylim(*ends)
            axes.tick_params(labelleft=column == 0)
    grid.note(f"Marks with {confidence:.0%} intervals")
    grid.legend([_handle(method) for method in LABELS])
    return grid.figure


def token_ticks(lower: float, upper: float) -> list[int]:
    """At most eight powers of two from `lower` to `upper`."""
    powers = range(math.ceil(math.log2(lower)), math.floor(math.log2(upper)) + 1)
    step = max(1, math.ceil(len(powers) / 8))
    return [2**power for power in powers if power >= 0][::step]


def _draw_panel(axes: Axes, shown: Mapping[str, Point], name: str) -> None:
    if not shown:
        not_run(axes)
    budgets = sorted((int(way.removeprefix(BUDGET)), point) for way, point in shown.items() if way.startswith(BUDGET))
    line = [point for _, point in budgets]
    (drawn,) = axes.plot(
        [point.tokens for point in line],
        [100 * point.score.mean for point in line],
        color=LIGHT[COLOURS["budget"]],
        linewidth=1.4,
        zorder=2,
        clip_on=False,
    )
    drawn.set_gid(f"{name}-budgets")
    for way, point in [*((BUDGET, point) for point in line), *shown.items()]:
        if way in LABELS or way == BUDGET:
            _draw_point(axes, way.strip(), point, name)


def _draw_point(axes: Axes, method: str, point: Point, name: str) -> None:
    colour = LIGHT[COLOURS[method]]
    place = {"color": colour, "linewidth": 1.2, "alpha": 0.7, "zorder": 3}
    draw_interval(axes, point.tokens, point.score, **place)
    style = _mark_style(method) | {"color": colour, "zorder": 3.5 if method == "control" else 4}
    mark = draw_mark(axes, point.tokens, point.score, MARKERS[method], **style)
    if method != "budget":
        mark.set_gid(f"{name}-{method.replace('_', '-')}")


def _token_axis(axes: Axes, reach: tuple[float, float]) -> None:
    ticks = token_ticks(*reach)
    axes.set_xscale("log", base=2)
    axes.set_xlim(*reach)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick}" if tick < 1024 else f"{tick // 1024}k" for tick in ticks])


def _mark_style(method: str) -> dict[str, Any]:
    """Size of a mark; the control's is hollow, so that a summary on the same spot is seen inside it."""
    hollow = {"markerfacecolor": LIGHT["surface"], "markeredgecolor": LIGHT[COLOURS[method]], "markeredgewidth": 1.3}
    return {"markersize": MARK_SIZES[method], **(hollow if method == "control" else {})}


def _handle(method: str) -> Line2D:
    line = {} if method == "budget" else {"linestyle": ""}
    style = {"color": LIGHT[COLOURS[method]], "marker": MARKERS[method], **_mark_style(method), **line}
    return Line2D([], [], label=LABELS[method], **style)  # type: ignore[arg-type]
