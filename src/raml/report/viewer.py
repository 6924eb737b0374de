"""One self-contained page on which people read a trajectory: each token coloured by what it did to the answer's NLL.

The page holds its data, style and script inline and asks no network for anything; its content security policy
names the two by their hashes, so that nothing else could run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markupsafe import Markup

from raml.errors import DataError
from raml.report.page import content_hash, embedded, environment

Mode = Literal["thinking", "no_thinking"]

MOST_ANSWERS = 5
"""That have a colour of their own, on the page and in the figure."""
START = 'viewer.load(JSON.parse(document.getElementById("data").textContent));\n'
LEVELS = 8
"""Shades of a colour, from hardly any change to `Viewer.full_shade` and beyond."""
FULL_SHADE_QUANTILE = 0.995


@dataclass(frozen=True)
class Series:
    """What is forced after each prefix: an answer, in `no_thinking` mode behind an end of the thinking."""

    mode: Mode
    answer: str
    gold: bool


@dataclass(frozen=True)
class Followed:
    """A trajectory of T tokens and the answer NLL at some of its positions."""

    name: str
    tokens: Sequence[str]  # [T]; joined they are its text, and one that adds no character is empty
    positions: Sequence[int]  # [n], ascending from 0: tokens read
    nll: Sequence[Sequence[float]]  # [series, n], nats per answer token


@dataclass(frozen=True)
class Viewer:
    """What a page shows. All trajectories are followed by the same series, the first of which is shown at first."""

    model: str
    question: str
    facts: Sequence[tuple[str, str]]  # further names and values for the head of the page
    series: Sequence[Series]
    trajectories: Sequence[Followed]
    end_of_thinking: str | None = None  # what is forced in no-thinking mode

    def full_shade(self) -> float:
        """The change in nats that has the full colour, the same for all series so that they can be compared.

        A high quantile of all changes rather than their maximum: a few tokens change an NLL by far more than the rest.
        """
        changes = sorted(
            abs(after - before)
            for trajectory in self.trajectories
            for nll in trajectory.nll
            for before, after in pairwise(nll)
        )
        shade = changes[math.ceil(FULL_SHADE_QUANTILE * len(changes)) - 1] if changes else 0.0
        return float(f"{shade:.2g}") or 1.0


def viewer_page(viewer: Viewer) -> str:
    """The page as HTML.

    Raises:
        DataError: numbers that do not fit together or are not finite.
    """
    _check(viewer)
    jinja = environment()
    style = jinja.get_template("viewer.css.j2").render(levels=LEVELS)
    script = f"{jinja.get_template('viewer.js.j2').render()}{START}"
    return jinja.get_template("viewer.html.j2").render(
        viewer=viewer,
        answers=list(dict.fromkeys((series.answer, series.gold) for series in viewer.series)),
        modes=list(dict.fromkeys(series.mode for series in viewer.series)),
        style=Markup(style),
        style_hash=content_hash(style),
        script=Markup(script),
        script_hash=content_hash(script),
        data=embedded(_data(viewer)),
    )


def _data(viewer: Viewer) -> dict[str, object]:
    return {
        "levels": LEVELS,
        "fullShade": viewer.full_shade(),
        "series": [{"mode": series.mode, "answer": series.answer, "gold": series.gold} for series in viewer.series],
        "trajectories": [
            {
                "name": trajectory.name,
                "tokens": list(trajectory.tokens),
                "positions": list(trajectory.positions),
                "nll": [[float(f"{value:.6g}") for value in values] for values in trajectory.nll],
            }
            for trajectory in viewer.trajectories
        ],
    }


def _check(viewer: Viewer) -> None:
    if not viewer.series or not viewer.trajectories:
        raise DataError("a page needs at least one trajectory and one series")
    if len({series.answer for series in viewer.series}) > MOST_ANSWERS:
        raise DataError(f"a page tells {MOST_ANSWERS} answers apart, the gold one among them")
    for trajectory in viewer.trajectories:
        where, positions = f"trajectory {trajectory.name}", trajectory.positions
        if list(positions[:1]) != [0] or any(after <= before for before, after in pairwise(positions)):
            raise DataError(f"{where}: positions must ascend from 0")
        if positions[-1] > len(trajectory.tokens):
            raise DataError(f"{where}: position {positions[-1]} lies beyond its {len(trajectory.tokens)} tokens")
        if len(trajectory.nll) != len(viewer.series) or any(len(nll) != len(positions) for nll in trajectory.nll):
            raise DataError(f"{where}: {len(viewer.series)} series of {len(positions)} values each are needed")
        if not all(math.isfinite(value) for nll in trajectory.nll for value in nll):
            raise DataError(f"{where}: an NLL is not finite")
