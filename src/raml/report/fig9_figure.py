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
from raml.report.sweeps_figure import Sizes, draw_interval, draw_mark, not_run, panels

SIZES: Final = Sizes(panel=2.5, gap=0.5, head=0.78, foot=0.6)
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
    grid = panels(len(metrics), len(places), SIZES)
    for row, metric in enumerate(metrics):
        ends = y_range({key: score for key, score in scores.items() if key[2] == metric})
        for column, place in enumerate(places):
            axes = grid.add(row, column, f"{metric}: {place}", "GRPO step", f"{metric} (%)")
            _draw_panel(axes, curves, scores, place, metric)
            axes.set_ylim(*ends)
            axes.tick_params(labelleft=column == 0)
    grid.note(f"Update from n of {group} completions, with {confidence:.0%} intervals")
    grid.legend(_handles(list(curves)))
    return grid.figure


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
        _draw_score(axes, 0, start, "neutral", "o", 1.0, zorder=len(curves) + 4)
    if not any(found.values()):
        not_run(axes)
    axes.set_xticks(steps)


def _draw_line(axes: Axes, scores: Mapping[int, Score | None], shift: float, number: int, lines: int) -> Line2D:
    """The line of a dose from step 0, which all doses share, with marks `shift` beside the steps after it."""
    strength, order = opacity(number, lines), 3 + number
    at = [step + (shift if step > 0 else 0) for step in scores]
    means = [100 * score.mean if score else math.nan for score in scores.values()]
    (line,) = axes.plot(at, means, color=LIGHT[COLOUR], alpha=strength, linewidth=1.5, zorder=order, clip_on=False)
    for place, (step, score) in zip(at, scores.items(), strict=True):
        if score and step > 0:
            _draw_score(axes, place, score, COLOUR, MARKERS[number % len(MARKERS)], strength, order)
    return line


def _draw_score(axes: Axes, place: float, score: Score, colour: str, marker: str, strength: float, zorder: int) -> None:
    style = {"color": LIGHT[colour], "alpha": strength, "zorder": zorder}
    draw_interval(axes, place, score, linewidth=1.1, **style)
    draw_mark(axes, place, score, marker, markersize=5, **style)


def opacity(number: int, lines: int) -> float:
    """Of a line's colour: doses are an order, and so are the strengths of one colour."""
    return FAINTEST + (1 - FAINTEST) * (number / (lines - 1) if lines > 1 else 1)


def _handles(doses: Sequence[float]) -> list[Line2D]:
    handles = [Line2D([], [], color=LIGHT["neutral"], marker="o", markersize=5, linestyle="", label="base")]
    for number, dose in enumerate(doses):
        style = {"alpha": opacity(number, len(doses)), "marker": MARKERS[number % len(MARKERS)], "markersize": 5}
        handles.append(Line2D([], [], color=LIGHT[COLOUR], label=f"n = {dose:g}", **style))  # type: ignore[arg-type]
    return handles
