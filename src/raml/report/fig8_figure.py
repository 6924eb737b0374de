"""Drawing of Figure 8: scores against trajectories per question, a row of panels a source of trajectories."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from raml.report.scores_figure import slug
from raml.report.style import LIGHT, MARKERS, SERIES
from raml.report.sweeps import Score, Scores, y_range
from raml.report.sweeps_figure import Sizes, draw_interval, draw_mark, not_run
from raml.report.sweeps_figure import panels as grid_of
from raml.runs import Series

DOSE: Final = "different trajectories a question"
SIZES: Final = Sizes(panel=2.25, gap=0.5, head=0.72, foot=0.55)
SIDESTEP: Final = 0.07  # of the metrics' intervals, in doublings


@dataclass(frozen=True)
class Panel:
    """One source at one place: its models by dose, and whether most training questions have so many solutions.

    Unless it `decides`, the claim leaves the place out.
    """

    style: str
    place: str
    series: Series
    enough: Sequence[bool]
    decides: bool


def draw_doses(panels: Sequence[Panel], scores: Scores, metrics: Sequence[str], confidence: float) -> Figure:
    """A row of panels for each style, a column for each place; all share their y axis.

    Args:
        panels: row by row.
        scores: of all models.
        metrics: one line each.
        confidence: of the intervals.
    """
    styles = list(dict.fromkeys(panel.style for panel in panels))
    columns = max((sum(panel.style == style for panel in panels) for style in styles), default=1)
    grid = grid_of(len(styles), columns, SIZES)
    ends = y_range(scores)
    for row, style in enumerate(styles):
        for column, panel in enumerate(panel for panel in panels if panel.style == style):
            title = f"{panel.style}: {panel.place}{'' if panel.decides else ' (not deciding)'}"
            axes = grid.add(row, column, title, DOSE, "score (%)")
            _draw_panel(axes, panel, scores, metrics)
            axes.set_ylim(*ends)
            axes.tick_params(labelleft=column == 0)
    grid.note(f"Marks with {confidence:.0%} intervals, thin lines are single seeds")
    grid.legend(_handles(metrics))
    return grid.figure


def _draw_panel(axes: Axes, panel: Panel, scores: Scores, metrics: Sequence[str]) -> None:
    doses = panel.series.doses
    for number, metric in enumerate(metrics):
        colour, marker = LIGHT[SERIES[number]], MARKERS[number]
        shift = (number - (len(metrics) - 1) / 2) * SIDESTEP
        found = [scores.get((model, panel.place, metric)) for model in panel.series.models]
        _draw_seeds(axes, doses, found, colour)
        name = f"{panel.style}-{slug(panel.place)}-{slug(metric)}"
        means = [100 * score.mean if score else math.nan for score in found]
        (line,) = axes.plot(np.log2(doses), means, color=colour, linewidth=1.6, zorder=3, clip_on=False)
        line.set_gid(f"{name}-mean")
        for dose, score, enough in zip(doses, found, panel.enough, strict=True):
            if score:
                _draw_score(axes, float(np.log2(dose)), shift, score, colour, marker, hollow=not enough)
    if not any((model, panel.place, metrics[0]) in scores for model in panel.series.models):
        not_run(axes)
    axes.set_xticks(np.log2(doses), [f"{dose:g}" for dose in doses])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(np.log2(doses[0]) - 0.3, np.log2(doses[-1]) + 0.3)


def _draw_seeds(axes: Axes, doses: Sequence[float], scores: Sequence[Score | None], colour: str) -> None:
    seeds = sorted({seed for score in scores if score for seed in score.seeds})
    for seed in seeds if len(seeds) > 1 else []:
        values = [100 * score.seeds.get(seed, math.nan) if score else math.nan for score in scores]
        axes.plot(np.log2(doses), values, color=colour, linewidth=0.8, alpha=0.35, zorder=2)


def _draw_score(
    axes: Axes, place: float, shift: float, score: Score, colour: str, marker: str, *, hollow: bool
) -> None:
    draw_interval(axes, place + shift, score, color=colour, linewidth=1.2, alpha=0.7, zorder=3)
    edge = {"markerfacecolor": LIGHT["surface"], "markeredgecolor": colour, "markeredgewidth": 1.2} if hollow else {}
    draw_mark(axes, place, score, marker, color=colour, markersize=5.5, zorder=4, **edge)


def _handles(metrics: Sequence[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=LIGHT[SERIES[number]], marker=MARKERS[number], markersize=5.5, label=metric)
        for number, metric in enumerate(metrics)
    ]
    hollow = {"markerfacecolor": LIGHT["surface"], "markeredgecolor": LIGHT["muted"], "markeredgewidth": 1.2}
    label = "half of the questions or more have fewer solutions"
    return [*handles, Line2D([], [], linestyle="", marker="o", markersize=5.5, label=label, **hollow)]  # type: ignore[arg-type]
