"""Drawing of Table 3: zero-GRPO and GRPO from a cold start, by benchmark and against the base's long share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from raml.report.scores_figure import (
    EDGE,
    MARK_SIZES,
    Dots,
    Line,
    Rows,
    difference_axis,
    legend,
    percent_axis,
    percent_interval,
    sides,
    slug,
)
from raml.report.style import LIGHT
from raml.report.tab3_scores import Scores

HEAD, BETWEEN, AGAINST, FOOT = 0.95, 1.35, 2.3, 0.55  # inches: above, between the halves, of the lower one, below
LEFT, RIGHT = 0.165, 0.985
LEAST = 5  # percentage points that a panel of leads shows to both sides in any case
STEP = 0.045  # between models at the same long share, as a part of the axis
LEAD = ("lead", "cold start's lead", "ink", "o")


@dataclass(frozen=True)
class Against:
    """The long shares of the base models, ascending, and for each metric what was measured at them."""

    shares: Sequence[float]
    panels: Sequence[Scores]


def draw_cold_start(
    lines: Sequence[Line], panels: Sequence[Scores], against: Against | None, confidence: float
) -> Figure:
    """Benchmarks of the main base model above; below, where there are several base models, their long share."""
    rows = Rows(lines, len(panels[0].roles))
    lower = BETWEEN + AGAINST if against else 0.0
    height = HEAD + rows.height + lower + FOOT
    figure = Figure(figsize=(10, height))
    upper = _grid(figure, len(panels), 1 - HEAD / height, 1 - (HEAD + rows.height) / height)
    for number, panel in enumerate(panels):
        scores, leads = _pair(figure, upper, number)
        _by_benchmark(scores, leads, rows, panel)
        if number == 0:
            rows.name(scores)
    if against:
        below = _grid(figure, len(panels), (FOOT + AGAINST) / height, FOOT / height)
        for number, panel in enumerate(against.panels):
            scores, leads = _pair(figure, below, number)
            _against_share(scores, leads, against.shares, panel)
        title = "Several base models, by the share of long trajectories in their documents; questions pooled"
        figure.text(EDGE, (FOOT + AGAINST + 0.48) / height, title, fontweight="bold")
    legend(figure, [dots for dots in panels[0].roles if any(dots.intervals)], RIGHT, 1 - 0.14 / height)
    figure.text(
        EDGE,
        1 - 0.14 / height,
        f"Dots with {confidence:.0%} intervals; hollow: the paper's",
        color=LIGHT["muted"],
        va="top",
    )
    return figure


def _measured(axes: Axes, panel: Scores) -> bool:
    """Whether the cold start has a lead; an empty panel says that it has not."""
    known = any(panel.leads)
    if not known:
        box = {"facecolor": LIGHT["surface"], "edgecolor": "none"}
        style = {"transform": axes.transAxes, "ha": "center", "va": "center", "color": LIGHT["muted"]}
        axes.text(0.5, 0.5, "not run yet", bbox=box, **style)  # type: ignore[arg-type]
        axes.set_xticks([])
    return known


def _grid(figure: Figure, columns: int, top: float, bottom: float) -> GridSpec:
    return figure.add_gridspec(1, columns, wspace=0.12, left=LEFT, right=RIGHT, top=top, bottom=bottom)


def _pair(figure: Figure, grid: GridSpec, number: int) -> tuple[Axes, Axes]:
    pair = grid[number].subgridspec(1, 2, wspace=0.2)
    return figure.add_subplot(pair[0]), figure.add_subplot(pair[1])


def _by_benchmark(scores: Axes, leads: Axes, rows: Rows, panel: Scores) -> None:
    rows.frame(scores)
    percent_axis(scores)
    rows.draw(scores, [_percent(dots) for dots in panel.roles], panel.metric)
    scores.set_title(panel.metric, loc="left", fontweight="bold", pad=20)
    scores.set_xlabel(f"{panel.metric} (%)")
    lead = _percent(Dots(*LEAD, panel.leads))
    rows.frame(leads)
    difference_axis(leads, [lead], LEAST)
    rows.draw(leads, [lead], panel.metric)
    leads.set_title("cold start's lead", loc="left", color=LIGHT["muted"], pad=20)
    if _measured(leads, panel):
        leads.set_xlabel("percentage points")
        sides(leads, "worse", "better")


def _against_share(scores: Axes, leads: Axes, shares: Sequence[float], panel: Scores) -> None:
    at = 100 * np.asarray(shares)
    for place, dots in enumerate(panel.roles):
        offset = (place - (len(panel.roles) - 1) / 2) * _step(at)
        _draw_against(scores, at + offset, _percent(dots), f"shares-{panel.metric}")
    lead = _percent(Dots(*LEAD, panel.leads))
    _draw_against(leads, at, lead, f"shares-{panel.metric}")
    scores.set_ylim(bottom=0)
    scores.set_title(f"{panel.metric} (%)", loc="left", fontweight="bold", pad=6)
    leads.axhline(0, color=LIGHT["neutral"], linewidth=1.1, zorder=1)
    lower, upper = leads.get_ylim()
    leads.set_ylim(min(lower, -LEAST), max(upper, LEAST))
    leads.set_title("cold start's lead (points)", loc="left", color=LIGHT["muted"], pad=6)
    _measured(leads, panel)
    margin = 0.17 * (at[-1] - at[0])
    for axes in (scores, leads):
        axes.set_xlim(at[0] - margin, at[-1] + margin)
        axes.set_xticks(at, [f"{share:g}" for share in at])
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("long share of the base (%)")


def _draw_against(axes: Axes, at: np.ndarray, dots: Dots, panel: str) -> None:
    known = [(x, interval) for x, interval in zip(at, dots.intervals, strict=True) if interval]
    if not known:
        return
    places, colour = [x for x, _ in known], LIGHT[dots.colour]
    ends = [interval.lower for _, interval in known], [interval.upper for _, interval in known]
    axes.vlines(places, *ends, color=colour, linewidth=1.8, alpha=0.55)
    estimates = [interval.estimate for _, interval in known]
    axes.plot(places, estimates, color=colour, linewidth=0.9, alpha=0.55)
    (marks,) = axes.plot(places, estimates, dots.marker, color=colour, markersize=MARK_SIZES[dots.marker])
    marks.set(markeredgecolor=LIGHT["surface"], markeredgewidth=0.6)
    marks.set_gid(f"{slug(panel)}-{dots.name}")


def _step(at: np.ndarray) -> float:
    """Distance between models at one share: readable, and no more than a fifth of the way to the next share."""
    return float(min(STEP * (at[-1] - at[0]), np.diff(at).min() / 5))


def _percent(dots: Dots) -> Dots:
    intervals = [percent_interval(interval) for interval in dots.intervals]
    return Dots(dots.name, dots.label, dots.colour, dots.marker, intervals)
