"""Answer-NLL curves: single trajectories above, a panel a question; below them means with bands, and differences."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from raml.claims.quantities.curves import GRID
from raml.report.charts.dots import draw_dot
from raml.report.charts.panels import MARK_SIZES, WIDTH, around_zero, legend, slug
from raml.report.entry import FigureEntry, Item
from raml.report.entry import Panel as Differences
from raml.report.numbers import MINUS, count
from raml.report.raw import PANELS, Followed, Panel
from raml.report.shown import Effects, Shown, scaled
from raml.report.theme import LIGHT, STYLES

HEIGHT: Final = 6.0
Y_LABEL: Final = "answer NLL (nats/token)"
Mean = tuple[Item, list[Shown]]


def draw(entry: FigureEntry, effects: Effects, followed: Followed) -> Figure:
    """Single trajectories with the outcome `options.single`, or `pairs` of both modes; means of the figure's series.

    A series has a quantity such as `NLL/correct`, of which the effects at all points of the grid are drawn. The
    figure's panels, if there are any, stand beside the means and have a difference in each of the figure's rows.
    """
    single = entry.options["single"]
    panels = followed.pairs() if single == "pairs" else followed.panels(single)
    means = [(one, levels) for one in entry.series if (levels := _levels(one, effects))]
    both = panels if single == "pairs" else [*followed.panels("correct"), *followed.panels("incorrect")]
    top = _top(both, means)
    figure = Figure(figsize=(WIDTH, HEIGHT))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08, wspace=0.0, hspace=0.06)
    lines = figure.add_gridspec(2, 1)
    above = lines[0].subgridspec(1, PANELS).subplots(squeeze=False)
    for number, axes in enumerate(np.ravel(above)):
        frame(axes, top, named=number == 0)
        if number < len(panels):
            _single(axes, panels[number], number + 1, paired=single == "pairs")
        else:
            nothing(axes, "no further question" if panels else "no trajectories\nat this scale")
    beside = entry.panels if means else []
    widths = [1.7 if beside else 1, *(1 for _ in beside)]
    below, *further = np.ravel(lines[1].subgridspec(1, len(widths), width_ratios=widths).subplots(squeeze=False))
    _means(below, means, top, named=not beside)
    below.set_title(entry.options["below"], loc="left", color=LIGHT["muted"])
    for number, (axes, panel) in enumerate(zip(further, beside, strict=True)):
        _differences(axes, panel, entry.rows, effects, named=number == 0)
    if single == "pairs":
        legend(figure, entry.series, entry.note, line=True)
    else:
        most = max((len(panel.curves) for panel in panels), default=0)
        names = [Item(label=f"trajectory {number}", like=f"series-{number}") for number in range(1, most + 1)]
        legend(figure, names, entry.note, line=True)
    return figure


def frame(axes: Axes, top: float, *, named: bool) -> None:
    """The y axis of an NLL, from 0 to `top`, with no grid along x."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=top > 4))
    axes.grid(axis="x", visible=False)
    axes.spines["left"].set_visible(False)
    if named:
        axes.set_ylabel(Y_LABEL)
    else:
        axes.tick_params(labelleft=False)


def nothing(axes: Axes, text: str) -> None:
    """`text` in place of a panel."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])


def shorten(text: str, length: int) -> str:
    """`text` in one line of at most `length` characters, with an ellipsis where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _levels(one: Item, effects: Effects) -> list[Shown]:
    """The means of a series at all points of the grid; none if one is missing."""
    name, _, kind = str(one.quantity).partition("/")
    found = [effects.find(one, quantity=f"{name}@{share:.2f}/{kind}", over="all benchmarks") for share in GRID]
    return [shown for shown in found if shown] if all(found) else []


def _top(panels: Sequence[Panel], means: Sequence[Mean]) -> float:
    highest = [0.1, *(float(curve.nll.max()) for panel in panels for curve in panel.curves)]
    highest += [shown.interval.upper if shown.interval else shown.estimate for _, levels in means for shown in levels]
    return 1.05 * max(highest)


def _single(axes: Axes, panel: Panel, number: int, *, paired: bool) -> None:
    for place, curve in enumerate(panel.curves, 1):
        style = STYLES[curve.mode if paired else f"series-{place}"]
        colour = LIGHT[style.colour]
        (line,) = axes.plot(curve.position, curve.nll, linestyle=style.dashes, color=colour, clip_on=False, zorder=3)
        line.set_gid(f"pair-{number}-{curve.mode}" if paired else f"curve-{number}-{place}")
        at = curve.half_fall * curve.length if paired else curve.position[-1]
        if paired and not curve.falls:
            continue
        height = np.interp([at], curve.position, curve.nll)
        (mark,) = axes.plot([at], height, style.marker, color=colour, clip_on=False, zorder=4)
        mark.set(markersize=MARK_SIZES[style.marker], markeredgecolor=LIGHT["surface"])
        if paired:
            mark.set_gid(f"half-{number}-{curve.mode}")
        if paired and place == 1:  # the other mode's mark fits into it
            mark.set(markersize=9, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.6)
    axes.set_xlim(0, max(1, *(curve.length for curve in panel.curves)))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("trajectory position (tokens)")
    axes.set_title(shorten(panel.question_id, 30), loc="left", pad=17, fontweight="bold")
    gold = f"gold answer: {shorten(panel.answer, 26)}"
    axes.text(0, 1.04, gold, transform=axes.transAxes, color=LIGHT["muted"], fontsize=8)


def _means(axes: Axes, means: Sequence[Mean], top: float, *, named: bool) -> None:
    if not means:
        nothing(axes, "no trajectories at this scale")
        return
    frame(axes, top, named=True)
    axes.set_xlim(0, 1)
    axes.set_xlabel("relative position (% of the trajectory's tokens)")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    for item, levels in means:
        style, intervals = STYLES[item.like], [scaled(shown, "plain") for shown in levels]
        colour = LIGHT[style.colour]
        lower, upper = ([getattr(one, end) for one in intervals] for end in ("lower", "upper"))
        axes.fill_between(GRID, lower, upper, color=colour, alpha=0.18, linewidth=0)
        (line,) = axes.plot(GRID, [shown.estimate for shown in levels], color=colour, linewidth=1.8, clip_on=False)
        line.set(linestyle=style.dashes, gid=f"mean-{slug(item.label)}")
        line.set_label(f"{item.label}\n{count(levels[0].n, 'trajectory')},\n{count(levels[0].questions, 'question')}")
    if named:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.0)


def _differences(axes: Axes, panel: Differences, rows: Sequence[Item], effects: Effects, *, named: bool) -> None:
    ends = []
    for place, row in enumerate(rows):
        drawn, found = scaled(shown := effects.find(panel, row), panel.show), shown
        if drawn is None or found is None or found.interval is None:
            text = axes.text(0, place, "too few", color=LIGHT["muted"], fontsize=8, ha="center", va="center")
            text.set_bbox({"facecolor": LIGHT["surface"], "edgecolor": "none", "pad": 1.5})
            continue
        ends += [drawn.lower, drawn.upper]
        draw_dot(axes, row, place, drawn, hollow=False, gid=f"{slug(panel.label)}-{place + 1}")
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_yticks(range(len(rows)), [row.label if named else "" for row in rows])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    around_zero(axes, ends or [0.0], panel)
    axes.set_title(panel.title, loc="left", color=LIGHT["muted"], pad=16)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(value, 6):g}".replace("-", MINUS)))
    axes.set_xlabel(panel.x)
