"""The results of all claims: what stands after correction, and an interval drawn against its threshold."""

from dataclasses import dataclass
from typing import Final

from raml.claims.result import ClaimResult, DecidingEffect, Verdict
from raml.quantities.table import SHARE
from raml.report.numbers import measurement, short
from raml.report.shown import points

ORDER: Final[dict[Verdict, int]] = {"holds": 0, "contradicted": 1, "inconclusive": 2, "not_run": 3}
DASH: Final = "\N{EN DASH}"
MARGIN: Final = 0.12
"""Of a strip's width, beside the interval and the threshold."""


@dataclass(frozen=True)
class Strip:
    """An interval drawn against its threshold: places from 0 (left) to 100, and the claimed side as a stretch."""

    lower: float
    estimate: float
    upper: float
    threshold: float
    claimed: tuple[float, float]


def stands(claim: ClaimResult) -> bool:
    """Whether the claim holds or is contradicted after Holm's correction too."""
    return claim.verdict_holm in ("holds", "contradicted")


def effect_texts(effect: DecidingEffect) -> dict[str, str]:
    """`estimate`, `interval`, `threshold` and `unit` as people read them; shares in percentage points."""
    is_share = effect.unit == SHARE
    texts = {"estimate": DASH, "interval": DASH, "unit": "percentage points" if is_share else effect.unit}
    texts["threshold"] = short(100 * effect.threshold if is_share else effect.threshold)
    if effect.estimate is not None:
        lower, upper = effect.interval or (effect.estimate, effect.estimate)
        texts["estimate"], interval = measurement(effect.estimate, (lower, upper))
        if is_share:
            texts["estimate"], interval = points(effect.estimate), f"{points(lower)} to {points(upper)}"
        if effect.interval:
            texts["interval"] = interval if lower < upper else "no spread"
    return texts


def strip(effect: DecidingEffect) -> Strip | None:
    """The effect's interval against its threshold; None where there is none.

    An interval that is far narrower or wider than its distance to the threshold keeps its true proportions.
    """
    if effect.estimate is None or effect.interval is None:
        return None
    values = (effect.interval[0], effect.estimate, effect.interval[1], effect.threshold)
    width = (max(values) - min(values)) or max(abs(effect.threshold), 1.0)
    middle = (max(values) + min(values)) / 2
    lower, estimate, upper, threshold = (
        round(50 + (value - middle) / width * 100 * (1 - 2 * MARGIN), 1) for value in values
    )
    return Strip(lower, estimate, upper, threshold, (threshold, 100.0) if effect.side == "above" else (0.0, threshold))
