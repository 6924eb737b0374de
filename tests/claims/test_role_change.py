import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import SETTINGS, changes

from raml.claims import role_change
from raml.claims.role_change import decide, role_summaries, roles_of, superiority
from raml.claims.sections import RoleChange
from raml.evaluation.intervals import Bootstrap
from raml.probing.roles import permutation_p_values
from raml.schemas import TokenChange

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
FIG6 = RoleChange(name="role_change", role="reflection", minimal_effect=0.06, min_questions=20, why="-")
IS_ROLE = pl.col("role") == "reflection"


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(*arguments: object, **options: object) -> object:
        return permutation_p_values(*arguments, permutations=99, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(role_change, "permutation_p_values", quick)


def trajectory(relative: list[float | None], is_role: list[bool]) -> pl.DataFrame:
    rows = {
        "trajectory_id": "q/m/0",
        "question_id": "q",
        "benchmark": "rows",
        "model": "m",
        "seed": 0,
        "correct": True,
        "position": range(1, len(relative) + 1),
        "token": "x",
        "role": ["reflection" if own else "other" for own in is_role],
        "before": [0.0 if value is None else 1.0 for value in relative],
        "after": [0.5 if value is None else 1.0 + value for value in relative],
        "relative_change": relative,
    }
    return TokenChange.cast(pl.DataFrame(rows))


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 3.0])), st.booleans()), min_size=2, max_size=25
    )
)
def test_superiority_by_brute_force_with_ties_and_undefined_changes(tokens: list[tuple[float | None, bool]]) -> None:
    found = superiority(trajectory([value for value, _ in tokens], [own for _, own in tokens]), IS_ROLE)
    role, others = ([value for value, own in tokens if own == wanted and value is not None] for wanted in (True, False))
    if not role or not others:
        assert found.is_empty()
        return
    won = [0.5 if one == other else float(one > other) for one, other in itertools.product(role, others)]
    assert found["superiority"].item() == pytest.approx(np.mean(won) - 0.5)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(3.0, "holds"), (1.0, "contradicted"), (0.3, "contradicted"), (1.22, "inconclusive")]
)
def test_verdicts_follow_the_data(factor: float, verdict: str) -> None:
    decision = decide(FIG6, changes(factor), BOOTSTRAP)
    assert decision.verdict == verdict
    assert decision.n == {"questions": 40, "trajectories": 80, "seeds": 1, "tokens": 80 * 4}


def test_a_few_huge_changes_do_not_decide() -> None:
    frame = changes(1.0)
    outlier = IS_ROLE & (pl.col("trajectory_id") == "rows-000/sft_long/0") & (pl.col("position") == 3)
    heavy = frame.with_columns(relative_change=pl.when(outlier).then(1e6).otherwise("relative_change"))
    decision = decide(FIG6, heavy, BOOTSTRAP)
    assert decision.verdict == "contradicted"
    assert decision.details["roles"]["reflection"]["relative_change"]["mean"] > 1e3  # type: ignore[index]


def test_details_of_each_role() -> None:
    frame = changes(3.0)
    details = decide(FIG6, frame, BOOTSTRAP).details
    assert list(details["roles"]) == ["other", "reflection"]  # type: ignore[call-overload]
    role = details["roles"]["reflection"]  # type: ignore[index]
    relative = frame.filter(IS_ROLE)["relative_change"]
    assert role["relative_change"]["mean"] == pytest.approx(relative.mean())
    assert role["relative_change"]["median"] == pytest.approx(relative.median())
    assert role["permutation_p_values"]["median"] == 0.01
    assert role["share_undefined"] == 0 and role["tokens"] == relative.len()
    assert details["auc_less_half_by_outcome"]["incorrect"] is None  # type: ignore[index]


def test_signed_changes_at_the_token_and_at_the_next_one() -> None:
    frame = trajectory([0.5, 0.25, 0.1, 0.2], [True, False, False, True])  # all of them rises by construction
    down = frame.with_columns(after=pl.when(pl.col("position") == 1).then(0.5).otherwise("after"))
    two = pl.concat([down, down.with_columns(trajectory_id=pl.lit("r/m/0"), question_id=pl.lit("r"))])
    own = role_summaries(two, roles_of(two), BOOTSTRAP)["reflection"]
    assert own.signed and own.signed.estimate == pytest.approx((-0.5 + 0.2) / 2)
    assert own.signed_next and own.signed_next.estimate == pytest.approx(0.25)  # the last token has none after it
    assert own.absolute and own.absolute["median"] == pytest.approx(-0.15)


def test_the_next_token_is_of_the_same_trajectory() -> None:
    rows = decide(FIG6, changes(3.0), BOOTSTRAP).details["roles"]["reflection"]  # type: ignore[index]
    assert rows["signed_change_by_question"]["upper"] < 0 < rows["signed_change_at_the_next_token"]["lower"]


def test_undefined_changes_are_counted_and_left_out() -> None:
    frame = trajectory([None, 0.5, 0.25, 0.1], [True, True, False, False])
    own = role_summaries(frame, roles_of(frame), BOOTSTRAP)["reflection"]
    assert (own.tokens, own.undefined) == (2, 1)
    assert own.relative == {"mean": 0.5, "median": 0.5, "trimmed_mean": 0.5}


def test_questions_count_equally_and_benchmarks_are_judged_by_themselves() -> None:
    many = changes(0.3, questions=1, trajectories=100).with_columns(
        pl.format("{}/more", "trajectory_id").alias("trajectory_id")
    )
    assert decide(FIG6, pl.concat([changes(3.0), many]), BOOTSTRAP).verdict == "holds"
    decision = decide(
        FIG6, pl.concat([changes(3.0, questions=60), changes(0.3, questions=25, benchmark="path")]), BOOTSTRAP
    )
    found = decision.details["benchmarks"]
    assert found["path"]["verdict"] == "contradicted" and found["rows"]["verdict"] == "holds"  # type: ignore[index]
    assert "path by itself: " in decision.reason and "short of the line" in decision.reason


@pytest.mark.parametrize("questions", [0, 1])
def test_almost_nothing_measured_is_inconclusive(questions: int) -> None:
    decision = decide(FIG6, changes(3.0, questions=questions), BOOTSTRAP)
    assert (decision.verdict, decision.estimate, decision.n["questions"]) == ("inconclusive", None, questions)


def test_a_role_without_tokens_is_inconclusive() -> None:
    decision = decide(FIG6.model_copy(update={"role": "steps"}), changes(3.0), BOOTSTRAP)
    assert decision.verdict == "inconclusive" and decision.n["tokens"] == 0
