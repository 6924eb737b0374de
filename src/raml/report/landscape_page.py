"""One self-contained page of landscapes around a model's weights: the figure, the numbers, and how they were made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raml.probing.projection import share_reached
from raml.report.exhibit import Cell, Column, Row, Table
from raml.report.landscapes import Surface
from raml.report.numbers import number, percent
from raml.report.page import environment, inline_svg


@dataclass(frozen=True)
class LandscapePage:
    """What a page shows; `facts` are names and values."""

    title: str
    facts: Sequence[tuple[str, str]]
    asked: Sequence[Surface]


def landscape_page(page: LandscapePage, figure: Path) -> str:
    """The page as HTML, with the SVG `figure` inline.

    Raises:
        DataError: the figure is missing or not an SVG.
    """
    return (
        environment()
        .get_template("landscape.html.j2")
        .render(page=page, figure=inline_svg(figure), numbers=_table(page.asked))
    )


def _table(asked: Sequence[Surface]) -> Table:
    with_curves = any(one.curve is not None for one in asked)
    headings = [("landscape", name) for name in ("weights", "lowest", "highest", "% lower than the weights")]
    if with_curves:
        headings += [("trajectory", name) for name in ("end", "% of levels reached", "points outside")]
    rows = []
    for place, one in enumerate(asked, 1):
        nll, middle = one.nll, float(one.nll[one.nll.shape[0] // 2, one.nll.shape[1] // 2])
        texts = [number(middle), number(nll.min()), number(nll.max()), percent(float(np.mean(nll < middle)))]
        if one.curve is not None and one.projection is not None:
            outside = f"{one.projection.outside} of {len(one.curve)}"
            texts += [number(one.curve[-1]), percent(share_reached(nll, one.curve)), outside]
        texts += [""] * (len(headings) - len(texts))
        rows.append(Row(heading=f"question {place}", cells=[Cell(text=text) for text in texts]))
    return Table(
        caption="Answer NLL in nats per token",
        corner="",
        columns=[Column(group=group, heading=heading) for group, heading in headings],
        rows=rows,
        note=(
            "Reached are levels between the landscape's lowest and highest point. A point is outside if the landscape "
            "does not have its level at its time."
            if with_curves
            else ""
        ),
    )
