"""Drawing of Table 2's metrics: dots and intervals, a panel a metric, a row a benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raml.report.style import LIGHT, MODEL_COLOURS, MODEL_LABELS, MODEL_MARKERS

ROW = 0.62  # inches for one benchmark
HEAD, FOOT = 0.75, 0.5  # inches above and below the rows


@dataclass(frozen=True)
class Point:
    """A metric's value and the ends of its interval, as shares of 1."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Measured:
    """What was measured: `points` by (model, benchmark, metric), and the orders to show them in."""

    metrics: list[str]
    models: list[str]
    benchmarks: list[str]
    kinds: Mapping[str, str]
    questions: Mapping[str, int]
    seeds: int
    points: Mapping[tuple[str, str, str], Point]


def draw_metrics(measured: Measured, kind_labels: Mapping[str, str], confidence: float) -> Figure:
    """One panel for each metric over a shared axis of benchmarks; models side by side within a row."""
    height = HEAD + ROW * len(measured.benchmarks) + FOOT
    figure = Figure(figsize=(10, height))
    grid = figure.add_gridspec(
        1, len(measured.metrics), wspace=0.09, left=0.19, right=0.98, top=1 - HEAD / height, bottom=FOOT / height
    )
    for number, metric in enumerate(measured.metrics):
        axes = figure.add_subplot(grid[number])
        _frame(axes, len(measured.benchmarks))
        axes.set_title(metric, loc="left", fontweight="bold", pad=8)
        axes.set_xlabel(f"{metric} (%)")
        _draw_points(axes, measured, metric)
        if number == 0:
            _name_rows(axes, measured, kind_labels)
        else:
            axes.tick_params(labelleft=False)
    handles = [
        Line2D([], [], color=LIGHT[MODEL_COLOURS[m]], marker=MODEL_MARKERS[m], markersize=6.5, label=MODEL_LABELS[m])
        for m in measured.models
    ]
    anchor = (0.99, 1.0)
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), bbox_to_anchor=anchor)
    figure.text(0.19, 1 - 0.22 / height, f"Dots with {confidence:.0%} intervals", color=LIGHT["muted"])
    return figure


def _frame(axes: Axes, rows: int) -> None:
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25))
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks(range(rows))
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    for line in range(1, rows):
        axes.axhline(line - 0.5, color=LIGHT["line"], linewidth=0.6)


def _draw_points(axes: Axes, measured: Measured, metric: str) -> None:
    spread = 0.6 / max(len(measured.models), 1)
    for place, model in enumerate(measured.models):
        offset = (place - (len(measured.models) - 1) / 2) * spread
        points = [measured.points[model, benchmark, metric] for benchmark in measured.benchmarks]
        rows = [row + offset for row in range(len(points))]
        colour = LIGHT[MODEL_COLOURS[model]]
        ends = [100 * point.lower for point in points], [100 * point.upper for point in points]
        axes.hlines(rows, *ends, color=colour, linewidth=2, alpha=0.55, clip_on=False)
        (dots,) = axes.plot(
            [100 * point.value for point in points],
            rows,
            MODEL_MARKERS[model],
            color=colour,
            markersize=6.5,
            markeredgecolor=LIGHT["surface"],
            clip_on=False,
        )
        dots.set_gid(f"{metric}-{model}".lower().replace("@", ""))


def _name_rows(axes: Axes, measured: Measured, kind_labels: Mapping[str, str]) -> None:
    axes.set_yticklabels([])
    for row, name in enumerate(measured.benchmarks):
        axes.annotate(
            name, (-0.04, row), xycoords=("axes fraction", "data"), ha="right", va="bottom", annotation_clip=False
        )
        axes.annotate(
            f"{kind_labels[measured.kinds[name]]}, {measured.questions[name]:,} questions",
            (-0.04, row),
            xytext=(0, -3),
            textcoords="offset points",
            xycoords=("axes fraction", "data"),
            ha="right",
            va="top",
            fontsize=7.5,
            color=LIGHT["muted"],
            annotation_clip=False,
        )
