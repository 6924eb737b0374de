"""The curves of a viewer's page as a figure, a panel a trajectory."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from unicodedata import east_asian_width

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from raml.report.charts.svg import drawing, write_svg
from raml.report.numbers import count
from raml.report.theme import LIGHT
from raml.report.viewer import Followed, Series, Viewer

WIDTH = 9  # inches
COLUMNS = 2
COLOURS = ("ink", "series-4", "series-3", "accent", "neutral")  # of the `MOST_ANSWERS` answers, as on the page
Y_LABEL = "answer NLL (nats/token)"


def write_figure(viewer: Viewer, path: Path) -> None:
    """Draw all curves as SVG: a colour an answer, dashes for no-thinking mode.

    Raises:
        RamlError: the file cannot be written.
    """
    answers = list(dict.fromkeys(series.answer for series in viewer.series))
    description = (
        f"The mean negative log-likelihood of {count(len(answers), 'answer')} after each prefix of "
        f"{', '.join(trajectory.name for trajectory in viewer.trajectories)}; the gold answer is {answers[0]}."
    )
    with drawing():
        figure = _draw(viewer, answers)
        write_svg(figure, path, name="curves", title=f"Answer NLL of {viewer.model}", description=description)


def _draw(viewer: Viewer, answers: Sequence[str]) -> Figure:
    columns = min(COLUMNS, len(viewer.trajectories))
    rows = math.ceil(len(viewer.trajectories) / columns)
    keys = legend_columns([_label(series) for series in viewer.series])
    head = 0.3 + 0.2 * math.ceil(len(viewer.series) / keys)  # inches for the legend
    height = 2.9 * rows + head
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.07,
        right=0.98,
        bottom=0.5 / height,
        top=1 - (head + 0.15) / height,
        hspace=0.5,
        wspace=0.14,
    )
    top = max(value for trajectory in viewer.trajectories for nll in trajectory.nll for value in nll) or 1.0
    for index, trajectory in enumerate(viewer.trajectories):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        _panel(axes, trajectory, viewer.series, answers, 1.04 * top)
        if index % columns == 0:
            axes.set_ylabel(Y_LABEL)
    handles = [
        Line2D([], [], color=_colour(answers, series.answer), linestyle=_dashes(series), label=_label(series))
        for series in viewer.series
    ]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.06, 1.0), ncols=keys)
    return figure


def _panel(axes: Axes, trajectory: Followed, series: Sequence[Series], answers: Sequence[str], top: float) -> None:
    for one, nll in reversed(list(zip(series, trajectory.nll, strict=True))):  # the gold answer on top
        width = 1.6 if one.gold else 1.0
        axes.plot(
            trajectory.positions, nll, _dashes(one), color=_colour(answers, one.answer), linewidth=width, clip_on=False
        )
    axes.set_ylim(0, top)
    axes.set_xlim(0, max(1, len(trajectory.tokens)))
    axes.grid(axis="x", visible=False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("tokens read")
    axes.set_title(trajectory.name, loc="left", fontweight="bold")


def legend_columns(labels: Sequence[str]) -> int:
    """How many columns of `labels` fit the figure's width, at most 4."""
    longest = max(sum(2 if east_asian_width(letter) in "WF" else 1 for letter in label) for label in labels)
    return max(1, min(4, len(labels), int((WIDTH - 0.7) / (0.55 + 0.08 * longest))))


def _colour(answers: Sequence[str], answer: str) -> str:
    return LIGHT[COLOURS[answers.index(answer)]]


def _dashes(series: Series) -> Literal["-", "--"]:
    return "-" if series.mode == "thinking" else "--"


def _label(series: Series) -> str:
    answer = series.answer if len(series.answer) <= 24 else f"{series.answer[:23]}…"
    return f"{answer}{' (gold)' if series.gold else ''}, {series.mode.replace('_', ' ')}"
