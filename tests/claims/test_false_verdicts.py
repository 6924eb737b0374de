"""How often whole decisions are wrong where an effect lies exactly on its line, on data shaped like ours.

Of an interval of 95% at most 2.5% lie wholly on either side of the truth; 5% is the bound. The real tests decide.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from simulated import K, curves, evaluations, right

from raml.claims import beats, best_or_level, curve_trend, mode_pair, not_dominated
from raml.claims.decision import Decision, difference_or_none, judge
from raml.claims.evidence import Condition, all_of, holm
from raml.claims.sections import Beats, BestOrLevel, CurveTrend, ModePair, NotDominated
from raml.evaluation.intervals import Bootstrap

BEATS = Beats(
    name="beats", models=["model"], baseline="baseline", kinds=["in_domain"], minimal_effect=0.0, min_questions=20,
    why="-",
)  # fmt: skip
BEAT_ALL = BEATS.model_copy(update={"models": ["model", "second", "third"]})
LEVEL = BestOrLevel(
    name="best_or_level", model="model", baseline="baseline", kinds=["in_domain"], margin=0.0, min_questions=20, why="-"
)
NOT_DOMINATED = NotDominated(
    name="not_dominated", model="baseline", rival="model", kinds=["in_domain"], margin=0.0, min_questions=20, why="-"
)
FALLS = CurveTrend(
    name="curve_trend", model="sft_long", trajectories="correct", direction="falls", minimal_effect=0.3,
    min_questions=20, min_positions=5, why="-",
)  # fmt: skip
WORSE = ModePair(
    name="mode_pair", model="sft_long", quantity="end", direction="above", minimal_effect=0.05, min_questions=20,
    min_positions=5, why="-",
)  # fmt: skip
EQUAL = {"model": 0.0, "baseline": 0.0, "second": 0.0, "third": 0.0}

Decide = Callable[[pl.DataFrame, Bootstrap], Decision]


def by_beats(table: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    return beats.decide(BEATS, table, K, bootstrap)


def by_beats_of_three(table: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    return beats.decide(BEAT_ALL, table, K, bootstrap)


def by_level(table: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    return best_or_level.decide(LEVEL, table, K, bootstrap)


def by_not_dominated(table: pl.DataFrame, bootstrap: Bootstrap) -> Decision:
    return not_dominated.decide(NOT_DOMINATED, table, K, bootstrap)


def verdicts(
    decide: Decide, skill: float, seeds: int, questions: int, luck: float, data_sets: int
) -> tuple[Counter[str], Counter[str]]:
    """How often each verdict comes of equal models, and how often with a corrected p below 5%."""
    rng = np.random.default_rng(23)
    plain: Counter[str] = Counter()
    corrected: Counter[str] = Counter()
    for number in range(data_sets):
        counts = right(rng, {name: skill + more for name, more in EQUAL.items()}, seeds, questions, luck)
        decision = decide(evaluations(counts), Bootstrap(number, 400, 0.95))
        plain[decision.verdict] += 1
        if decision.evidence and decision.evidence.corrected is not None and decision.evidence.corrected < 0.05:
            corrected[decision.verdict] += 1
    return plain, corrected


def too_many(wrong: int, of: int) -> bool:
    """Whether so many are unlikely (1%) where the rate is 5%."""
    return bool(binom.sf(wrong - 1, of, 0.05) < 0.01)


@pytest.mark.parametrize("decide", [by_beats, by_level, by_not_dominated])
def test_equal_models(decide: Decide) -> None:
    plain, corrected = verdicts(decide, -1.0, 3, 48, 0.4, 40)
    assert not too_many(plain["holds"], 40)
    assert not too_many(corrected["contradicted"], 40) and not too_many(corrected["holds"], 40)
    assert plain["inconclusive"] >= 30


def test_models_at_the_floor() -> None:
    plain, _ = verdicts(by_not_dominated, -4.5, 1, 48, 0.0, 25)
    assert not too_many(plain["holds"] + plain["contradicted"], 25)


def falls_on_the_line(number: int, rng: np.random.Generator) -> tuple[Decision, Decision]:
    """Curves whose ends differ by just the line between the modes, and the two decisions on them."""
    table = curves(rng, 0.45, 3, 30, 0.2, pause=WORSE.minimal_effect)
    bootstrap = Bootstrap(number, 400, 0.95)
    return curve_trend.decide(FALLS, table, bootstrap), mode_pair.decide(WORSE, table, bootstrap)


def test_no_thinking_curves_that_end_higher_by_just_the_line() -> None:
    rng = np.random.default_rng(5)
    found = Counter(falls_on_the_line(number, rng)[1].verdict for number in range(15))
    assert not too_many(found["holds"], 15) and not too_many(found["contradicted"], 15)


def condition(rng: np.random.Generator, effect: float, *place: int) -> Condition:
    """One effect on 30 questions, claimed to lie above 0."""
    values = effect + 0.3 * rng.standard_normal((1, 30))
    interval = difference_or_none(values, Bootstrap(0, 500, 0.95), *map(str, place))
    verdict, _ = judge(interval, "above", 0.0, 30, 20)
    return Condition(interval, verdict, "above", 0.0, 30, 20)


def test_holm_keeps_the_family() -> None:
    """Ten claims of 1 to 3 effects each on their lines: few families have one that Holm lets be decided."""
    rng = np.random.default_rng(0)
    wrong = uncorrected = 0
    for number in range(50):
        evidence = [
            all_of([condition(rng, 0.0, number, claim, part) for part in range(1 + claim % 3)]) for claim in range(10)
        ]
        adjusted = holm([one.corrected for one in evidence])
        wrong += any(p is not None and p < 0.05 for p in adjusted)
        uncorrected += any(one.p is not None and one.p < 0.05 for one in evidence)
    assert not too_many(wrong, 50)
    assert uncorrected > 10  # without any correction many families have one


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("skill", "seeds", "questions", "luck"),
    [(-1.0, 1, 48, 0.0), (-1.0, 3, 20, 0.3), (-1.0, 3, 48, 0.6), (-1.0, 3, 144, 0.3), (-3.5, 3, 48, 0.3)],
)
@pytest.mark.parametrize("decide", [by_beats, by_beats_of_three, by_level, by_not_dominated])
def test_equal_models_long(decide: Decide, skill: float, seeds: int, questions: int, luck: float) -> None:
    plain, corrected = verdicts(decide, skill, seeds, questions, luck, 300)
    print(
        f"holds {plain['holds'] / 300:.3f}, contradicted {plain['contradicted'] / 300:.3f}, after correction ", end=""
    )
    print(f"{corrected['holds'] / 300:.3f}, {corrected['contradicted'] / 300:.3f}")
    assert not too_many(plain["holds"], 300)
    assert not too_many(corrected["contradicted"], 300) and not too_many(corrected["holds"], 300)
