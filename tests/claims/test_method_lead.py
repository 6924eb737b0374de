from typing import Any

import polars as pl
import pytest
from synthetic import SETTINGS

from forced_answers import SKILLS, forced_answers
from raml.claims.decision import ONE_SEED
from raml.claims.method_lead import decide
from raml.claims.sections import MethodLead
from raml.evaluation.intervals import Bootstrap
from raml.schemas import ForcedAnswer

BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
FIG11 = MethodLead(
    name="method_lead", model="sft_long", method="summary", baseline="no_thinking", minimal_effect=0.0,
    min_questions=20, why="-",
)  # fmt: skip
CONTROL = FIG11.model_copy(update={"baseline": "control", "left_out": ["path"]})


@pytest.mark.parametrize(("summary", "verdict"), [(0.6, "holds"), (0.005, "contradicted"), (0.07, "inconclusive")])
def test_the_lead_over_no_thinking_decides(summary: float, verdict: str) -> None:
    decision = decide(FIG11, forced_answers(SKILLS | {"summary": summary}, summaries=1), 16, BOOTSTRAP)
    assert decision.verdict == verdict
    assert decision.unit.startswith("lead of summary in ")
    assert decision.n == {"questions": 60, "samples": 2 * 60 * 16, "seeds": 1}
    shown: Any = decision.details[decision.unit.split()[-1]]
    assert decision.estimate and decision.estimate.estimate == shown["difference"]["estimate"]
    assert decision.full_reason().endswith(ONE_SEED)


def test_both_metrics_must_hold() -> None:
    """A summary is right more often but always on the same half of the questions."""
    table = forced_answers({"summary": 1.0, "no_thinking": 0.3}, summaries=1)
    half = (pl.col("method") == "summary") & pl.col("question_id").str.ends_with("0").not_()
    odd = pl.col("question_id").str.slice(-1).cast(pl.Int32) % 2 == 1
    decision = decide(FIG11, table.with_columns(correct=pl.col("correct") & ~(half & odd)), 16, BOOTSTRAP)
    average, best = (decision.details[metric] for metric in ("Avg@16", "Pass@16"))
    assert (average["verdict"], best["verdict"]) == ("holds", "contradicted")  # type: ignore[index]
    assert decision.verdict == "contradicted"


def test_left_out_benchmarks_are_shown_and_do_not_decide() -> None:
    same = forced_answers(SKILLS | {"summary": 0.5, "control": 0.5}, benchmarks=("path",), questions=60)
    table = pl.concat([forced_answers(), same])
    decision = decide(CONTROL, table, 16, BOOTSTRAP)
    assert decision.verdict == "holds" and decision.n["questions"] == 60
    average: Any = decision.details["Avg@16"]
    assert list(average["benchmarks"]) == ["rows", "rows_hard"] and list(average["left_out"]) == ["path"]
    assert abs(average["left_out"]["path"]["difference"]["estimate"]) < 0.05
    alone = decide(CONTROL, forced_answers(), 16, BOOTSTRAP)
    assert decision.estimate == alone.estimate


def test_leaks_are_said() -> None:
    decision = decide(FIG11, forced_answers(leaked=0.3), 16, BOOTSTRAP)
    share = decision.details["leaked"]["summary"]  # type: ignore[index]
    assert 0.2 < share < 0.4
    assert f"not answered after, as the gold answer occurs in them: summary {share:.1%}" in decision.reason
    assert "not answered after" not in decide(FIG11, forced_answers(), 16, BOOTSTRAP).reason


def test_a_scale_without_answers_is_not_run() -> None:
    for table in (ForcedAnswer.create_empty(), forced_answers(model="base"), forced_answers({"summary": 0.5})):
        decision = decide(FIG11, table, 16, BOOTSTRAP)
        assert decision.verdict == "not_run" and "no_thinking" in decision.reason and decision.estimate is None


def test_few_questions_are_inconclusive() -> None:
    assert decide(FIG11, forced_answers(questions=5), 16, BOOTSTRAP).verdict == "inconclusive"


def test_seeds_that_disagree_are_inconclusive() -> None:
    swapped = pl.col("method").cast(pl.String).replace({"summary": "no_thinking", "no_thinking": "summary"})
    table = forced_answers(seeds=3, summaries=1)
    assert decide(FIG11, table, 16, BOOTSTRAP).verdict == "holds"
    method = pl.when(pl.col("seed") == 2).then(swapped).otherwise(pl.col("method").cast(pl.String))
    assert decide(FIG11, table.with_columns(method=method), 16, BOOTSTRAP).verdict == "inconclusive"
