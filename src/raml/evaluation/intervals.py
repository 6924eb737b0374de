"""Confidence intervals of a mean over questions, from one or several training seeds.

Questions are the clusters: all samples, trajectories and seeds of a question are resampled together.
Four choices, made by simulated coverage on data shaped like ours (skewed, bounded, many zeros):

- *BCa* rather than percentile levels: nominal 95% intervals of skewed Pass@k values covered 95% rather
  than 92.5% of the time at 64 questions. The levels are widened by t quantiles for few questions.
- *Seeds* are not resampled: with three of them the resampled intervals covered 75-88% where seeds differ
  much. Instead each replicate adds a draw of Student's t with S - 1 degrees of freedom, scaled by the
  estimated spread between seeds less half of what noise within them explains, but by no less than half of it. On
  normal data with three seeds that covers 99% where seeds do not differ, 96.4% where they do three times as much as
  noise makes them, and never less than 94.5%. With all of the noise taken off it were 93.8% at 10 to 20 times as
  much, and, with nothing left for seeds that lie closer together than noise puts them, 90.5% at twice as much.
- *Student's t* rather than BCa for differences between two models, if asked for. Where both are equally good
  differences are symmetric, and near the floor of mG-Pass@k few questions differ, some by much: BCa follows them,
  and with one seed of 144 questions put 0 outside nominal 95% up to 23% of the time, Student's t at most 5.5%.
- One seed says nothing of the spread between seeds: the interval then holds for that one model only.
- *Draws are shared*: intervals of as many questions and seeds use the same random numbers, whatever they are of. So
  no interval depends on a name, a further one changes no other, and each is a matrix product.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from raml.errors import InputError

Cells = NDArray[np.float64]

CHUNK = 4_000_000  # resampled values held at once
BISECTIONS = 25  # which place a p-value to 3e-8
TIE = 1e-9
"""By what share of the largest deviation a replicate may miss the estimate and count as equal: of few questions many
are the estimate itself, and how their sums are rounded differs between processors."""


@dataclass(frozen=True)
class Spread:
    """How far cells lie apart, as variances: what an estimate's error is made of.

    `between_questions` is that of questions' means over seeds, the noise in them included. With one seed the others
    are 0: `noise`, that of a cell beyond its question and its seed, `offsets`, that of the seeds' means, and
    `offsets_by_noise`, as much of it as noise explains.
    """

    questions: int
    seeds: int
    between_questions: float
    noise: float
    offsets: float
    offsets_by_noise: float


@dataclass(frozen=True)
class Replicates:
    """What an interval is read off: bootstrap replicates, ascending, and the levels of its ends by confidence."""

    values: Cells
    levels: Callable[[float], Cells]
    spread: Spread

    def ends(self, confidence: float) -> tuple[float, float]:
        """Those of the interval of this confidence, in [0, 1)."""
        lower, upper = np.quantile(self.values, self.levels(confidence))
        return float(lower), float(upper)

    def smallest_alpha(self, threshold: float) -> float:
        """The smallest alpha at which the interval of confidence 1 - alpha excludes `threshold`: a two-sided p-value.

        No smaller than 1 / (replicates + 1), which is all that so many of them can tell.
        """

        def excluded(alpha: float) -> bool:
            lower, upper = self.ends(1 - alpha)
            return threshold < lower or threshold > upper

        low, high = 1 / (self.values.size + 1), 1.0
        if excluded(low) or not excluded(high):
            return low if excluded(low) else high
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if excluded(middle) else (middle, high)
        return high


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval; of one that was resampled, also what it is read off."""

    estimate: float
    lower: float
    upper: float
    replicates: Replicates | None = field(default=None, compare=False, repr=False)

    def within(self, lowest: float, highest: float) -> "Interval":
        """The interval with its ends cut to the values that the quantity can take."""
        lower, upper = (min(max(end, lowest), highest) for end in (self.lower, self.upper))
        return Interval(self.estimate, lower, upper, self.replicates)

    def excludes(self, threshold: float) -> bool:
        """Whether `threshold` lies outside."""
        return threshold < self.lower or threshold > self.upper


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made."""

    seed: int
    resamples: int
    confidence: float

    def mean(self, values: Cells, *, student: bool = False) -> Interval:
        """`bootstrap_mean` of `values`."""
        return bootstrap_mean(
            values, seed=self.seed, resamples=self.resamples, confidence=self.confidence, student=student
        )


def bootstrap_mean(
    values: Cells, *, seed: int, resamples: int = 10_000, confidence: float = 0.95, student: bool = False
) -> Interval:
    """The mean over questions of the mean over seeds, with its bootstrap interval.

    Args:
        values: shape [seeds, questions]; NaN where a seed has no value of a question. Questions without
            any value are left out.
        seed: of the random generator; the same seed and values give the same interval.
        resamples: bootstrap replicates.
        confidence: nominal coverage, in (0, 1).
        student: replicates of the mean over questions are draws of Student's t, not resampled questions.

    Raises:
        InputError: fewer than two questions have a value.
    """
    known = ~np.isnan(values)
    values = values[known.any(axis=1)][:, known.any(axis=0)]
    n_seeds, n_questions = values.shape
    if n_questions < 2:
        raise InputError(f"an interval needs at least 2 questions, found {n_questions}")
    by_question = np.nanmean(values, axis=0)
    estimate = float(by_question.mean())
    drawn, of_seeds = _draws(seed, resamples, n_questions, n_seeds, student)
    if student:
        replicates = estimate + float(by_question.std(ddof=1)) / np.sqrt(n_questions) * drawn
    else:
        replicates = drawn @ by_question
    spread = _spread(values, by_question)
    if n_seeds > 1:
        replicates = replicates + _seed_error(spread) * of_seeds
    levels = _plain_levels if student else _bca_levels(replicates, by_question)
    made = Replicates(np.sort(replicates), levels, spread)
    return Interval(estimate, *made.ends(confidence), made)


@lru_cache(maxsize=64)
def _draws(seed: int, resamples: int, n: int, seeds: int, student: bool) -> tuple[Cells, Cells]:
    """Random numbers of all intervals from `n` questions and so many seeds.

    Returns:
        Draws of Student's t over questions [resamples], or the weights of resampled questions [resamples, n]; and draws
        of Student's t over seeds [resamples], 0 for a single one.
    """
    generator = np.random.default_rng(seed)
    if student:
        drawn = generator.standard_t(n - 1, size=resamples)
    else:
        drawn = np.empty((resamples, n))
        for start in range(0, resamples, step := max(1, CHUNK // n)):
            part = drawn[start : start + step]
            places = generator.integers(0, n, size=part.shape) + n * np.arange(len(part))[:, None]
            part[:] = np.bincount(places.ravel(), minlength=part.size).reshape(part.shape) / n
    return drawn, generator.standard_t(seeds - 1, size=resamples) if seeds > 1 else np.zeros(resamples)


def _spread(values: Cells, by_question: Cells) -> Spread:
    """The variances of `values` (shape [seeds, questions], NaN if missing), whose means over seeds are `by_question`.

    Seed offsets are the least-squares fit of cell = question + seed.
    """
    n_seeds, n_questions = values.shape
    between_questions = float(by_question.var(ddof=1))
    if n_seeds == 1:
        return Spread(n_questions, 1, between_questions, 0.0, 0.0, 0.0)
    deviations = values - by_question
    present = ~np.isnan(deviations)
    deviations = np.where(present, deviations, 0.0)
    shares = present / present.sum(axis=0)
    normal = np.diag(present.sum(axis=1).astype(np.float64)) - present @ shares.T
    inverse = np.linalg.pinv(normal, rcond=1e-9, hermitian=True)  # offsets are known up to a constant
    offsets = inverse @ deviations.sum(axis=1)
    residuals = np.where(present, deviations - offsets[:, None] + (shares * offsets[:, None]).sum(axis=0), 0.0)
    freedom = int(present.sum()) - n_seeds - n_questions + 1
    noise = float((residuals**2).sum()) / freedom if freedom > 0 else 0.0
    of_offsets = float((offsets**2).sum()) / (n_seeds - 1)
    by_noise = noise * float(np.trace(inverse)) / (n_seeds - 1)
    return Spread(n_questions, n_seeds, between_questions, noise, of_offsets, by_noise)


def _seed_error(spread: Spread) -> float:
    """Standard error of the mean from differences between seeds that neither questions nor noise explain.

    Of their variance half of what noise within the cells contributes is taken off (the resampled questions carry that
    already), but no more than half of all.
    """
    beyond = max(spread.offsets - spread.offsets_by_noise / 2, spread.offsets / 2)
    return float(np.sqrt(beyond / spread.seeds))


def _plain_levels(confidence: float) -> Cells:
    return np.array([1 - confidence, 1 + confidence]) / 2


def _bca_levels(replicates: Cells, by_question: Cells) -> Callable[[float], Cells]:
    """Quantile levels of the replicates at an interval's ends: bias-corrected, accelerated, t-widened."""
    n = by_question.size
    deviations = by_question - by_question.mean()
    squares = float((deviations**2).sum())
    acceleration = float((deviations**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    estimate = by_question.mean()
    tie = TIE * np.abs(deviations).max()
    below = ((replicates < estimate - tie).mean() + (replicates <= estimate + tie).mean()) / 2
    edge = 1 / (replicates.size + 1)
    bias = ndtri(np.clip(below, edge, 1 - edge))

    def levels(confidence: float) -> Cells:
        reach = stdtrit(n - 1, (1 + confidence) / 2) * np.sqrt(n / (n - 1))
        shifted = bias + np.array([-reach, reach])
        return np.asarray(ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, edge)))

    return levels
