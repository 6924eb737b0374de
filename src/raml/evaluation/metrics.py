"""Pass@k, mG-Pass@k, G-Pass@k and Avg@k of single questions, exactly.

Of `n` samples of a question `c` are correct. The number X of correct ones among k samples drawn
without replacement is hypergeometric, and each metric is the expectation of some g(X) >= 0:

    Pass@k      1 if X >= 1                          Eq. 22
    G-Pass@k    1 if X >= ceil(tau k)
    mG-Pass@k   2/k max(0, X - ceil(k/2))            Eq. 23, its sum over thresholds carried out
    Avg@k       X / k

Probabilities come from the ratio of neighbouring ones, outwards from the mode, and are normalised by
their own sum: only positive numbers are multiplied and added, so nothing cancels or overflows, and the
relative error stays below 1e-14 at n = 10,000, where differences of log-gamma values lose four digits more.

Benchmark scores are means of these over questions; intervals are in `raml.evaluation.intervals`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raml.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Gain = Callable[[Integers, int, Integers], Floats]  # of X = 0 .. k, k and the thresholds of shape [rows, 1]

CHUNK = 1_000_000  # probabilities held at once
WHOLE = 1e-9  # tau k this close to a whole number is that number: 0.1 * 30 is a little over 3


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats:
    """The probability that at least one of k samples is correct (Eq. 22).

    Args:
        n: samples of each question.
        c: correct ones among them.
        k: samples drawn.

    Returns:
        Values in [0, 1], of the arguments' broadcast shape.

    Raises:
        InputError: not 0 <= c <= n and 1 <= k <= n, or not whole numbers.
    """
    samples, correct, draws = _counts(n, c, k)
    return _tail(samples, correct, draws, np.ones_like(draws))


def g_pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike, tau: ArrayLike) -> Floats:
    """The probability that at least ceil(tau k) of k samples are correct.

    Args:
        n: samples of each question.
        c: correct ones among them.
        k: samples drawn.
        tau: threshold, 0 < tau <= 1.

    Returns:
        Values in [0, 1], of the arguments' broadcast shape.

    Raises:
        InputError: not 0 <= c <= n, 1 <= k <= n and 0 < tau <= 1, or n, c, k not whole numbers.
    """
    share = np.asarray(tau, dtype=np.float64)
    if not np.all((share > 0) & (share <= 1)):
        raise InputError(f"tau must satisfy 0 < tau <= 1, found {share[~((share > 0) & (share <= 1))].flat[0]}")
    samples, correct, draws = _counts(n, c, k)
    samples, correct, draws, share = np.broadcast_arrays(samples, correct, draws, share)
    exact = share * draws
    nearest = np.rint(exact)
    threshold = np.where(np.abs(exact - nearest) <= WHOLE, nearest, np.ceil(exact)).astype(np.int64)
    return _tail(samples, correct, draws, np.maximum(threshold, 1))


def mg_pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats:
    """The mean of G-Pass@k over the thresholds above one half, with the paper's factor 2/k (Eq. 23).

    For odd k there are (k - 1)/2 such thresholds, so that the metric is at most (k - 1)/k, and 0 at k = 1.

    Args:
        n: samples of each question.
        c: correct ones among them.
        k: samples drawn.

    Returns:
        Values in [0, 1], of the arguments' broadcast shape.

    Raises:
        InputError: not 0 <= c <= n and 1 <= k <= n, or not whole numbers.
    """
    samples, correct, draws = _counts(n, c, k)

    def thresholds_reached(x: Integers, k: int, _: Integers) -> Floats:
        return np.maximum(0, x - (k + 1) // 2) * (2 / k)

    return _expectation(samples, correct, draws, np.zeros_like(draws), thresholds_reached)


def avg_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats:
    """The expected share of correct ones among k samples: c/n, whatever k is.

    Args:
        n: samples of each question.
        c: correct ones among them.
        k: samples drawn.

    Returns:
        Values in [0, 1], of the arguments' broadcast shape.

    Raises:
        InputError: not 0 <= c <= n and 1 <= k <= n, or not whole numbers.
    """
    samples, correct, _ = _counts(n, c, k)
    return np.asarray(correct / samples, dtype=np.float64)


def avg_at_n(n: ArrayLike, c: ArrayLike) -> Floats:
    """The share of correct ones among all n samples, c/n (Avg@n); arguments and errors as in `avg_at_k`."""
    return avg_at_k(n, c, n)


def _tail(n: Integers, c: Integers, k: Integers, threshold: Integers) -> Floats:
    """P(X >= threshold)."""

    def reached(x: Integers, _: int, threshold: Integers) -> Floats:
        return (x >= threshold).astype(np.float64)

    return _expectation(n, c, k, threshold, reached)


def _expectation(n: Integers, c: Integers, k: Integers, threshold: Integers, gain: Gain) -> Floats:
    """E[gain(X, k, threshold)] elementwise; each distinct question (n, c, k, threshold) is computed once."""
    distinct, where = np.unique(np.stack([n, c, k, threshold], axis=-1).reshape(-1, 4), axis=0, return_inverse=True)
    values = np.empty(len(distinct))
    for size in np.unique(distinct[:, 2]):
        rows = np.flatnonzero(distinct[:, 2] == size)
        for chunk in np.array_split(rows, -(-rows.size * (size + 1) // CHUNK)):
            at = distinct[chunk]
            gains = gain(np.arange(size + 1), int(size), at[:, 3:])
            weights = _relative_probabilities(at[:, 0], at[:, 1], int(size))
            values[chunk] = (weights * gains).sum(axis=1) / weights.sum(axis=1)
    return values[where.reshape(-1)].reshape(n.shape)


def _relative_probabilities(n: Integers, c: Integers, k: int) -> Floats:
    """P(X = 0 .. k) relative to the mode's: shape [rows, k + 1] from `n` and `c` of shape [rows].

    With r(x) = P(x) / P(x - 1) = (c - x + 1)(k - x + 1) / (x (n - c - k + x)) it is a product of r above
    the mode and of 1/r below it. Outside the support r is 0 above and 1/r is 0 below.
    """
    n, c = n[:, None], c[:, None]
    x = np.arange(1, k + 1)
    up = np.maximum(0, (c - x + 1) * (k - x + 1)).astype(np.float64)  # numerator of r
    down = np.maximum(0, x * (n - c - k + x)).astype(np.float64)  # its denominator
    mode = (k + 1) * (c + 1) // (n + 2)
    above = np.divide(up, down, out=np.ones_like(up), where=x > mode)
    below = np.divide(down, up, out=np.ones_like(up), where=x <= mode)
    weights = np.ones((n.shape[0], k + 1))
    weights[:, 1:] = np.cumprod(above, axis=1)
    weights[:, :-1] *= np.cumprod(below[:, ::-1], axis=1)[:, ::-1]
    return weights


def _counts(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> tuple[Integers, Integers, Integers]:
    whole = [_whole(name, value) for name, value in (("n", n), ("c", c), ("k", k))]
    try:
        samples, correct, draws = np.broadcast_arrays(*whole)
    except ValueError:
        raise InputError(f"n, c and k must broadcast, found shapes {[array.shape for array in whole]}") from None
    bad = ~((correct >= 0) & (correct <= samples) & (draws >= 1) & (draws <= samples))
    if bad.any():
        found = f"n = {samples[bad][0]}, c = {correct[bad][0]}, k = {draws[bad][0]}"
        raise InputError(f"n, c, k must satisfy 0 <= c <= n and 1 <= k <= n, found {found}")
    return samples, correct, draws


def _whole(name: str, value: ArrayLike) -> Integers:
    array = np.asarray(value)
    numeric = array.dtype.kind in "iuf"
    if not numeric or not np.all(np.isfinite(array) & (array == np.floor(array))):
        raise InputError(f"{name} must hold whole numbers, found {np.array2string(array, threshold=5)}")
    return array.astype(np.int64)
