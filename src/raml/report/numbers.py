"""Numbers as people read them: few digits, a real minus sign, intervals with `to`."""

import math
from collections.abc import Iterable, Sequence

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits: 0.0683, 12.3, 4,210; very small ones as 4.2e-05.

    Digits before the decimal point are never rounded away.
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return str(value)
    magnitude = math.floor(math.log10(abs(value)))
    text = f"{value:.{digits - 1}e}" if magnitude < -4 else f"{value:,.{max(digits - 1 - magnitude, 0)}f}"
    return text.replace("-", MINUS)


def count(value: int, noun: str) -> str:
    """`1 question`, `1,200 questions`, `2 trajectories`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{value:,} {noun if value == 1 else plural}"


def seed_spread(seeds: int) -> str:
    """What an interval from `seeds` training seeds covers beside questions, as the end of a sentence on it."""
    if seeds > 1:
        return f", and the spread between the {seeds} training seeds is part of it"
    return "" if seeds == 0 else "; there is one training seed, so it covers questions and not training noise"


def measurement(value: float, interval: Sequence[float]) -> tuple[str, str]:
    """An estimate and its interval, `("−7.93", "−8.10 to −7.76")`, with the decimals that the interval calls for.

    Its width is 8 to 79 units of the last decimal; an interval without width gets three digits.
    """
    lower, upper = interval
    width = upper - lower
    if not (math.isfinite(width) and width > 1e-12 * max(abs(lower), abs(upper))):
        texts = [number(float(f"{x:.9g}")) for x in (value, lower, upper)]
        return texts[0], f"{texts[1]} to {texts[2]}"
    decimals = max(0, math.floor(1.9 - math.log10(width)))
    texts = [f"{x:z,.{decimals}f}".replace("-", MINUS) for x in (value, lower, upper)]
    return texts[0], f"{texts[1]} to {texts[2]}"


def percent(share: float) -> str:
    """A share of 1 in per cent with one decimal, without the sign: `36.7`."""
    return f"{100 * share:z.1f}".replace("-", MINUS)


def millions(parameters: int) -> str:
    """A model's size for running text: `0.62 million`, `135 million`, `7.6 billion`."""
    if parameters >= 1_000_000_000:
        return f"{parameters / 1e9:.1f} billion"
    return f"{parameters / 1e6:.{2 if parameters < 10_000_000 else 0}f} million"


def p_value(value: float) -> str:
    """A p-value with two significant digits, `0.031`; below a thousandth only that."""
    return "below 0.001" if value < 0.001 else number(value, 2)


def short(value: float) -> str:
    """A number that somebody chose, as it was written: `0.05`, `−0.3`."""
    return f"{value:g}".replace("-", MINUS)


def listed(names: Iterable[object]) -> str:
    """`a`, `a and b`, `a, b and c`; `none` of nothing."""
    texts = [str(name) for name in names]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts) or "none"
