"""The verdict board: which columns it has, and an interval drawn against the line that decides it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raml.claims.result import ClaimResult, Verdict

ORDER: Final[dict[Verdict, int]] = {"holds": 0, "contradicted": 1, "inconclusive": 2, "not_run": 3}
MARGIN: Final = 0.12
"""Of a strip's width, beside the interval and the line."""


@dataclass(frozen=True)
class Board:
    """What the board's table has."""

    exhibits: list[str]  # in order
    shown: frozenset[str]  # have a page
    adjusted: bool  # whether there is a column of verdicts after Holm
    order: dict[Verdict, int]  # by which verdicts are sorted


@dataclass(frozen=True)
class Strip:
    """An interval drawn against its line: places from 0 (left) to 100, and the claimed side as a stretch."""

    lower: float
    estimate: float
    upper: float
    line: float
    claimed: tuple[float, float]


def board(claims: Sequence[ClaimResult], shown: Sequence[str]) -> Board:
    """The board of these claims, in which the exhibits `shown` have pages."""
    adjusted = any(claim.verdict_holm is not None for claim in claims)
    return Board(list(dict.fromkeys(claim.exhibit for claim in claims)), frozenset(shown), adjusted, ORDER)


def strip(claim: ClaimResult) -> Strip | None:
    """The claim's interval against its line; None where one of the two is unknown.

    An interval that is far narrower or wider than its distance to the line keeps its true proportions.
    """
    if claim.measured is None or claim.interval is None or claim.line is None or claim.claimed is None:
        return None
    lower, upper = claim.interval
    values = (lower, claim.measured, upper, claim.line)
    if not all(map(math.isfinite, values)):
        return None
    width = (max(values) - min(values)) or max(abs(claim.line), 1.0)
    middle = (max(values) + min(values)) / 2

    def place(value: float) -> float:
        return round(50 + (value - middle) / width * 100 * (1 - 2 * MARGIN), 1)

    line = place(claim.line)
    side = (line, 100.0) if claim.claimed == "above" else (0.0, line)
    return Strip(place(lower), place(claim.measured), place(upper), line, side)
