"""Drawing of where a run's time went: a bar for each rule."""

from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raml.lineage.timings import Times
from raml.report.numbers import count, percent
from raml.report.style import LIGHT

SHOWN: Final = 15  # rules; the others share a bar
ROW, HEAD, FOOT = 0.27, 0.15, 0.5  # inches: a bar, above, below
LEFT, RIGHT = 0.22, 0.985


def draw_times(times: Times) -> Figure:
    """Bars of wall-clock seconds, the longest rule first, with its share and number of jobs."""
    rules = times.rules if len(times.rules) <= SHOWN else times.rules[: SHOWN - 1]
    others = times.rules[len(rules) :]
    bars = [(rule.rule, rule.seconds, rule.share, rule.jobs) for rule in rules]
    if others:
        bars.append(
            (
                f"{len(others)} other rules",
                sum(rule.seconds for rule in others),
                sum(rule.share for rule in others),
                sum(rule.jobs for rule in others),
            )
        )
    height = HEAD + ROW * len(bars) + FOOT
    figure = Figure(figsize=(10, height))
    axes = figure.add_subplot(
        figure.add_gridspec(1, 1, left=LEFT, right=RIGHT, top=1 - HEAD / height, bottom=FOOT / height)[0]
    )
    longest = max(seconds for _, seconds, _, _ in bars)
    for place, (name, seconds, share, jobs) in enumerate(bars):
        colour = LIGHT["neutral" if others and place == len(bars) - 1 else "series-1"]
        (bar,) = axes.barh([place], [seconds], height=0.62, color=colour)
        bar.set_gid(f"bar-{place}")
        text = f"{seconds:,.0f} s, {percent(share)}%, {count(jobs, 'job')}"
        axes.annotate(
            text,
            (seconds, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=LIGHT["muted"],
            fontsize=8,
        )
        axes.annotate(
            name,
            (0, place),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xlim(0, 1.22 * max(longest, 0.1))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("wall-clock seconds of all jobs")
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    return figure
