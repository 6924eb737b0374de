"""Drawing of Figure 9: scores against GRPO steps, a line for each number of trajectories in the update."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raml.report.scores_figure import slug
from raml.report.style import LIGHT, MARKERS
from raml.report.sweeps import Score, Scores, y_range

PANEL, HEAD, FOOT, GAP = 2.5, 0.78, 0.6, 0.5  # inches: a row's axes, above, below and between them
LEFT, RIGHT = 0.055, 0.985
FAINTEST: Final = 0.4  # opacity of the line of the smallest dose; the largest is opaque
SPREAD: Final = 0.34  # share of the smallest distance between steps over which intervals at one step stand
COLOUR: Final = "series-1"

Curves = Mapping[float, Mapping[int, str]]
"""By dose, the model after each number of steps."""


def draw_steps(
    curves: Curves,
    scores: Scores,
    places: Sequence[str],
    metrics: Sequence[str],
    *,
    group: int,
    confidence: float,
) -> Figure:
    """A row of panels for each metric, a column for each place; a row shares its y axis.

    Args:
        curves: models by dose and step; step 0 is where all of them start.
        scores: of all models.
        places: the columns.
        metrics: the rows.
        group: completions of a question, of which the dose is a part.
        confidence: of the intervals.
    """
    rows, columns = len(metrics), max(len(places), 1)
    height = HEAD + rows * PANEL + (rows - 1) * GAP + FOOT
    figure = Figure(figsize=(10, height))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=LEFT,
        right=RIGHT,
        top=1 - HEAD / height,
        bottom=FOOT / height,
        hspace=GAP / PANEL,
        wspace=0.09,
    )
    for row, metric in enumerate(metrics):
        ends = y_range({key: score for key, score in scores.items() if key[2] == metric})
        for column, place in enumerate(places):
            axes = figure.add_subplot(grid[row, column])
            _draw_panel(axes, curves, scores, place, metric)
            axes.set_ylim(*ends)
            axes.set_title(f"{metric}: {place}", loc="left", fontweight="bold")
            if column == 0:
                axes.set_ylabel(f"{metric} (%)")
            else:
                axes.tick_params(labelleft=False)
            if row == rows - 1:
                axes.set_xlabel("GRPO step")
    note = f"Update from n of {group} completions, with {confidence:.0%} intervals"
    figure.text(RIGHT, 1 - 0.14 / height, note, color=LIGHT["muted"], va="top", ha="right")
    _legend(figure, list(curves), 1 - 0.14 / height)
    return figure


def _draw_panel(axes: Axes, curves: Curves, scores: Scores, place: str, metric: str) -> None:
    steps = sorted({step for models in curves.values() for step in models})
    nearest = min((after - before for before, after in pairwise(steps)), default=1)
    found = {model: scores.get((model, place, metric)) for models in curves.values() for model in models.values()}
    for number, (dose, models) in enumerate(curves.items()):
        shift = (number / max(len(curves) - 1, 1) - 0.5) * SPREAD * nearest
        line = _draw_line(axes, {step: found[model] for step, model in models.items()}, shift, number, len(curves))
        line.set_gid(f"{slug(metric)}-{slug(place)}-n{dose:g}")
    start = next((found[models[0]] for models in curves.values()), None)
    if start:
        _draw_mark(axes, 0, start, "neutral", "o", 1.0, zorder=len(curves) + 4)
    if not any(found.values()):
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])
    axes.set_xticks(steps)
    axes.grid(axis="x", visible=False)
    axes.spines["left"].set_visible(False)


def _draw_line(axes: Axes, scores: Mapping[int, Score | None], shift: float, number: int, lines: int) -> Line2D:
    """The line of a dose from step 0, which all doses share, with marks `shift` beside the steps after it."""
    strength, order = opacity(number, lines), 3 + number
    at = [step + (shift if step > 0 else 0) for step in scores]
    means = [100 * score.mean if score else math.nan for score in scores.values()]
    (line,) = axes.plot(at, means, color=LIGHT[COLOUR], alpha=strength, linewidth=1.5, zorder=order, clip_on=False)
    for place, (step, score) in zip(at, scores.items(), strict=True):
        if score and step > 0:
            _draw_mark(axes, place, score, COLOUR, MARKERS[number % len(MARKERS)], strength, order)
    return line


def _draw_mark(axes: Axes, place: float, score: Score, colour: str, marker: str, strength: float, zorder: int) -> None:
    if score.interval:
        ends = 100 * score.interval.lower, 100 * score.interval.upper
        axes.vlines([place], *ends, color=LIGHT[colour], linewidth=1.1, alpha=strength, zorder=zorder, clip_on=False)
    (mark,) = axes.plot([place], [100 * score.mean], marker, color=LIGHT[colour], markersize=5, alpha=strength)
    mark.set(markeredgecolor=LIGHT["surface"], markeredgewidth=0.6, zorder=zorder, clip_on=False)


def opacity(number: int, lines: int) -> float:
    """Of a line's colour: doses are an order, and so are the strengths of one colour."""
    return FAINTEST + (1 - FAINTEST) * (number / (lines - 1) if lines > 1 else 1)


def _legend(figure: Figure, doses: Sequence[float], top: float) -> None:
    handles = [Line2D([], [], color=LIGHT["neutral"], marker="o", markersize=5, linestyle="", label="base")]
    handles += [
        Line2D(
            [],
            [],
            color=LIGHT[COLOUR],
            alpha=opacity(number, len(doses)),
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            label=f"n = {dose:g}",
        )
        for number, dose in enumerate(doses)
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=max(len(handles), 1),
        bbox_to_anchor=(LEFT, top),
        borderaxespad=0.0,
        columnspacing=1.4,
        handletextpad=0.5,
    )
