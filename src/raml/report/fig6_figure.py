"""Drawing of Figure 6: what tokens of each role do to the answer NLL."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from raml.claims.role_change import RoleSummary
from raml.evaluation.intervals import Interval
from raml.report.curves_figure import shorten
from raml.report.numbers import number
from raml.report.style import LIGHT

# Colour, marker and label of each average; the paper reports means alone.
AVERAGES = {
    "mean": ("series-2", "D", "mean"),
    "median": ("series-1", "o", "median"),
    "trimmed_mean": ("series-3", "^", "trimmed mean"),
}
REPORTED = {"marker": "D", "markerfacecolor": "none", "markersize": 7, "markeredgewidth": 1.4}
TOP, ROW, BOTTOM = 0.75, 0.36, 0.75  # inches: above, for each row, below
OFFSET = 0.14  # of token and next token from the middle of their row


@dataclass(frozen=True)
class RoleRow:
    """A role or a word, what its tokens do, and the mean relative change that the paper reports."""

    label: str
    summary: RoleSummary | None
    reported: float | None
    is_word: bool


def draw_roles(rows: Sequence[RoleRow], *, model: str, confidence: float) -> Figure:
    """Averages of the relative change, probability of superiority, and signed change, a row for each role.

    Args:
        rows: roles first, then words.
        model: whose trajectories they are, for people.
        confidence: of the intervals.
    """
    height = TOP + ROW * (len(rows) + 1) + BOTTOM
    figure = Figure(figsize=(10, height))
    grid = figure.add_gridspec(
        1,
        3,
        width_ratios=(1.45, 1, 1.1),
        wspace=0.09,
        left=0.18,
        right=0.985,
        top=1 - TOP / height,
        bottom=BOTTOM / height,
    )
    averages = figure.add_subplot(grid[0])
    order, signed = (figure.add_subplot(grid[place], sharey=averages) for place in (1, 2))
    places = _places(rows)
    _draw_averages(averages, rows, places)
    _draw_superiority(order, rows, places)
    _draw_signed(signed, rows, places)
    titles = (
        (averages, "Relative change of the NLL"),
        (order, f"Larger than at other tokens ({confidence:.0%})"),
        (signed, f"Signed change of the NLL ({confidence:.0%})"),
    )
    for axes, title in titles:
        axes.set_title(title, loc="left", color=LIGHT["muted"], pad=8)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        for place in places:
            axes.axhline(place, color=LIGHT["line"], linewidth=0.6, zorder=0)
    averages.set_ylim(places[-1] + 0.6 if places else 0.5, -0.6)
    averages.set_yticks(places, [_label(row) for row in rows])
    for text, row in zip(averages.get_yticklabels(), rows, strict=True):
        text.set_color(LIGHT["muted" if row.is_word else "ink"])
    if words := [place for place, row in zip(places, rows, strict=True) if row.is_word]:
        averages.text(
            -0.02, words[0] - 1, "single words", transform=averages.get_yaxis_transform(), ha="right", va="center"
        )
    figure.text(0.006, 1 - 0.22 / height, f"Trajectories of {model}", color=LIGHT["muted"], va="center")
    _legend(figure, any(row.reported is not None for row in rows), height)
    return figure


def _places(rows: Sequence[RoleRow]) -> list[float]:
    """Heights of the rows, from 0 downwards; words stand apart from roles."""
    return [index + (1.0 if row.is_word else 0.0) for index, row in enumerate(rows)]


def _label(row: RoleRow) -> str:
    tokens = row.summary.tokens if row.summary else 0
    return f"{shorten(row.label, 20)}  ({tokens:,})"


def _draw_averages(axes: Axes, rows: Sequence[RoleRow], places: Sequence[float]) -> None:
    axes.set_xscale("log")
    shown: list[float] = []
    for row, place in zip(rows, places, strict=True):
        if row.reported is not None:
            axes.plot([row.reported], [place], color=LIGHT["muted"], **REPORTED, zorder=2)  # type: ignore[arg-type]
            shown.append(row.reported)
        values = row.summary.relative if row.summary else None
        for name, (colour, marker, _) in AVERAGES.items():
            if values and values[name] > 0:
                (point,) = axes.plot([values[name]], [place], marker, color=LIGHT[colour], markersize=6.5, zorder=3)
                point.set(markeredgecolor=LIGHT["surface"], markeredgewidth=0.7)
                point.set_gid(f"{name}-{_slug(row)}")
                shown.append(values[name])
    if shown:
        axes.set_xlim(min(shown) / 1.6, max(shown) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 1)))
    axes.set_xlabel("|NLL after \N{MINUS SIGN} before| / NLL before, log scale")


def _draw_superiority(axes: Axes, rows: Sequence[RoleRow], places: Sequence[float]) -> None:
    axes.axvline(0.5, color=LIGHT["neutral"], linewidth=0.9, zorder=1)
    for row, place in zip(rows, places, strict=True):
        effect = row.summary.superiority if row.summary else None
        if effect:
            moved = Interval(0.5 + effect.estimate, 0.5 + effect.lower, 0.5 + effect.upper).within(0, 1)
            _draw_interval(axes, moved, place, "ink", "o", f"auc-{_slug(row)}")
    reach = max(
        (abs(end) for row in rows if row.summary and (e := row.summary.superiority) for end in (e.lower, e.upper)),
        default=0.0,
    )
    reach = reach or 0.1
    axes.set_xlim(0.5 - 1.15 * reach, 0.5 + 1.15 * reach)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_xlabel("probability of superiority (AUC)")
    axes.tick_params(labelleft=False)


def _draw_signed(axes: Axes, rows: Sequence[RoleRow], places: Sequence[float]) -> None:
    axes.axvline(0, color=LIGHT["neutral"], linewidth=0.9, zorder=1)
    for row, place in zip(rows, places, strict=True):
        if row.summary:
            for change, offset, colour, marker, name in (
                (row.summary.signed, -OFFSET, "series-1", "o", "signed"),
                (row.summary.signed_next, OFFSET, "series-4", "s", "next"),
            ):
                if change:
                    _draw_interval(axes, change, place + offset, colour, marker, f"{name}-{_slug(row)}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("NLL after \N{MINUS SIGN} before (nats/token)")
    axes.tick_params(labelleft=False)


def _draw_interval(axes: Axes, interval: Interval, place: float, colour: str, marker: str, gid: str) -> None:
    line = {"color": LIGHT[colour], "linewidth": 1.7, "solid_capstyle": "round", "zorder": 2}
    axes.plot([interval.lower, interval.upper], [place, place], **line)  # type: ignore[arg-type]
    (point,) = axes.plot([interval.estimate], [place], marker, color=LIGHT[colour], markersize=5.5, zorder=3)
    point.set(markeredgecolor=LIGHT["surface"], markeredgewidth=0.7)
    point.set_gid(gid)


def _legend(figure: Figure, reported: bool, height: float) -> None:
    handles = [
        Line2D([], [], linestyle="", color=LIGHT[colour], marker=marker, markersize=6, label=label)
        for colour, marker, label in AVERAGES.values()
    ]
    if reported:
        handles.append(Line2D([], [], linestyle="", color=LIGHT["muted"], label="mean in the paper", **REPORTED))  # type: ignore[arg-type]
    handles += [
        Line2D([], [], color=LIGHT["series-1"], marker="o", markersize=5, label="at the token"),
        Line2D([], [], color=LIGHT["series-4"], marker="s", markersize=5, label="at the next one"),
    ]
    figure.legend(
        handles=handles,
        loc="center right",
        ncols=len(handles),
        bbox_to_anchor=(0.992, 1 - 0.22 / height),
        columnspacing=1.3,
        handletextpad=0.4,
    )


def _slug(row: RoleRow) -> str:
    """The row's name in an SVG id."""
    words = "".join(letter if letter.isalnum() else " " for letter in row.label.lower()).split()
    return "-".join(["word", *words] if row.is_word else words)
