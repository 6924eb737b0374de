import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import SETTINGS, shape

from raml.claims.mode_pair import curve_quantities, decide, mode_pairs
from raml.claims.sections import ModePair
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
FASTER = ModePair(
    name="mode_pair", model="sft_long", quantity="half_fall", direction="below",
    minimal_effect=0.05, min_questions=20, min_positions=5, why="-",
)  # fmt: skip
WORSE = FASTER.model_copy(update={"quantity": "end", "direction": "above"})
SLOW = (4.0, 4.0, 4.0, 4.0, 0.0)
FAST = (4.0, 1.0, 0.5, 0.5, 0.0)


def many(thinking: tuple[float, ...], no_thinking: tuple[float, ...], **changes: object) -> pl.DataFrame:
    """The same pair in 40 questions of two trajectories, with some noise at the end."""
    rng = np.random.default_rng(0)
    frames = []
    for question in range(40):
        for number in range(2):
            ends = rng.uniform(0, 0.01, 2)
            noisy = [(*nll[:-1], nll[-1] + end) for nll, end in zip((thinking, no_thinking), ends, strict=True)]
            frames.append(shape(*noisy, question=f"q{question:03}", number=number, **changes))  # type: ignore[arg-type]
    return pl.concat(frames)


@pytest.mark.parametrize(
    ("nll", "expected"),
    [
        ((4, 3, 2, 1, 0), 0.5),
        ((4, 4, 4, 4, 0), 1.0),
        ((4, 0, 4, 4, 0), 0.25),  # the first time, even if the curve rises again
        ((2, 6, 5, 1, 0), 0.75),  # first rises; half way is between start and end, not below the peak
        ((4, 4, 3.9, 3.1, 3), 0.75),  # half of a small fall
        ((4, 2.1, 2, 1, 0), 0.5),  # exactly half way counts
        ((3, 3, 3, 3, 3), 1.0),  # constant
        ((3, 1, 1, 1, 3), 1.0),  # ends where it starts
        ((3, 0, 0, 0, 4), 1.0),  # ends higher
        ((0, 0, 0, 0, 0), 1.0),
    ],
)
def test_half_of_the_fall_by_hand(nll: tuple[float, ...], expected: float) -> None:
    for stride in (1, 3):
        found = curve_quantities(shape(nll, None, stride=stride)).row(0, named=True)
        assert found["half_fall"] == expected
        assert (found["start"], found["end"], found["falls"]) == (nll[0], nll[-1], nll[-1] < nll[0])


@pytest.mark.parametrize(
    ("nll", "expected"),
    [
        ((4, 3, 2, 1, 0), 0.5),
        ((4, 0, 4, 4, 0), 1.0),  # rises again
        ((4, 0, 4, 2, 0), 0.75),  # exactly half way is no longer above
        ((4, 1, 1, 1, 0), 0.25),
        ((3, 1, 1, 1, 3), 1.0),  # does not fall
        ((3, 3, 3, 3, 3), 1.0),
    ],
)
def test_the_last_crossing_by_hand(nll: tuple[float, ...], expected: float) -> None:
    for stride in (1, 3):
        assert curve_quantities(shape(nll, None, stride=stride))["last_half_fall"].item() == expected


@given(st.lists(st.floats(0, 20), min_size=2, max_size=30))
def test_half_of_the_fall_by_brute_force(nll: list[float]) -> None:
    found = curve_quantities(shape(nll, None))["half_fall"].item()
    reached = [place for place, value in enumerate(nll) if value <= (nll[0] + nll[-1]) / 2]
    assert found == (reached[0] / (len(nll) - 1) if nll[-1] < nll[0] else 1.0)


@given(st.lists(st.floats(0, 20), min_size=2, max_size=30))
def test_the_last_crossing_by_brute_force(nll: list[float]) -> None:
    found = curve_quantities(shape(nll, None)).row(0, named=True)
    staying = [place for place in range(len(nll)) if all(value <= (nll[0] + nll[-1]) / 2 for value in nll[place:])]
    assert found["last_half_fall"] == (staying[0] / (len(nll) - 1) if nll[-1] < nll[0] else 1.0)
    assert found["last_half_fall"] >= found["half_fall"]


def test_noise_makes_the_first_crossing_earlier_and_the_last_one_later() -> None:
    rng = np.random.default_rng(0)
    for deviation, first, last in ((0.05, 0.48, 0.54), (0.3, 0.21, 0.82)):
        noise = deviation * rng.standard_normal((400, 51))
        falls = [shape(2 - np.linspace(0, 1, 51) + one, None, number=place) for place, one in enumerate(noise)]
        found = curve_quantities(pl.concat(falls)).select(pl.col("half_fall", "last_half_fall").mean()).row(0)
        assert found == pytest.approx((first, last), abs=0.03)


def test_rows_in_any_order_give_the_same_quantities() -> None:
    frame = pl.concat([shape(SLOW, FAST), shape(FAST, SLOW, number=1)])
    mixed = frame.sample(fraction=1, shuffle=True, seed=0)
    assert curve_quantities(mixed).equals(curve_quantities(frame))


def test_pairs_are_of_one_trajectory_and_differences_no_thinking_less_thinking() -> None:
    pairs = mode_pairs(pl.concat([shape(SLOW, FAST), shape(SLOW, None, number=1), shape(FAST, SLOW, seed=1)]), 1)
    assert pairs.select("seed", "half_fall", "half_fall_no_thinking", "half_fall_difference").rows() == [
        (0, 1.0, 0.25, -0.75),
        (1, 0.25, 1.0, 0.75),
    ]


@pytest.mark.parametrize(
    ("thinking", "no_thinking", "faster", "worse"),
    [
        (SLOW, FAST, "holds", "contradicted"),
        (FAST, SLOW, "contradicted", "contradicted"),
        (SLOW, (*FAST[:-1], 0.4), "holds", "holds"),
        (SLOW, SLOW, "contradicted", "contradicted"),
        (SLOW, (*SLOW[:-1], 0.05), "contradicted", "inconclusive"),  # a difference just at the line
    ],
)
def test_verdicts_follow_the_data(
    thinking: tuple[float, ...], no_thinking: tuple[float, ...], faster: str, worse: str
) -> None:
    frame = many(thinking, no_thinking)
    assert decide(FASTER, frame, BOOTSTRAP).verdict == faster
    assert decide(WORSE, frame, BOOTSTRAP).verdict == worse


@pytest.mark.parametrize(
    ("no_thinking", "clause"),
    [
        (FAST, None),  # earlier by either crossing
        (SLOW, None),
        ((4.0, 1.0, 4.0, 4.0, 0.0), "mean difference +0.000 [+0.000, +0.000] lies above -0.05 (contradicted)"),
    ],
)
def test_the_reason_names_the_last_crossing_where_it_says_otherwise(
    no_thinking: tuple[float, ...], clause: str | None
) -> None:
    decision = decide(FASTER, many(SLOW, no_thinking), BOOTSTRAP)
    prefix = "by the last crossing of half-way instead of the first, "
    assert ([prefix + clause] if clause else []) == [
        part for part in decision.reason.split("; ") if part.startswith(prefix)
    ]
    last = decision.details["last_crossing"]
    expected = {FAST: 0.25, SLOW: 1.0}.get(no_thinking, 1.0)
    assert last["no_thinking"]["estimate"] == expected  # type: ignore[index]
    assert last["difference"]["estimate"] == expected - 1  # type: ignore[index]
    assert decision.estimate and decision.estimate.estimate == (0 if no_thinking == SLOW else -0.75)


def test_the_reason_names_a_last_crossing_that_only_differs_in_sign() -> None:
    early_and_late = [(4.0, 4.0, 4.0, 1.0, 1.0, *[0.0] * 96), (4.0, 4.0, 4.0, 4.0, 1.0, *[0.0] * 96)]
    even, odd = (
        many(early_and_late[0], nll).filter(pl.col("question_id").str.tail(1).is_in(digits))
        for nll, digits in ((early_and_late[1], list("02468")), ((4.0, 4.0, 1.0, 4.0, 1.0, *[0.0] * 96), list("13579")))
    )
    decision = decide(FASTER, pl.concat([even, odd]), BOOTSTRAP)
    assert decision.estimate and decision.estimate.lower < 0 < decision.estimate.upper
    assert decision.verdict == decision.details["last_crossing"]["verdict"] == "contradicted"  # type: ignore[index]
    assert decision.reason.endswith(
        "by the last crossing of half-way instead of the first, mean difference +0.010 [+0.010, +0.010] "
        "lies above -0.05"
    )


def test_the_nll_at_the_end_has_no_crossing() -> None:
    decision = decide(WORSE, many(SLOW, FAST), BOOTSTRAP)
    assert "last_crossing" not in decision.details and "crossing" not in decision.reason


def test_only_correct_trajectories_of_the_model_decide() -> None:
    own = many(SLOW, FAST)
    others = [
        many(FAST, SLOW, correct=False).with_columns(pl.format("{}/wrong", "trajectory_id").alias("trajectory_id"))
    ]
    others.append(many(FAST, SLOW, model="base"))
    decision = decide(FASTER, pl.concat([own, *others]), BOOTSTRAP)
    assert decision.verdict == "holds"
    assert decision.n == {"questions": 40, "trajectories": 80, "seeds": 1}
    assert decision.estimate and decision.estimate.estimate == pytest.approx(-0.75)
    incorrect = decision.details["incorrect_trajectories"]
    assert incorrect["difference"]["estimate"] == pytest.approx(0.75)  # type: ignore[index]
    assert incorrect["trajectories"] == 80  # type: ignore[index]


def test_details_tell_both_modes_and_the_share_of_pairs() -> None:
    rising = shape((1, 1, 1, 1, 2), (1, 1, 1, 1, 2), question="q100")
    details = decide(FASTER, pl.concat([many(SLOW, FAST), rising]), BOOTSTRAP).details
    assert details["thinking"]["estimate"] == 1  # type: ignore[index]
    assert details["no_thinking"]["estimate"] == pytest.approx((40 * 0.25 + 1) / 41)  # type: ignore[index]
    assert details["share_of_pairs"] == pytest.approx(
        {"no_thinking_lower": 80 / 81, "equal": 1 / 81, "no_thinking_higher": 0}
    )
    assert details["curves_that_do_not_fall"] == {"thinking": 1, "no_thinking": 1}


def test_each_benchmark_is_judged_by_the_same_line() -> None:
    path = many(FAST, SLOW, benchmark="path").with_columns(
        pl.format("p{}", "question_id").alias("question_id"), pl.format("p{}", "trajectory_id").alias("trajectory_id")
    )
    decision = decide(FASTER, pl.concat([many(SLOW, FAST), path.filter(pl.col("question_id") < "pq025")]), BOOTSTRAP)
    found = decision.details["benchmarks"]
    assert found["rows"]["verdict"] == "holds" and found["path"]["verdict"] == "contradicted"  # type: ignore[index]
    assert "path by itself: +0.750 [+0.750, +0.750], short of the line" in decision.reason


def test_curves_left_out_are_counted() -> None:
    short = shape((4, 3, 2, 0), (4, 3, 2, 0), question="q100")
    single = shape(SLOW, None, question="q101")
    decision = decide(FASTER, pl.concat([many(SLOW, FAST), short, single]), BOOTSTRAP)
    assert decision.details["curves_left_out"] == {"too_short": 2, "without_the_other_mode": 1}
    assert decision.n["trajectories"] == 80


def test_few_questions_and_other_models_decide_nothing() -> None:
    one = decide(FASTER, shape(SLOW, FAST), BOOTSTRAP)
    assert (one.verdict, one.estimate) == ("inconclusive", None)
    wrong = decide(FASTER, shape(SLOW, FAST, correct=False), BOOTSTRAP)
    assert wrong.verdict == "inconclusive" and wrong.n["questions"] == 0
    absent = decide(FASTER, many(SLOW, FAST, model="base"), BOOTSTRAP)
    assert (absent.verdict, absent.reason) == ("not_run", "this scale has no answer-NLL curves of sft_long")


def test_a_curve_that_lacks_its_start_is_refused() -> None:
    with pytest.raises(DataError, match="lacks position 0"):
        curve_quantities(shape(SLOW, FAST).filter(pl.col("position") > 0))
