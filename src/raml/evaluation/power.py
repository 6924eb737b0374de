"""How many questions, or training seeds, would put an effect clear of a threshold.

The power is that of the t test with the error that an interval of `raml.evaluation.intervals` has: of questions, and
of seeds as far as they differ beyond noise. Degrees of freedom are Satterthwaite's, the power that of the noncentral t.
What was measured is taken for the truth, spread and effect alike: with a few seeds that is a rough guide.
"""

from collections.abc import Callable
from functools import partial
from math import sqrt

import numpy as np
from scipy.special import nctdtr, stdtrit

from raml.evaluation.intervals import Spread

WANTED = 0.8
MOST_QUESTIONS = 1_000_000
MOST_SEEDS = 1_000


def power(distance: float, spread: Spread, questions: int, seeds: int, confidence: float) -> float:
    """The probability that the interval of an effect which lies `distance` from a threshold excludes the threshold.

    Args:
        distance: of the effect from the threshold, in the effect's unit.
        spread: as measured.
        questions: at least 2.
        seeds: at least 1; of one nothing is known but the model itself, as for its interval.
        confidence: of the interval.
    """
    noise = spread.noise / spread.seeds
    of_question = max(spread.between_questions - noise, 0.0) + spread.noise / seeds
    of_questions = of_question / questions
    offsets_by_noise = spread.offsets_by_noise * spread.questions / questions
    true = max(spread.offsets - spread.offsets_by_noise, 0.0)
    of_seeds = (true + offsets_by_noise / 2) / seeds if spread.seeds > 1 else 0.0
    variance = of_questions + of_seeds
    if variance == 0:
        return 1.0 if distance else 0.0
    parts = of_questions**2 / (questions - 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    freedom = variance**2 / parts
    reach = stdtrit(freedom, (1 + confidence) / 2)
    found = 1 - nctdtr(freedom, abs(distance) / sqrt(variance), reach)
    return float(np.nan_to_num(found, nan=1.0))  # of a distance beyond what its series can sum


def needed(distance: float, spread: Spread, confidence: float, at_least: int) -> tuple[int, int] | None:
    """The fewest questions, and seeds, with which the power is 80%.

    As many seeds as measured if any number of questions suffices with them; if not, as many questions as measured and
    more seeds; if neither is enough, twice, four times .. as many questions and the fewest seeds with those.

    Args:
        distance: of the measured effect from the threshold.
        spread: as measured.
        confidence: of the interval.
        at_least: questions that a test asks for.

    Returns:
        Questions and seeds; None if a million questions and a thousand seeds do not suffice.
    """
    least = max(at_least, 2)

    def suffices(questions: int, seeds: int) -> bool:
        return power(distance, spread, questions, seeds, confidence) >= WANTED

    enough = _fewest(lambda questions: suffices(questions, spread.seeds), least, MOST_QUESTIONS)
    if enough is not None:
        return enough, spread.seeds
    questions = max(least, spread.questions)
    while spread.seeds > 1 and questions <= MOST_QUESTIONS:
        seeds = _fewest(partial(suffices, questions), spread.seeds, MOST_SEEDS)
        if seeds is not None:
            return questions, seeds
        questions *= 2
    return None


def _fewest(suffices: Callable[[int], bool], low: int, most: int) -> int | None:
    """The smallest number from `low` to `most` that suffices, to within steps of a tenth where more may be worse again.

    With more questions the spread between seeds weighs more, of which a few seeds know little.
    """
    short, enough = low - 1, low
    while not suffices(enough):
        if enough >= most:
            return None
        short, enough = enough, min(max(enough + 1, round(1.1 * enough)), most)
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if suffices(middle) else (middle, enough)
    return enough
