"""Which of several models does better on a question: ranks within blocks, a block being a seed's question.

Scores of models with different numbers of samples must not be ranked as they are. Pass@k and mG-Pass@k are unbiased
whatever n is, but their distributions are not the same: of 32 samples one is right more often than of 16, and all
that count seldom are. At equal skill, with 32 samples of the last of six models and 16 of the others, the mean rho of
Pass@8 was -0.11 and that of mG-Pass@8 +0.08 over questions as hard as ours, and up to -0.38 and +0.18 where all are
equally hard. So ranks are expectations over drawing, without replacement, as many samples of each model as the one
with the fewest has: exact, without a random number, and again 0 on average at equal skill.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import comb

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Score = Callable[[Integers, Integers], Floats]  # of n and c, elementwise; it may not fall as c grows


@dataclass(frozen=True)
class Blocks:
    """The seeds and questions that all models of a series were evaluated on, B of them, and the J models' counts.

    `keys` has columns `seed`, `benchmark` and `question_id`, a row a block; `n` samples and `c` correct ones are of
    shape [B, J]. `incomplete` blocks, which not all models were evaluated on, are left out.
    """

    keys: pl.DataFrame
    n: Integers
    c: Integers
    incomplete: int


@dataclass(frozen=True)
class Ranks:
    """Expectations over equal numbers of samples.

    rho: Spearman's correlation of score and place in the series, 0 where all scores are equal, [B]: the mean over
        draws that are not constant, times `1 - constant`.
    ranks: 1 for the lowest score, ties by their mean, [B, J].
    constant: the probability that all scores are equal, [B].
    """

    rho: Floats
    ranks: Floats
    constant: Floats


def blocks(evaluations: pl.DataFrame, models: Sequence[str]) -> Blocks:
    """The blocks of `models`, in order of seed and question.

    Args:
        evaluations: rows of `schemas.Evaluation`.
        models: in the series' order.
    """
    key = ["seed", "benchmark", "question_id"]
    evaluated = [evaluations.filter(pl.col("model") == model) for model in models]
    table = pl.concat([rows.select(key) for rows in evaluated]).unique().sort("seed", "question_id")
    in_all = table.height
    for place, rows in enumerate(evaluated):
        table = table.join(rows.select(*key, n=pl.col("n"), c=pl.col("c")), on=key, suffix=str(place))
        table = table.rename({"n": f"n_{place}", "c": f"c_{place}"})
    table = table.sort("seed", "question_id")
    n, c = (
        table.select(pl.col(f"{name}_{place}").cast(pl.Int64) for place in range(len(models))).to_numpy()
        for name in ("n", "c")
    )
    return Blocks(table.select(key), n, c, in_all - table.height)


def rank(n: Integers, c: Integers, score: Score) -> Ranks:
    """Expected ranks of the models on each block, as if all had as many samples as the one with the fewest.

    Args:
        n: samples, [B, J >= 2].
        c: correct ones among them, [B, J].
        score: of a question.
    """
    found = Ranks(np.zeros(len(n)), np.zeros(n.shape), np.zeros(len(n)))
    patterns, of_block = np.unique(n, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(of_block.reshape(-1) == number)
        _rank_alike(pattern, c[rows], rows, score, found)
    return found


def _rank_alike(n: Integers, c: Integers, rows: Integers, score: Score, found: Ranks) -> None:
    """Enter into `found` the blocks `rows`, which all have `n` [J] samples, and `c` [rows, J] correct ones."""
    fewest = int(n.min())
    scores = score(np.full(fewest + 1, fewest), np.arange(fewest + 1))
    more = [place for place, samples in enumerate(n) if samples > fewest]
    drawn = {place: thinned(int(n[place]), c[:, place], fewest) for place in more}
    for counts in product(range(fewest + 1), repeat=len(more)):
        weight, equal = np.ones(len(rows)), c.copy()
        for place, count in zip(more, counts, strict=True):
            weight *= drawn[place][:, count]
            equal[:, place] = count
        possible = np.flatnonzero(weight > 0)
        rho, ranks = spearman(scores[equal[possible]])
        into, weight = rows[possible], weight[possible]
        found.rho[into] += weight * rho
        found.ranks[into] += weight[:, None] * ranks
        found.constant[into] += weight * (ranks == ranks[:, :1]).all(axis=1)


def thinned(n: int, c: Integers, fewer: int) -> Floats:
    """The probabilities that 0 .. `fewer` are correct of so many samples, drawn from `n` of which `c` [B] are.

    Returns:
        Shape [B, fewer + 1].
    """
    x = np.arange(fewer + 1)
    weights = comb(c[:, None], x) * comb(n - c[:, None], fewer - x)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def spearman(scores: Floats) -> tuple[Floats, Floats]:
    """Spearman's correlation of each row of `scores` [B, J] with 1 .. J (0 for a constant row), and its mean ranks."""
    below = (scores[:, :, None] > scores[:, None, :]).sum(axis=2)
    equal = (scores[:, :, None] == scores[:, None, :]).sum(axis=2)
    ranks = below + (equal + 1) / 2
    places = np.arange(scores.shape[1]) - (scores.shape[1] - 1) / 2
    deviations = ranks - (scores.shape[1] + 1) / 2
    scale = np.sqrt((deviations**2).sum(axis=1) * (places**2).sum())
    rho = np.divide(deviations @ places, scale, out=np.zeros(len(scores)), where=scale > 0)
    return rho, ranks
