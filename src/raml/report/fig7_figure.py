"""Drawing of Figure 7: scores and leads over the base, a row a benchmark, grouped by distance from training."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raml.evaluation.intervals import Interval
from raml.report.scores_figure import (
    EDGE,
    Dots,
    Line,
    Rows,
    difference_axis,
    legend,
    model_dots,
    percent_axis,
    percent_interval,
    sides,
)
from raml.report.style import LIGHT

HEAD, FOOT = 0.95, 0.55  # inches above and below the rows
LEFT, RIGHT = 0.175, 0.985
LEAST = 5  # percentage points that a panel of leads shows to both sides in any case


@dataclass(frozen=True)
class Panel:
    """One metric: for each model its scores and its leads over the base, an entry a row, as shares of 1."""

    metric: str
    scores: dict[str, list[Interval | None]]
    leads: dict[str, list[Interval | None]]


def draw_generalisation(lines: Sequence[Line], panels: Sequence[Panel], confidence: float) -> Figure:
    """For each metric a panel of scores and, right of it, one of leads over the base."""
    models = list(panels[0].scores)
    rows = Rows(lines, len(models))
    height = HEAD + rows.height + FOOT
    figure = Figure(figsize=(10, height))
    box = {"left": LEFT, "right": RIGHT, "top": 1 - HEAD / height, "bottom": FOOT / height}
    grid = figure.add_gridspec(1, len(panels), wspace=0.09, **box)
    for number, panel in enumerate(panels):
        pair = grid[number].subgridspec(1, 2, wspace=0.09)
        scores, leads = figure.add_subplot(pair[0]), figure.add_subplot(pair[1])
        _draw_scores(scores, rows, panel)
        _draw_leads(leads, rows, panel)
        if number == 0:
            rows.name(scores)
    legend(figure, [model_dots(model, []) for model in models], RIGHT, 1 - 0.14 / height)
    figure.text(EDGE, 1 - 0.14 / height, f"Dots with {confidence:.0%} intervals", color=LIGHT["muted"], va="top")
    return figure


def _draw_scores(axes: Axes, rows: Rows, panel: Panel) -> None:
    rows.frame(axes)
    percent_axis(axes)
    rows.draw(axes, _series(panel.scores), panel.metric)
    axes.set_title(panel.metric, loc="left", fontweight="bold", pad=20)
    axes.set_xlabel(f"{panel.metric} (%)")


def _draw_leads(axes: Axes, rows: Rows, panel: Panel) -> None:
    nothing: list[Interval | None] = [None] * len(rows.lines)
    series = _series({model: panel.leads.get(model, nothing) for model in panel.scores})  # places as in the scores
    rows.frame(axes)
    difference_axis(axes, series, LEAST)
    rows.draw(axes, series, f"{panel.metric}-lead")
    axes.set_title("lead over the base", loc="left", color=LIGHT["muted"], pad=20)
    axes.set_xlabel("percentage points")
    sides(axes, "worse", "better")


def _series(intervals: dict[str, list[Interval | None]]) -> list[Dots]:
    return [model_dots(model, [percent_interval(one) for one in found]) for model, found in intervals.items()]
