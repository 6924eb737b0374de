import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from raml.errors import InputError
from raml.evaluation.intervals import Bootstrap, Interval, bootstrap_mean
from raml.evaluation.metrics import Floats, mg_pass_at_k, pass_at_k

N, K = 32, 8
DATA_SETS = 400


def logistic(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


def draw(rng: np.random.Generator, seeds: int, questions: int, seed_spread: float, ease: float) -> Floats:
    """Probabilities of success, shape [seeds, questions]: seeds, questions and their interaction differ."""
    return logistic(
        ease
        + seed_spread * rng.standard_normal((seeds, 1))
        + 1.5 * rng.standard_normal((1, questions))
        + 0.7 * rng.standard_normal((seeds, questions))
    )


@pytest.mark.parametrize(
    ("metric", "seeds", "seed_spread", "ease", "missing"),
    [
        (pass_at_k, 1, 0.0, -1.5, 0.0),
        (mg_pass_at_k, 1, 0.0, -1.0, 0.0),
        (mg_pass_at_k, 3, 0.0, 0.5, 0.0),
        (pass_at_k, 3, 0.8, -1.5, 0.0),
        (pass_at_k, 3, 0.3, -1.5, 0.4),
    ],
    ids=["one seed", "one seed, near 0", "equal seeds", "unequal seeds", "missing cells"],
)
def test_coverage_of_95_percent_intervals(
    metric: Callable[..., Floats], seeds: int, seed_spread: float, ease: float, missing: float
) -> None:
    rng = np.random.default_rng(7)
    score = metric(N, np.arange(N + 1), K)
    total_spread = np.sqrt(seed_spread**2 + 1.5**2 + 0.7**2)
    truth = score[rng.binomial(N, logistic(ease + total_spread * rng.standard_normal(1_000_000)))].mean()
    covered = 0
    for data_set in range(DATA_SETS):
        values = score[rng.binomial(N, draw(rng, seeds, 64, seed_spread, ease))]
        values = np.where(rng.random(values.shape) < missing, np.nan, values)
        interval = bootstrap_mean(values, seed=data_set, resamples=800)
        covered += interval.lower <= truth <= interval.upper
    # Binomial noise of 400 data sets is 1.1 points; equal seeds are covered a little more often than asked.
    assert 0.92 <= covered / DATA_SETS <= 0.99


def test_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    equal = rng.random((1, 100)).repeat(3, axis=0)
    shifted = equal + np.array([[-0.2], [0.0], [0.2]])
    narrow, wide = (bootstrap_mean(values, seed=1) for values in (equal, shifted))
    assert narrow.estimate == pytest.approx(wide.estimate)
    # By hand: a seed's standard error of 0.2 / sqrt(3) times 4.30, the t quantile with 2 degrees of freedom.
    assert wide.upper - wide.lower == pytest.approx(2 * 4.30 * 0.2 / 3**0.5, rel=0.15)
    assert narrow.upper - narrow.lower < 0.15


@pytest.mark.parametrize("questions", [3, 64, 150, 151])
def test_equal_seeds_add_nothing(questions: int) -> None:
    values = np.random.default_rng(questions).random((1, questions))
    one, three = (bootstrap_mean(values.repeat(seeds, axis=0), seed=1) for seeds in (1, 3))
    assert (one.lower, one.upper) == pytest.approx((three.lower, three.upper), abs=0.02)


def test_seeds_closer_together_than_noise_still_widen_the_interval() -> None:
    """Questions that all have the same mean over seeds, so that nothing but the seeds' spread is left."""
    noise = np.tile([1.0, -1.0], 50)
    values = np.stack([noise + 0.02, -noise - 0.02, 0 * noise])
    interval = bootstrap_mean(values, seed=1)
    # By hand: half of the spread of 0.02 between three seeds, and 4.30 as above.
    assert interval.upper - interval.lower == pytest.approx(2 * 4.30 * 0.02 / 2**0.5 / 3**0.5, rel=0.15)


def test_equal_models_near_the_floor_seldom_differ_by_students_t() -> None:
    """mG-Pass@8 of two models right once in twenty: nominally 5% of intervals leave 0 out, with BCa 23% do."""
    rng = np.random.default_rng(0)
    score = mg_pass_at_k(N, np.arange(N + 1), K)
    wrong = {False: 0, True: 0}
    for number in range(200):
        chance = logistic(-3 + 0.8 * rng.standard_normal(144) + 0.5 * rng.standard_normal((2, 144)))
        model, baseline = score[rng.binomial(N, chance)]
        for student in wrong:
            interval = Bootstrap(number, 500, 0.95).mean((model - baseline)[None], student=student)
            wrong[student] += interval.excludes(0)
    assert wrong[True] <= 18 < wrong[False]  # at a rate of 5% the chance of more than 18 is 1%


def test_one_seed_agrees_with_the_t_interval_on_normal_values() -> None:
    values = np.random.default_rng(3).standard_normal((1, 200))
    interval = bootstrap_mean(values, seed=0)
    reach = 1.972 * values.std(ddof=1) / 200**0.5
    assert interval.lower == pytest.approx(interval.estimate - reach, abs=0.15 * reach)
    assert interval.upper == pytest.approx(interval.estimate + reach, abs=0.15 * reach)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    values = np.random.default_rng(0).random((2, 30))
    assert bootstrap_mean(values, seed=5) == bootstrap_mean(values, seed=5)
    assert bootstrap_mean(values, seed=5) != bootstrap_mean(values, seed=6)


def test_draws_are_shared_by_all_intervals_of_as_many_questions() -> None:
    """So intervals of a sum are those of its parts, replicate by replicate, and none depends on what came before."""
    one, two = np.random.default_rng(0).random((2, 1, 30))
    bootstrap = Bootstrap(0, 500, 0.95)
    first = bootstrap.mean(one)
    bootstrap.mean(np.random.default_rng(1).random((3, 80)))
    assert bootstrap.mean(one) == first != Bootstrap(1, 500, 0.95).mean(one)
    plain = bootstrap_mean(one, seed=0, resamples=500)
    assert (first.lower, first.upper) == (plain.lower, plain.upper)
    whole = bootstrap.mean(one + 0 * two + 1)
    assert (whole.lower, whole.upper) == pytest.approx((first.lower + 1, first.upper + 1), abs=1e-12)


@pytest.mark.parametrize("questions", [5, 7, 24])
def test_ends_do_not_hang_on_how_sums_are_rounded(questions: int) -> None:
    """Of few questions with few values many replicates are the estimate itself, however it is rounded."""
    values = np.random.default_rng(questions).integers(0, 4, (1, questions)) / 10
    plain = bootstrap_mean(values, seed=0)
    for scale, shift in ((1.0, 0.1), (1.0, 0.7), (3.0, 0.0), (-1.0, 0.0), (-0.3, 1.1)):
        found = bootstrap_mean(scale * values + shift, seed=0)
        ends = sorted(scale * end + shift for end in (plain.lower, plain.upper))
        assert [found.lower, found.upper] == pytest.approx(ends, abs=1e-9)


def test_constant_values_give_a_point() -> None:
    interval = bootstrap_mean(np.full((3, 40), 0.7), seed=0)
    assert (interval.estimate, interval.lower, interval.upper) == pytest.approx((0.7, 0.7, 0.7))


def test_higher_confidence_is_wider() -> None:
    values = np.random.default_rng(0).random((1, 50))
    narrow, wide = (bootstrap_mean(values, seed=0, confidence=confidence) for confidence in (0.8, 0.99))
    assert wide.lower < narrow.lower < narrow.estimate < narrow.upper < wide.upper


def test_questions_and_seeds_without_values_are_left_out() -> None:
    values = np.random.default_rng(0).random((2, 30))
    padded = np.full((3, 32), np.nan)
    padded[:2, :30] = values
    assert bootstrap_mean(padded, seed=0) == bootstrap_mean(values, seed=0)


@pytest.mark.parametrize("questions", [0, 1])
def test_too_few_questions_are_refused(questions: int) -> None:
    with pytest.raises(InputError, match="at least 2 questions"):
        bootstrap_mean(np.zeros((1, questions)), seed=0)


def test_within_cuts_the_ends() -> None:
    assert Interval(0.9, 0.7, 1.1).within(0, 1) == Interval(0.9, 0.7, 1.0)


def test_ten_thousand_resamples_of_200_questions_are_quick() -> None:
    values = np.random.default_rng(0).random((1, 200))
    start = time.process_time()
    bootstrap_mean(values, seed=0)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("student", [False, True])
@pytest.mark.parametrize("seeds", [1, 3])
def test_p_is_the_alpha_at_which_the_interval_touches_the_line(student: bool, seeds: int) -> None:
    rng = np.random.default_rng(5)
    values = rng.gamma(1.0, 0.3, (seeds, 40))
    interval = bootstrap_mean(values, seed=1, student=student)
    assert interval.replicates is not None
    for line in (interval.estimate * factor for factor in (0.7, 0.8, 0.95, 1.05, 1.2, 1.35)):
        p = interval.replicates.smallest_alpha(line)
        assert 0 < p < 1
        assert (p < 0.05) == interval.excludes(line)
        assert bootstrap_mean(values, seed=1, student=student, confidence=1 - 1.01 * p).excludes(line)
        assert not bootstrap_mean(values, seed=1, student=student, confidence=1 - 0.99 * p).excludes(line)
    assert interval.replicates.ends(0.95) == (interval.lower, interval.upper)


def test_p_agrees_with_the_t_test_and_never_falls_below_what_replicates_can_tell() -> None:
    values = np.random.default_rng(2).standard_normal((1, 30)) + 0.3
    replicates = bootstrap_mean(values, seed=0, student=True).replicates
    assert replicates is not None
    assert replicates.smallest_alpha(0.0) == pytest.approx(ttest_1samp(values[0], 0.0).pvalue, abs=0.01)
    assert replicates.smallest_alpha(-50.0) == 1 / 10_001
    constant = bootstrap_mean(np.full((1, 40), 0.7), seed=0, resamples=100).replicates
    assert constant is not None
    assert (constant.smallest_alpha(0.7), constant.smallest_alpha(0.6)) == (1.0, 1 / 101)
