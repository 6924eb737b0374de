import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from raml.evaluation.intervals import Cells, Spread, bootstrap_mean
from raml.evaluation.power import needed, power

ONE_SEED = Spread(questions=50, seeds=1, between_questions=0.09, noise=0.0, offsets=0.0, offsets_by_noise=0.0)
SEEDS = Spread(questions=50, seeds=3, between_questions=0.03, noise=0.06, offsets=0.0132, offsets_by_noise=0.0012)


def test_power_of_one_seed_is_that_of_the_t_test() -> None:
    # By hand: 0.1 / (0.3 / sqrt(n)) has to be 1.96 + 0.84, so n is 71 of a normal, two more of Student's t.
    assert needed(0.1, ONE_SEED, 0.95, 20) == (pytest.approx((2.8016 * 3) ** 2 + 2, abs=1), 1)
    reach = norm.ppf(0.975)
    assert power(0.1, ONE_SEED, 2000, 1, 0.95) == pytest.approx(norm.sf(reach - 0.1 / 0.3 * 2000**0.5), abs=0.01)
    assert power(-0.1, ONE_SEED, 60, 1, 0.95) == power(0.1, ONE_SEED, 60, 1, 0.95)


def test_at_least_what_the_test_asks_for() -> None:
    assert needed(1.0, ONE_SEED, 0.95, 20) == (20, 1)


def test_seeds_that_differ_ask_for_more_of_them() -> None:
    # Three seeds that differ by 0.11 about their mean: t with 2 degrees of freedom asks for 4.3 x 0.11 / sqrt(3).
    assert power(0.15, SEEDS, 10**6, 3, 0.95) < 0.8
    found = needed(0.15, SEEDS, 0.95, 20)
    assert found is not None and found[0] == 50 and 4 <= found[1] <= 8
    assert power(0.15, SEEDS, *found, 0.95) >= 0.8 > power(0.15, SEEDS, 50, found[1] - 1, 0.95)
    clear = needed(2.0, SEEDS, 0.95, 20)
    assert clear == (20, 3)


@given(
    st.floats(0.02, 0.3),
    st.floats(0.001, 0.1),
    st.floats(0.001, 0.2),
    st.floats(1e-5, 0.01),
    st.floats(0, 1),
)
def test_what_suffices_is_found_where_more_would_be_worse(
    distance: float, between: float, noise: float, offsets: float, by_noise: float
) -> None:
    """With more questions the seeds weigh more, of which three know little: power may fall again."""
    spread = Spread(50, 3, between + noise / 3, noise, offsets, by_noise * offsets)
    suffices = [n for n in (20, 40, 80, 160, 320) if power(distance, spread, n, 3, 0.95) >= 0.8]
    found = needed(distance, spread, 0.95, 20)
    if found is not None:
        assert power(distance, spread, *found, 0.95) >= 0.8
    if suffices and suffices[0] * 1.1 < 320 and power(distance, spread, round(suffices[0] * 1.1), 3, 0.95) >= 0.8:
        assert found is not None and found[1] == 3 and found[0] <= round(suffices[0] * 1.1)


def test_both_may_be_too_few() -> None:
    found = needed(0.004, SEEDS, 0.95, 20)
    assert found is None or found[0] > 50


@pytest.mark.parametrize("spread", [ONE_SEED, SEEDS])
def test_an_effect_on_the_line_is_decided_by_nothing(spread: Spread) -> None:
    assert needed(0.0, spread, 0.95, 20) is None
    assert power(0.0, spread, 100, 3, 0.95) == pytest.approx(0.025, abs=0.001)


def test_without_any_spread_a_few_questions_do() -> None:
    constant = Spread(questions=30, seeds=1, between_questions=0.0, noise=0.0, offsets=0.0, offsets_by_noise=0.0)
    assert needed(0.1, constant, 0.95, 20) == (20, 1)
    assert needed(0.0, constant, 0.95, 20) is None


def draw(rng: np.random.Generator, seeds: int, questions: int, of_seeds: float) -> Cells:
    """Effects of 0.1 with question, seed and cell noise: normal, so that the power has a known answer."""
    return (
        0.1
        + of_seeds * rng.standard_normal((seeds, 1))
        + 0.3 * rng.standard_normal((1, questions))
        + 0.4 * rng.standard_normal((seeds, questions))
    )


@pytest.mark.parametrize(("seeds", "of_seeds"), [(1, 0.0), (5, 0.05)])
def test_so_many_decide_about_80_percent_of_the_time(seeds: int, of_seeds: float) -> None:
    rng = np.random.default_rng(seeds)
    known = bootstrap_mean(draw(rng, 400 if of_seeds else 1, 2000, of_seeds), seed=0, student=True).replicates
    assert known is not None
    true = known.spread
    per_cell = true.noise / true.seeds
    spread = Spread(  # the truth as an experiment with `seeds` would find it on average
        questions=2000,
        seeds=seeds,
        between_questions=true.between_questions - per_cell + true.noise / seeds,
        noise=true.noise,
        offsets=true.offsets,
        offsets_by_noise=true.offsets_by_noise,
    )
    found = needed(0.1, spread, 0.95, 20)
    assert found is not None
    questions, of = found
    decided = 0
    for number in range(300):
        values = draw(rng, of, questions, of_seeds)
        interval = bootstrap_mean(values, seed=number, resamples=1000, student=True)
        decided += interval.lower > 0
    # The noise of 300 is 2.3 points; intervals allow for seeds that differ more, so that power comes out lower there.
    assert 0.70 <= decided / 300 <= 0.88
