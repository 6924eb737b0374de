"""Every claim's effects on one scale: the distance from the threshold in half widths of the effect's own interval.

An interval is then two units long, and it leaves the verdict open exactly where it reaches the line at 0. The claimed
side is on the right for all. Drawn without matplotlib, so that text wraps for a wide page and for a phone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Final

from raml.claims.result import ClaimResult, DecidingEffect
from raml.report import theme
from raml.report.board import stands
from raml.report.numbers import short
from raml.report.page import claim_name, environment, label

REACH: Final = 5.0
"""Half widths to both sides; what lies further away gets an arrow."""
LINE: Final = 15  # from one line of text to the next


@dataclass(frozen=True)
class Layout:
    """Where things stand, in pixels: text columns with their widths in letters, and the axis."""

    name: str
    width: int
    heading: int
    texts: int
    letters: int
    axis: tuple[int, int]
    words: int
    words_letters: int
    stacked: bool  # whether an effect's bar stands under its text

    def x(self, distance: float) -> float:
        """The place of a distance on the axis."""
        left, right = self.axis
        return round(left + (right - left) * (distance + REACH) / (2 * REACH), 1)


WIDE: Final = Layout("forest", 1100, 10, 126, 60, (555, 845), 864, 33, stacked=False)
NARROW: Final = Layout("forest-narrow", 380, 8, 8, 50, (14, 366), 8, 52, stacked=True)


@dataclass(frozen=True)
class Text:
    """A line of text."""

    x: float
    y: float
    text: str
    colour: str = "ink"
    weight: int = 400


@dataclass(frozen=True)
class Mark:
    """An effect on the axis: places of its estimate and its interval, and the side on which an arrow leads further."""

    y: float
    x: float
    lower: float
    upper: float
    colour: str
    filled: bool
    diamond: bool
    arrow: int


@dataclass
class Drawing:
    """What is on the figure."""

    texts: list[Text] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    absent: list[tuple[float, str]] = field(default_factory=list)  # y, what stands in place of a mark
    rules: list[float] = field(default_factory=list)
    height: float = 0.0

    def column(self, x: float, y: float, lines: Sequence[str], colour: str = "ink", weight: int = 400) -> float:
        """Put lines under each other; returns where the next one would stand."""
        self.texts += [Text(x, y + LINE * n, text, colour, weight) for n, text in enumerate(lines)]
        return y + LINE * len(lines)


def forest(claims: Sequence[ClaimResult], layout: Layout, confidence: float) -> str:
    """The figure as SVG."""
    drawing, top = Drawing(), 148 if layout.stacked else 62
    y, exhibit = top + 34.0, ""
    for claim in claims:
        if claim.exhibit != exhibit:
            drawing.rules.append(y - 14)
            y += 6
        y = _claim(drawing, claim, layout, y, first=claim.exhibit != exhibit)
        exhibit = claim.exhibit
    drawing.height = y + 26
    bands = [(mark.y - 9, mark.y + 9) for mark in drawing.marks] if layout.stacked else [(top, drawing.height - 22)]
    template = environment().get_template("forest.svg.j2")
    return template.render(
        one=layout,
        drawing=drawing,
        colours=theme.LIGHT,
        top=top,
        bands=bands,
        ticks=[(layout.x(value), short(value)) for value in range(-4, 5, 2)],
        confidence=confidence,
    )


def _claim(drawing: Drawing, claim: ClaimResult, layout: Layout, y: float, *, first: bool) -> float:
    """Draw a claim's rows from `y` on; returns where the next claim's begin."""
    exhibit, name = label(claim.exhibit), claim_name(claim.id)
    rest = name.removeprefix(exhibit).removeprefix(", ")
    end = drawing.column(layout.heading, y, [exhibit] if first else [], weight=700)
    end = drawing.column(layout.heading, end, [name if layout.stacked else rest] if rest else [])
    words = wrap(in_words(claim), layout.words_letters)
    if layout.stacked:
        y = drawing.column(layout.words, end, words, "muted")
    else:
        end = max(end, drawing.column(layout.words, y, words))
    effects: list[DecidingEffect | None] = [*claim.effects] or [None]
    for effect in effects:
        bottom = drawing.column(layout.texts, y, wrap(effect.label, layout.letters) if effect else [])
        place = bottom if layout.stacked else y
        if effect is None:
            drawing.absent.append((place, "not run"))
        elif mark := _mark(effect, claim, layout, place - 4):
            drawing.marks.append(mark)
        else:
            drawing.absent.append((place, "no interval"))
        y = bottom + (21 if layout.stacked else 4 if effect else LINE + 4)
    return max(y, end) + (6 if layout.stacked else 2)


def in_words(claim: ClaimResult) -> str:
    """`Holds before correction; by construction`."""
    said: str = theme.VERDICT_LABELS[claim.verdict]
    if claim.verdict in ("holds", "contradicted"):
        said += " after correction" if stands(claim) else " before correction"
    return f"{said}; by construction" if claim.by_construction else said


def _mark(effect: DecidingEffect, claim: ClaimResult, layout: Layout, y: float) -> Mark | None:
    """None without an interval that has a width."""
    if effect.estimate is None or effect.interval is None or effect.interval[0] == effect.interval[1]:
        return None
    half, sign = (effect.interval[1] - effect.interval[0]) / 2, 1 if effect.side == "above" else -1
    middle, *ends = (sign * (value - effect.threshold) / half for value in (effect.estimate, *effect.interval))
    arrow = next((side for side in (-1, 1) if max(side * end for end in ends) > REACH), 0)
    lower, upper = (layout.x(max(-REACH, min(REACH, end))) for end in sorted(ends))
    if arrow * middle > REACH - 0.3:
        lower, upper = sorted((layout.x(arrow * REACH), layout.x(arrow * (REACH - 1))))
        middle = arrow * (REACH - 0.7)
    return Mark(
        y=y,
        x=layout.x(middle),
        lower=lower,
        upper=upper,
        colour=effect.verdict.replace("_", "-"),
        filled=stands(claim) and effect.verdict == claim.verdict_holm,
        diamond=claim.by_construction,
        arrow=arrow,
    )
