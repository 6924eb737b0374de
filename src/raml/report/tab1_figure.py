"""Drawing of Table 1: the outer loss before and after each training, for both sources of trajectories."""

from collections.abc import Collection, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from raml.evaluation.intervals import Interval
from raml.report.scores_figure import (
    EDGE,
    MARK_SIZES,
    Dots,
    Line,
    Rows,
    difference_axis,
    draw_dots,
    model_dots,
    sides,
)
from raml.report.style import LIGHT, MODEL_LABELS
from raml.report.tab1_losses import SOURCES, TECHNIQUES, Fall, Falls, Source

HEAD, FOOT = 1.0, 0.55  # inches above and below the rows
LEFT, RIGHT = 0.165, 0.985
APART = 0.1  # inches of before and after from the middle of their row
LEAST = 0.05  # nats that a panel of falls shows to both sides in any case
POLICIES = {"SFT": "off-policy", "DPO": "off-policy", "GRPO": "on-policy"}
TINT = {"color": LIGHT["accent"], "alpha": 0.1, "linewidth": 0}


def draw_losses(
    found: Falls, starts: Mapping[str, str], deciding: Collection[tuple[str, Source]], confidence: float
) -> Figure:
    """For each source the loss before and after and, right of it, its fall; rows are the trained models.

    Args:
        found: by model and source; models without an entry have not been run.
        starts: what each was trained from.
        deciding: those that decide the claim, which are tinted.
        confidence: of the intervals.
    """
    models = [model for group in TECHNIQUES.values() for model in group]
    rows = Rows(_lines(starts), 2)
    height = HEAD + rows.height + FOOT
    figure = Figure(figsize=(10, height))
    box = {"left": LEFT, "right": RIGHT, "top": 1 - HEAD / height, "bottom": FOOT / height}
    grid = figure.add_gridspec(1, len(SOURCES), wspace=0.09, **box)
    for number, (source, label) in enumerate(SOURCES.items()):
        pair = grid[number].subgridspec(1, 2, wspace=0.11)
        levels, falls = figure.add_subplot(pair[0]), figure.add_subplot(pair[1])
        known = [found.get((model, source)) for model in models]
        for axes in (levels, falls):
            rows.frame(axes)
            _tint(axes, rows, [place for place, model in enumerate(models) if (model, source) in deciding])
        _draw_levels(levels, rows, models, known, source)
        _draw_falls(falls, rows, models, known, source)
        levels.set_title(label.capitalize(), loc="left", fontweight="bold", pad=20)
        if number == 0:
            rows.name(levels)
    _legend(figure, height, any_deciding=bool(deciding))
    figure.text(EDGE, 1 - 0.14 / height, f"Means with {confidence:.0%} intervals", color=LIGHT["muted"], va="top")
    return figure


def _lines(starts: Mapping[str, str]) -> list[Line]:
    return [
        Line(
            MODEL_LABELS[model],
            f"from {MODEL_LABELS.get(starts[model], starts[model])}" if model in starts else "",
            f"{technique}, {POLICIES[technique]}",
        )
        for technique, models in TECHNIQUES.items()
        for model in models
    ]


def _tint(axes: Axes, rows: Rows, places: Sequence[int]) -> None:
    for place in places:
        middle = rows.middles[place]
        axes.axhspan(middle - rows.pitch / 2, middle + rows.pitch / 2, zorder=0, **TINT)  # type: ignore[arg-type]


def _draw_levels(axes: Axes, rows: Rows, models: Sequence[str], known: Sequence[Fall | None], source: Source) -> None:
    reach = 0.0
    for middle, model, one in zip(rows.middles, models, known, strict=True):
        if one is None or one.before is None or one.after is None:
            text = "not run yet" if one is None else "too few questions"
            place = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
            axes.text(0.03, middle, text, color=LIGHT["muted"], **place)  # type: ignore[arg-type]
            continue
        before, after = one.before, one.after
        start = draw_dots(axes, Dots("", "", "neutral", "o", []), [middle - APART], [before])
        start.set(markerfacecolor=LIGHT["surface"], markeredgecolor=LIGHT["neutral"], markeredgewidth=1.3)
        draw_dots(axes, model_dots(model, []), [middle + APART], [after]).set_gid(f"{source}-after-{model}")
        axes.annotate(
            "",
            (after.estimate, middle + APART),
            (before.estimate, middle - APART),
            arrowprops={"arrowstyle": "-|>", "color": LIGHT["muted"], "linewidth": 0.8, "shrinkA": 4, "shrinkB": 4},
            zorder=1.5,
        )
        reach = max(reach, before.upper, after.upper)
    axes.set_xlim(0, 1.05 * reach if reach > 0 else 1)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("outer loss (nats/token)")


def _draw_falls(axes: Axes, rows: Rows, models: Sequence[str], known: Sequence[Fall | None], source: Source) -> None:
    nothing: list[Interval | None] = [None] * len(models)
    series = []
    for place, (model, one) in enumerate(zip(models, known, strict=True)):
        if one is not None:
            series.append(model_dots(model, [*nothing[:place], one.fall, *nothing[place + 1 :]]))
    difference_axis(axes, series, LEAST)
    for dots in series:
        rows.draw(axes, [dots], f"{source}-fall")
    axes.set_title("fall", loc="left", color=LIGHT["muted"], pad=20)
    axes.set_xlabel("before \N{MINUS SIGN} after (nats/token)")
    sides(axes, "rises", "falls")


def _legend(figure: Figure, height: float, *, any_deciding: bool) -> None:
    before = {"markerfacecolor": LIGHT["surface"], "markeredgewidth": 1.3, "markersize": MARK_SIZES["o"]}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=LIGHT["neutral"], marker="o", label="before training", **before),  # type: ignore[arg-type]
        Line2D([], [], color=LIGHT["ink"], marker="D", markersize=MARK_SIZES["D"], label="after training"),
    ]
    if any_deciding:
        handles.append(Patch(label="decides the claim", **TINT))  # type: ignore[arg-type]
    figure.legend(
        handles=handles,
        loc="upper right",
        ncols=len(handles),
        bbox_to_anchor=(RIGHT, 1 - 0.14 / height),
        borderaxespad=0.0,
        columnspacing=1.4,
        handletextpad=0.5,
    )
