from typing import Any

import numpy as np
import pytest

from raml.claims.decision import difference_or_none, judge
from raml.claims.evidence import Condition, Evidence, after_holm, all_of, any_of, holm
from raml.claims.result import Side
from raml.evaluation.intervals import Bootstrap, Interval, Replicates, Spread

SPREAD = Spread(questions=100, seeds=3, between_questions=0.04, noise=0.0, offsets=0.0, offsets_by_noise=0.0)
BOOTSTRAP = Bootstrap(0, 2000, 0.95)


def condition(p: float, estimate: float, claimed: Side = "above", questions: int = 100) -> Condition:
    """One whose interval around `estimate` puts the line 0 at the level `p` of its replicates."""
    size, below = 10_000, round(10_000 * p / 2)
    values = np.sort(estimate * np.where(np.arange(size) < below, -1.0, 1.0))

    def levels(confidence: float) -> Any:
        return np.array([1 - confidence, 1 + confidence]) / 2

    replicates = Replicates(values, levels, SPREAD)
    interval = Interval(estimate, *replicates.ends(0.95), replicates)
    verdict, _ = judge(interval, claimed, 0.0, questions, 20)
    return Condition(interval, verdict, claimed, 0.0, questions, 20)


def ps(evidence: Evidence) -> tuple[float | None, float | None]:
    return evidence.p, evidence.corrected


def near(*values: float) -> Any:
    return pytest.approx(values, abs=3e-4)


def test_one_condition_has_its_own_p() -> None:
    assert ps(all_of([condition(0.02, 0.1)])) == near(0.02, 0.02)
    assert ps(any_of([condition(0.02, -0.1)])) == near(0.02, 0.02)


def test_all_that_must_hold_have_the_largest_p() -> None:
    assert ps(all_of([condition(0.01, 0.1), condition(0.04, 0.1), condition(0.02, 0.1)])) == near(0.04, 0.04)


def test_any_one_that_contradicts_has_as_many_chances_as_there_are() -> None:
    found = all_of([condition(0.001, 0.1), condition(0.02, -0.1), condition(0.4, -0.1)])
    assert ps(found) == near(0.02, 0.06)
    assert ps(all_of([condition(0.8, -0.1), condition(0.8, -0.1)])) == near(0.8, 1.0)


def test_one_that_suffices_is_the_mirror_image() -> None:
    assert ps(any_of([condition(0.01, -0.1, "below"), condition(0.3, 0.1, "below")])) == near(0.01, 0.02)
    assert ps(any_of([condition(0.01, 0.1, "below"), condition(0.03, 0.1, "below")])) == near(0.03, 0.03)


def test_too_few_questions_let_nothing_hold_and_the_others_contradict() -> None:
    few = condition(0.001, 0.1, questions=19)
    assert few.p is None and few.verdict == "inconclusive"
    assert ps(all_of([few])) == (None, None)
    assert ps(all_of([condition(0.01, 0.1), few])) == (None, None)
    assert ps(all_of([condition(0.01, -0.1), few])) == near(0.01, 0.02)
    assert ps(any_of([condition(0.01, 0.1), few])) == near(0.01, 0.02)
    missing = Condition(None, "inconclusive", "above", 0.0, 0, 20)
    assert all_of([missing]).p is None and all_of([missing]).needed(0.95) == {"questions": 20}


def test_models_at_the_floor_tell_nothing_whatever_their_interval() -> None:
    clear = condition(0.001, 0.1)
    floor = Condition(clear.estimate, "inconclusive", "above", 0.0, 100, 20)
    assert floor.tells_nothing and floor.p == 1.0 and not clear.tells_nothing
    assert ps(all_of([clear, floor])) == (1.0, 1.0)
    assert all_of([floor]).needed(0.95) is None


@pytest.mark.parametrize("conditions", [1, 2, 5])
def test_p_is_below_5_percent_exactly_when_the_verdict_is_decided(conditions: int) -> None:
    rng = np.random.default_rng(conditions)
    decided = 0
    for number in range(150):
        effect = rng.normal(0.0, 0.12)
        found = []
        for part in range(conditions):
            values = effect + 0.3 * rng.standard_normal((3, 40)) + 0.02 * rng.standard_normal((3, 1))
            interval = difference_or_none(values, BOOTSTRAP, str(number), str(part))
            found.append(Condition(interval, judge(interval, "above", 0.0, 40, 20)[0], "above", 0.0, 40, 20))
        verdicts = {one.verdict for one in found}
        for evidence, is_decided in (
            (all_of(found), "contradicted" in verdicts or verdicts == {"holds"}),
            (any_of(found), "holds" in verdicts or verdicts == {"contradicted"}),
        ):
            assert evidence.p is not None and evidence.corrected is not None
            assert (evidence.p < 0.05) == is_decided
            assert evidence.p <= evidence.corrected <= 1
            decided += is_decided
    assert 60 < decided < 280  # both happen often


def test_what_decides_a_claim_of_several_effects() -> None:
    wide, narrow = condition(0.3, 0.02), condition(0.3, 0.05)
    both, one = all_of([wide, narrow]).needed(0.95), all_of([narrow]).needed(0.95)
    assert both and one and both["questions"] > one["questions"] > 20
    assert both == all_of([wide]).needed(0.95)  # all of those that are open have to be decided
    against = all_of([condition(0.3, -0.02), condition(0.3, -0.05)]).needed(0.95)
    assert against == one  # the first that lies on the wrong side is enough
    assert all_of([condition(0.001, 0.1), narrow]).needed(0.95) == one


def test_holm_by_hand() -> None:
    # 4 x 0.01, 3 x 0.02, 2 x 0.03 is no smaller than that, 1 x 0.04 is
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.01, None, None]) == [pytest.approx(0.03), None, None]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("verdict", "p", "left"),
    [("holds", 0.04, "holds"), ("contradicted", 0.06, "inconclusive"), ("inconclusive", 0.5, "inconclusive")],
)
def test_the_verdict_after_holm(verdict: Any, p: float, left: str) -> None:
    assert after_holm(verdict, p, 0.95) == left


def test_not_run_stays_not_run() -> None:
    assert after_holm("not_run", None, 0.95) == "not_run"
