"""Drawing of Table 2's metrics: dots and intervals, a panel a metric, a row a benchmark."""

from matplotlib.figure import Figure

from raml.report.scores import KINDS, Measured, Reported, comparable, reported_scores
from raml.report.scores_figure import (
    EDGE,
    Dots,
    Line,
    Rows,
    legend,
    model_dots,
    percent_axis,
    percent_interval,
    with_reported_lines,
)
from raml.report.style import LIGHT

HEAD, FOOT = 0.75, 0.5  # inches above and below the rows
LEFT = 0.19


def draw_metrics(measured: Measured, reported: Reported, confidence: float) -> Figure:
    """One panel for each metric over shared rows of benchmarks, the paper's below; models side by side within a row."""
    reported = comparable(reported, measured.metrics)
    rows = Rows(with_reported_lines(benchmark_lines(measured), reported), len(measured.models))
    height = HEAD + rows.height + FOOT
    figure = Figure(figsize=(10, height))
    box = {"left": LEFT, "right": 0.98, "top": 1 - HEAD / height, "bottom": FOOT / height}
    grid = figure.add_gridspec(1, len(measured.metrics), wspace=0.09, **box)
    series: list[Dots] = []
    for number, metric in enumerate(measured.metrics):
        series = [
            model_dots(model, list(map(percent_interval, scores)))
            for model in measured.models
            if (scores := [*measured.of(model, metric), *reported_scores(reported, model, metric)])
        ]
        axes = figure.add_subplot(grid[number])
        rows.frame(axes)
        percent_axis(axes)
        axes.set_title(metric, loc="left", fontweight="bold", pad=8)
        axes.set_xlabel(f"{metric} (%)")
        rows.draw(axes, series, metric)
        if number == 0:
            rows.name(axes)
    legend(figure, series, 0.98, 1 - 0.14 / height)
    figure.text(
        EDGE,
        1 - 0.14 / height,
        f"Dots with {confidence:.0%} intervals; hollow: reported by the paper",
        color=LIGHT["muted"],
        va="top",
    )
    return figure


def benchmark_lines(measured: Measured) -> list[Line]:
    """A row for each benchmark: its name, and in small print its kind and size."""
    return [
        Line(name, f"{KINDS[measured.kinds[name]]}, {measured.questions[name]:,} questions")
        for name in measured.benchmarks
    ]
