"""Dot plots with intervals: a row for each benchmark (or run), a mark for each model, rows under group headings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from raml.evaluation.intervals import Interval
from raml.report.scores import Reported, reported_benchmarks
from raml.report.style import LIGHT, MODEL_COLOURS, MODEL_LABELS, MODEL_MARKERS

FILLED = 0.7  # share of a row's height that its marks take up
HEADING = 0.36  # inches for a group's heading
EDGE = 0.006  # where text at the figure's left edge starts, as a share of its width
MARK_SIZES = {"o": 6.0, "s": 5.6, "D": 5.4, "^": 6.8, "v": 6.8, "P": 7.2}  # points, of equal weight to the eye


@dataclass(frozen=True)
class Line:
    """A row: its name, small print under it, and the heading under which it and its neighbours stand.

    Of a `reported` row the numbers are the paper's: hollow marks, which have no intervals.
    """

    name: str
    small: str = ""
    group: str = ""
    reported: bool = False


@dataclass(frozen=True)
class Dots:
    """A series: an interval for each row, None where nothing was measured, in the axis' unit.

    `colour` is a token of `raml.report.style`, `name` its part of the SVG ids.
    """

    name: str
    label: str
    colour: str
    marker: str
    intervals: Sequence[Interval | None]


def with_reported_lines(lines: Sequence[Line], reported: Reported) -> list[Line]:
    """Rows of ours and, under a heading of their own, of the paper's benchmarks."""
    names = reported_benchmarks(reported)
    theirs = [Line(name, group="Reported by the paper", reported=True) for name in names]
    return [*(replace(line, group="Measured here") for line in lines), *theirs] if theirs else list(lines)


def model_dots(model: str, intervals: Sequence[Interval | None]) -> Dots:
    """The series of one of the main models, in its label, colour and marker."""
    return Dots(model, MODEL_LABELS[model], MODEL_COLOURS[model], MODEL_MARKERS[model], intervals)


def percent_interval(interval: Interval | None) -> Interval | None:
    """An interval of shares of 1 in per cent."""
    return interval and Interval(100 * interval.estimate, 100 * interval.lower, 100 * interval.upper)


def slug(text: str) -> str:
    """Text as a part of an SVG id: `mg-pass8` for `mG-Pass@8`."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "" for letter in text.lower())


class Rows:
    """Where the rows of a dot plot stand, in inches downwards from the plot's upper edge."""

    def __init__(self, lines: Sequence[Line], series: int) -> None:
        """Lay out `lines`, those of a group next to each other, for `series` marks side by side within a row."""
        self.lines = lines
        self.pitch = 0.26 + 0.09 * max(series, 2)
        self.middles: list[float] = []
        self.headings: dict[str, float] = {}  # their lower edges
        self.between: list[float] = []  # edges between rows of a group
        edge = 0.0
        for line in lines:
            if line.group and line.group not in self.headings:
                edge += HEADING
                self.headings[line.group] = edge
            elif edge > 0:
                self.between.append(edge)
            self.middles.append(edge + self.pitch / 2)
            edge += self.pitch
        self.height = max(edge, self.pitch)

    def frame(self, axes: Axes) -> None:
        """Set the vertical axis: no ticks, a thin line between the rows of a group, a darker one under its heading."""
        axes.set_ylim(self.height, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        for edge in self.between:
            axes.axhline(edge, color=LIGHT["line"], linewidth=0.6, zorder=0.5)
        for edge in self.headings.values():
            axes.axhline(edge, color=LIGHT["neutral"], linewidth=0.8, zorder=0.5)

    def name(self, axes: Axes) -> None:
        """Write names and small print left of `axes`, and headings at the figure's left edge."""
        margin = {"textcoords": "offset points", "annotation_clip": False}
        beside = {"xycoords": ("axes fraction", "data"), "ha": "right", **margin}
        for line, middle in zip(self.lines, self.middles, strict=True):
            place = {"va": "bottom", "xytext": (-6, -1)} if line.small else {"va": "center", "xytext": (-6, 0)}
            axes.annotate(line.name, (0, middle), **place, **beside)  # type: ignore[arg-type]
            if line.small:
                small = {"va": "top", "xytext": (-6, -2.5), "fontsize": 7.5, "color": LIGHT["muted"]}
                axes.annotate(line.small, (0, middle), **small, **beside)  # type: ignore[arg-type]
        for heading, edge in self.headings.items():
            left = {"xycoords": ("figure fraction", "data"), "xytext": (0, 4), "va": "bottom", **margin}
            axes.annotate(heading, (EDGE, edge), fontweight="bold", **left)  # type: ignore[arg-type]

    def draw(self, axes: Axes, series: Sequence[Dots], panel: str) -> None:
        """Draw marks and intervals side by side within each row; ids are `<panel>-<series>`."""
        step = FILLED * self.pitch / max(len(series), 2)
        for place, dots in enumerate(series):
            offset = (place - (len(series) - 1) / 2) * step
            for reported in (False, True):
                known = [
                    (middle + offset, interval)
                    for line, middle, interval in zip(self.lines, self.middles, dots.intervals, strict=True)
                    if interval is not None and line.reported == reported
                ]
                if known:
                    marks = draw_dots(axes, dots, *zip(*known, strict=True), hollow=reported)
                    marks.set_gid(f"{slug(panel)}-{dots.name}{'-reported' if reported else ''}")


def draw_dots(
    axes: Axes, dots: Dots, heights: Sequence[float], intervals: Sequence[Interval], *, hollow: bool = False
) -> Line2D:
    """Draw horizontal intervals and a mark on each, a hollow one alone; returns the marks."""
    colour = LIGHT[dots.colour]
    ends = [interval.lower for interval in intervals], [interval.upper for interval in intervals]
    if not hollow:
        axes.hlines(heights, *ends, color=colour, linewidth=1.8, alpha=0.55, clip_on=False)
    estimates = [interval.estimate for interval in intervals]
    (marks,) = axes.plot(estimates, heights, dots.marker, color=colour, clip_on=False)
    marks.set(markersize=MARK_SIZES[dots.marker], markeredgecolor=LIGHT["surface"], markeredgewidth=0.6)
    if hollow:
        marks.set(markerfacecolor=LIGHT["surface"], markeredgecolor=colour, markeredgewidth=1.3)
    return marks


def percent_axis(axes: Axes) -> None:
    """A horizontal axis from 0 to 100."""
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25))


def difference_axis(axes: Axes, series: Sequence[Dots], least: float) -> None:
    """A horizontal axis around a line at 0 that holds all of `series`, and `least` to both sides in any case."""
    ends = [
        end for dots in series for interval in dots.intervals if interval for end in (interval.lower, interval.upper)
    ]
    lower, upper = min([-least, *ends]), max([least, *ends])
    margin = 0.05 * (upper - lower)
    axes.set_xlim(lower - margin, upper + margin)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.axvline(0, color=LIGHT["neutral"], linewidth=1.1, zorder=1)


def sides(axes: Axes, below: str, above: str) -> None:
    """Say over the plot what the sides of the line at 0 mean."""
    for text, side, offset in ((below, "right", -3), (above, "left", 3)):
        axes.annotate(
            text,
            (0, 1),
            xycoords=("data", "axes fraction"),
            xytext=(offset, 5),
            textcoords="offset points",
            ha=side,
            fontsize=7.5,
            color=LIGHT["muted"],
            annotation_clip=False,
        )


def legend(figure: Figure, series: Sequence[Dots], right: float, top: float) -> None:
    """A line of marks and labels that ends at (`right`, `top`), in shares of the figure."""
    handles = [
        Line2D([], [], color=LIGHT[d.colour], marker=d.marker, markersize=MARK_SIZES[d.marker], label=d.label)
        for d in series
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="upper right",
            ncols=len(handles),
            bbox_to_anchor=(right, top),
            borderaxespad=0.0,
            columnspacing=1.4,
            handletextpad=0.5,
        )
