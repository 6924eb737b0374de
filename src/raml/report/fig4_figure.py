"""Drawing of Figure 4: published models' scores against training-set size, a row of panels a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from raml.config import CommunityModel
from raml.report.scores_figure import MARK_SIZES, slug
from raml.report.style import LIGHT
from raml.report.sweeps import Score, Scores, y_range
from raml.report.sweeps_figure import LEFT, RIGHT, Sizes, draw_interval, draw_mark, panels

SIZES: Final = Sizes(panel=1.75, gap=0.5, head=0.7, foot=0.6)
KEY_LINE = 0.19  # inches for a line of the key
MARGIN: Final = 1.6  # factor by which the x axis reaches beyond the smallest and the largest training set


@dataclass(frozen=True)
class Policy:
    """How models of one kind of training are named and drawn."""

    label: str
    colour: str
    marker: str


POLICIES: Final[Mapping[str, Policy]] = {
    "on_policy": Policy("On-policy", "series-3", "^"),
    "off_policy": Policy("Off-policy", "series-2", "s"),
}


def draw_community(
    community: Mapping[str, CommunityModel],
    scores: Scores,
    places: Sequence[str],
    metrics: Sequence[str],
    confidence: float,
) -> Figure:
    """A row of panels for each place, which shares its y axis, a column for each metric, a key at the foot.

    Args:
        community: the models, numbered in this order.
        scores: of all models.
        places: the rows.
        metrics: the columns.
        confidence: of the intervals.
    """
    key = max(sum(one.training == policy for one in community.values()) for policy in POLICIES) * KEY_LINE + KEY_LINE
    grid = panels(len(places), len(metrics), replace(SIZES, foot=SIZES.foot + key))
    for row, place in enumerate(places):
        ends = y_range({key: score for key, score in scores.items() if key[1] == place})
        for column, metric in enumerate(metrics):
            axes = grid.add(row, column, f"{place}: {metric}", "training questions", "score (%)")
            _draw_panel(axes, community, {model: scores.get((model, place, metric)) for model in community})
            axes.set_gid(f"{slug(place)}-{slug(metric)}")
            axes.set_ylim(*ends)
    grid.note(f"Marks with {confidence:.0%} intervals, numbered by training-set size", right=False)
    _write_key(grid.figure, community, key, grid.height)
    return grid.figure


def _draw_panel(axes: Axes, community: Mapping[str, CommunityModel], scores: Mapping[str, Score | None]) -> None:
    axes.set_xscale("log")
    sizes = [one.questions for one in community.values()]
    axes.set_xlim(min(sizes) / MARGIN, max(sizes) * MARGIN)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    for number, (model, one) in enumerate(community.items(), 1):
        score = scores[model]
        if score is None:
            continue
        policy = POLICIES[one.training]
        colour = LIGHT[policy.colour]
        top = 100 * (score.interval.upper if score.interval else score.mean)
        draw_interval(axes, one.questions, score, color=colour, linewidth=1.2, alpha=0.7, zorder=3)
        style = {"color": colour, "markeredgecolor": colour, "markersize": MARK_SIZES[policy.marker], "zorder": 4}
        draw_mark(axes, one.questions, score, policy.marker, **style)
        above = {"textcoords": "offset points", "xytext": (0, 2), "ha": "center", "va": "bottom", "fontsize": 8}
        axes.annotate(str(number), (one.questions, top), **above)  # type: ignore[arg-type]


def _write_key(figure: Figure, community: Mapping[str, CommunityModel], key: float, height: float) -> None:
    """Names and numbers of the models, a column for each kind of training, in the lowest `key` inches."""
    for column, (policy, style) in enumerate(POLICIES.items()):
        left = LEFT + column * (RIGHT - LEFT) / 2
        lines = [
            f"{number}  {model} ({one.questions:,})"
            for number, (model, one) in enumerate(community.items(), 1)
            if one.training == policy
        ]
        top = (key - 0.04) / height
        handle = Line2D(
            [], [], linestyle="", color=LIGHT[style.colour], marker=style.marker, markersize=MARK_SIZES[style.marker]
        )
        figure.legend(
            [handle],
            [style.label],
            loc="upper left",
            bbox_to_anchor=(left - 0.01, top),
            borderaxespad=0.0,
            borderpad=0.0,
            handletextpad=0.2,
        )
        for line, text in enumerate(lines, 1):
            figure.text(left, top - line * KEY_LINE / height, text, fontsize=8, va="top", color=LIGHT["muted"])
