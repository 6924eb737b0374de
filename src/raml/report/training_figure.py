"""Drawing of the outer loop's curves: a band of panels for each technique, a panel for each quantity."""

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from raml.report.style import LIGHT, MODEL_COLOURS, MODEL_LABELS
from raml.report.training_curves import Curves, Quantity, Technique

COLUMNS: Final = 4
PANEL, BETWEEN, FOOT = 1.35, 0.68, 0.45  # inches: axes, between rows, below
HEADING, APART = 0.62, 0.52  # a technique's heading, and between it and the row above
LEFT, RIGHT = 0.05, 0.985
LEAST: Final = 1  # per cent that an axis of shares reaches up to
DASHES: Final = ("-", (0, (4, 1.5)))


def draw_training(techniques: Sequence[Technique], curves: Curves) -> Figure:
    """Every technique's drawn quantities against the optimiser steps: seeds thin, their mean bold."""
    rows = [(technique, start) for technique in techniques for start in range(0, len(technique.drawn), COLUMNS)]
    heights = [BETWEEN if start else HEADING + (APART if row else 0) for row, (_, start) in enumerate(rows)]
    height = sum(heights) + PANEL * len(rows) + FOOT
    figure = Figure(figsize=(10, height))
    top = 0.0
    for (technique, start), above in zip(rows, heights, strict=True):
        if start == 0:
            _heading(figure, technique, curves, 1 - (top + above - HEADING + 0.1) / height)
        top += above
        grid = figure.add_gridspec(
            1, COLUMNS, left=LEFT, right=RIGHT, top=1 - top / height, bottom=1 - (top + PANEL) / height, wspace=0.24
        )
        for column, quantity in enumerate(technique.drawn[start : start + COLUMNS]):
            _draw_panel(figure.add_subplot(grid[column]), technique, quantity, curves)
        top += PANEL
    return figure


def _heading(figure: Figure, technique: Technique, curves: Curves, top: float) -> None:
    figure.text(0.006, top, technique.name, fontweight="bold", fontsize=11, va="top")
    handles = [
        Line2D(
            [],
            [],
            color=LIGHT[MODEL_COLOURS[model]],
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.8,
            label=MODEL_LABELS[model] + ("" if is_logged(curves, model) else ", not run"),
        )
        for number, model in enumerate(technique.models)
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=max(len(handles), 1),
        bbox_to_anchor=(0.075, top - 0.002),
        borderaxespad=0.0,
        borderpad=0.0,
        columnspacing=1.4,
        handlelength=2.4,
    )


def is_logged(curves: Curves, model: str) -> bool:
    """Whether anything of the model was logged."""
    return any(name == model for name, _ in curves)


def _draw_panel(axes: Axes, technique: Technique, quantity: Quantity, curves: Curves) -> None:
    scale = 100 if quantity.unit == "%" else 1
    drawn = False
    for number, model in enumerate(technique.models):
        curve = curves.get((model, quantity.name))
        if curve is None:
            continue
        drawn, colour = True, LIGHT[MODEL_COLOURS[model]]
        marker = "o" if curve.steps.size == 1 else ""
        for seed in curve.seeds if len(curve.seeds) > 1 else []:
            axes.plot(curve.steps, scale * seed, color=colour, linewidth=0.7, alpha=0.35, zorder=2, clip_on=False)
        style = {"color": colour, "linestyle": DASHES[number % len(DASHES)], "marker": marker, "markersize": 4}
        (line,) = axes.plot(curve.steps, scale * curve.mean, linewidth=1.7, zorder=3, clip_on=False, **style)  # type: ignore[arg-type]
        line.set_gid(f"{technique.name.lower()}-{quantity.name}-{model}")
    axes.set_title(quantity.label, loc="left")
    axes.grid(axis="x", visible=False)
    axes.spines["left"].set_visible(False)
    if not drawn:
        axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", va="center", color=LIGHT["muted"])
        axes.set(xticks=[], yticks=[])
        return
    if quantity.unit == "%":
        lower, upper = axes.get_ylim()
        axes.set_ylim(max(lower, 0), max(min(upper, 100), LEAST))
    axes.set_xlabel(f"{technique.name} step", labelpad=2, fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
