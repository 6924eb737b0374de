import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.report.numbers import MINUS, count, measurement, millions, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12.345, "12.3"),
        (-7.934, "-7.93"),
        (0.06831, "0.0683"),
        (4210.4, "4,210"),
        (0.00002, "2.00e-05"),
        (math.nan, "nan"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text.replace("-", MINUS)


@pytest.mark.parametrize(
    ("value", "interval", "texts"),
    [
        (-7.934, (-8.104, -7.763), ("-7.93", "-8.10 to -7.76")),
        (0.03, (-0.05, 0.11), ("0.03", "-0.05 to 0.11")),
        (-0.001, (-2.0, 2.0), ("0.0", "-2.0 to 2.0")),
        (1234.5, (1000.0, 1500.0), ("1,234", "1,000 to 1,500")),
        (0.5, (0.5, 0.5), ("0.500", "0.500 to 0.500")),
    ],
)
def test_measurement(value: float, interval: tuple[float, float], texts: tuple[str, str]) -> None:
    assert measurement(value, interval) == tuple(text.replace("-", MINUS) for text in texts)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_measurement_keeps_the_interval_apart_and_within_a_unit_of_its_last_digit(lower: float, width: float) -> None:
    _, text = measurement(lower + width / 2, (lower, lower + width))
    ends = [float(end.replace(MINUS, "-").replace(",", "")) for end in text.split(" to ")]
    assert ends[0] < ends[1] or width < 1e-9 * abs(lower)
    assert ends == pytest.approx([lower, lower + width], abs=width / 8 + 1e-9, rel=1e-9) or width > 79


def test_counts_shares_and_sizes() -> None:
    assert (count(1, "question"), count(1200, "question")) == ("1 question", "1,200 questions")
    assert (count(1, "trajectory"), count(2, "trajectory")) == ("1 trajectory", "2 trajectories")
    assert (percent(0.36686), percent(-0.00001)) == ("36.7", "0.0")
    assert [millions(n) for n in (617_344, 135_000_000, 7_615_616_512)] == [
        "0.62 million",
        "135 million",
        "7.6 billion",
    ]
