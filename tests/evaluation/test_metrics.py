import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import InputError
from raml.evaluation.metrics import avg_at_k, avg_at_n, g_pass_at_k, mg_pass_at_k, pass_at_k

TAUS = [0.1, 0.25, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0]


def subsets_mean(n: int, c: int, k: int, gain: Callable[[int], float]) -> float:
    """The mean of `gain` over every choice of k of n samples, of which the first c are correct."""
    hits = [sum(sample < c for sample in chosen) for chosen in itertools.combinations(range(n), k)]
    return sum(gain(x) for x in hits) / len(hits)


def consistent_gain(k: int) -> Callable[[int], float]:
    """The sum over thresholds of Eq. 23, written out."""
    return lambda x: 2 / k * sum(x >= i for i in range(math.ceil(k / 2) + 1, k + 1))


@pytest.mark.parametrize("n", range(1, 9))
def test_all_metrics_equal_enumeration_of_subsets(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        assert pass_at_k(n, c, k) == pytest.approx(subsets_mean(n, c, k, lambda x: x >= 1), abs=1e-14)
        assert mg_pass_at_k(n, c, k) == pytest.approx(subsets_mean(n, c, k, consistent_gain(k)), abs=1e-14)
        assert avg_at_k(n, c, k) == pytest.approx(subsets_mean(n, c, k, lambda x, k=k: x / k), abs=1e-14)
        for tau in TAUS:
            least = math.ceil(Fraction(str(tau)) * k)
            expected = subsets_mean(n, c, k, lambda x, least=least: x >= least)
            assert g_pass_at_k(n, c, k, tau) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("k", [1, 2, 8, 31, 100, 1000])
def test_ten_thousand_samples_agree_with_fractions(k: int) -> None:
    n, rng = 10_000, random.Random(k)
    for c in [0, 1, 2, 5, n - 1, n, *(rng.randrange(n) for _ in range(6))]:
        ways = [math.comb(c, x) * math.comb(n - c, k - x) for x in range(k + 1)]
        total, half, least = math.comb(n, k), (k + 1) // 2, math.ceil(Fraction(7, 10) * k)
        expected = [
            (pass_at_k(n, c, k), Fraction(total - ways[0], total)),
            (mg_pass_at_k(n, c, k), Fraction(2 * sum((x - half) * ways[x] for x in range(half, k + 1)), k * total)),
            (g_pass_at_k(n, c, k, 0.7), Fraction(sum(ways[least:]), total)),
        ]
        for found, exact in expected:
            if exact < Fraction(1, 10**290):  # a double cannot hold it to full precision
                assert found < 1e-289
            else:
                assert abs(Fraction(float(found)) / exact - 1) < Fraction(1, 10**12)


def test_edges() -> None:
    n = np.array([1, 7, 32])
    for metric in (pass_at_k, mg_pass_at_k, lambda n, c, k: g_pass_at_k(n, c, k, 0.5)):
        assert (metric(n, np.zeros(3, dtype=int), n) == 0).all()
    assert (pass_at_k(n, n, n) == 1).all()
    assert (g_pass_at_k(n, n, n, 1.0) == 1).all()
    assert mg_pass_at_k(32, 32, 8) == 1
    assert mg_pass_at_k(32, 32, 7) == pytest.approx(6 / 7)  # odd k: (k - 1)/2 thresholds times 2/k
    assert mg_pass_at_k(32, 32, 1) == 0
    assert (pass_at_k(n, 1, n) == 1).all()  # all samples drawn
    assert g_pass_at_k(8, 4, 8, 0.5) == 1
    assert g_pass_at_k(8, 4, 8, 0.51) == 0


def test_known_value() -> None:
    assert pass_at_k(32, 4, 8) == pytest.approx(1 - math.comb(28, 8) / math.comb(32, 8))


@pytest.mark.parametrize(
    ("k", "tau", "threshold"),
    [(30, 0.1, 3), (10, 0.7, 7), (3, 1 / 3, 1), (3, 0.3333333334, 1), (5, 0.6, 3), (100, 0.29, 29), (8, 1e-12, 1)],
)
def test_threshold_survives_rounding_of_tau_k(k: int, tau: float, threshold: int) -> None:
    # All samples drawn: X = c, so the metric steps from 0 to 1 exactly at the threshold.
    assert g_pass_at_k(k, threshold, k, tau) == 1
    assert g_pass_at_k(k, threshold - 1, k, tau) == 0


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.integers(1, n))))
def test_bounds_order_and_monotony(counts: tuple[int, int, int]) -> None:
    n, c, k = counts
    values = [float(metric(n, c, k)) for metric in (mg_pass_at_k, pass_at_k)]
    assert 0 <= values[0] <= values[1] <= 1
    for metric in (pass_at_k, mg_pass_at_k):
        assert metric(n, c + 1, k) >= metric(n, c, k) - 1e-14
    assert pass_at_k(n, c, 1) == pytest.approx(c / n, rel=1e-13)


def test_arrays_broadcast_and_stay_float_arrays() -> None:
    n, c = np.full((3, 1), 8), np.array([0, 2, 8])
    table = pass_at_k(n, c, [[1], [2], [8]])
    assert table.shape == (3, 3)
    assert table.dtype == np.float64
    assert table[1, 1] == pytest.approx(1 - 15 / 28)
    assert isinstance(pass_at_k(8, 2, 2), np.ndarray)
    assert pass_at_k(np.array([], dtype=int), np.array([], dtype=int), 1).shape == (0,)
    assert g_pass_at_k(8, 4, 4, TAUS).shape == (len(TAUS),)
    assert avg_at_n([4, 8], [1, 8]).tolist() == [0.25, 1.0]


@pytest.mark.parametrize(
    ("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5), (0, 0, 1), (4, 1.5, 1), (4, float("nan"), 1)]
)
def test_impossible_counts_are_refused(n: int, c: float, k: int) -> None:
    for metric in (pass_at_k, mg_pass_at_k, avg_at_k):
        with pytest.raises(InputError, match="must"):
            metric(n, c, k)


@pytest.mark.parametrize("tau", [0, -0.5, 1.01, float("nan")])
def test_impossible_thresholds_are_refused(tau: float) -> None:
    with pytest.raises(InputError, match="tau"):
        g_pass_at_k(4, 2, 2, tau)


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(InputError, match="broadcast"):
        pass_at_k([4, 4], [1, 2, 3], 1)
