from pathlib import Path

import numpy as np
import polars as pl
import pytest
from simulated import evaluations
from synthetic import changes

from raml.claims.paper import Comparison, compare
from raml.claims.registry import load_registry
from raml.evaluation.intervals import Bootstrap
from raml.schemas import TokenChange

ROOT = Path(__file__).parents[2]
REGISTRY = load_registry(ROOT / "config/claims.yaml", ROOT / "config/reported.yaml")
BOOTSTRAP = Bootstrap(0, 500, 0.95)
QUESTIONS = 30
METRICS = ("P8", "mG8")


def sampled(right: dict[str, int], benchmark: str = "AIME24") -> pl.DataFrame:
    """Models that are `right` on so many of 30 questions in all of their 16 samples, and never on the others."""
    counts = {model: np.where(np.arange(QUESTIONS) < number, 16, 0)[None] for model, number in right.items()}
    return evaluations(counts).with_columns(pl.lit(benchmark).alias("benchmark"))


def answered(right: dict[str, int], answers: int = 16) -> pl.DataFrame:
    """By method the number of AIME24's questions that are always right; the columns that Figure 11 reads."""
    rows = [
        {"model": "sft_long", "seed": 0, "benchmark": "AIME24", "kind": "in_domain_hard", "question_id": f"q{question}",
         "method": method, "variant": 0, "leaked": False, "correct": question < number, "thinking_tokens": 5,
         "answer_tokens": 2}
        for method, number in right.items() for question in range(QUESTIONS) for _ in range(answers)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def found(
    claim: str,
    scored: pl.DataFrame | None = None,
    answers: pl.DataFrame | None = None,
    roles: pl.DataFrame | None = None,
) -> dict[str, Comparison]:
    tables = {
        "evaluations": sampled({"base": 0}) if scored is None else scored,
        "answers": answered({"thinking": 1}).clear() if answers is None else answers,
        "roles": TokenChange.create_empty() if roles is None else roles,
    }
    chosen = next(one for one in REGISTRY.claims if one.id == claim)
    return {one.key: one for one in compare(chosen, REGISTRY, tables, BOOTSTRAP)}


def test_scores_beside_the_papers() -> None:
    numbers = found("tab2", sampled({"sft_long": 12, "sft_short": 27}))
    assert list(numbers) == [
        f"table2.{model}.AIME24.{metric}" for model in ("sft_short", "sft_long") for metric in ("P8", "mG8")
    ]
    long = numbers["table2.sft_long.AIME24.P8"]
    assert (long.reported, long.measured, long.tolerance) == (36.69, pytest.approx(40.0), 10.0)
    assert long.difference == pytest.approx(3.31) and long.within
    lower, upper = long.interval
    assert -36.69 <= lower < long.difference < upper <= 63.31 and 20 < upper - lower < 50  # of 30 questions
    short = numbers["table2.sft_short.AIME24.P8"]
    assert short.difference == pytest.approx(90 - 20.34) and not short.within


def test_names_of_the_paper_are_ours() -> None:
    table = sampled({"sft_grpo": 15, "zero_grpo": 3}, "LiveMathBench-Hard-en")
    numbers = found("tab3", table)
    assert set(numbers) == {
        f"table3.{model}.LiveMathBench-Hard.{metric}"
        for model in ("zero_grpo", "sft_then_grpo")
        for metric in ("P8", "mG8")
    }
    assert numbers["table3.sft_then_grpo.LiveMathBench-Hard.P8"].measured == pytest.approx(50.0)


def test_answers_beside_figure_11() -> None:
    numbers = found("fig11", answers=answered({"thinking": 24, "summary": 12, "no_thinking": 9}))
    assert {key: one.measured for key, one in numbers.items()} == pytest.approx(
        {
            f"figure11.AIME24.{metric}.{way}": score
            for metric in ("Avg16", "P16")
            for way, score in (("thinking", 80.0), ("summarised", 40.0), ("no_thinking", 30.0))
        }
    )
    assert numbers["figure11.AIME24.Avg16.thinking"].within
    assert not numbers["figure11.AIME24.P16.summarised"].within


def test_tokens_beside_figure_6() -> None:
    table = changes(3.0)
    numbers = found("fig6", roles=table)
    assert list(numbers) == ["figure6.avg", "figure6.Wait"]  # the only word that occurs
    wait = table.filter(pl.col("token") == "Wait")["relative_change"].mean()
    assert numbers["figure6.Wait"].measured == pytest.approx(wait)
    assert numbers["figure6.avg"].measured == pytest.approx(table["relative_change"].mean())


def test_fewer_samples_than_the_paper_has_compare_nothing() -> None:
    few = sampled({"sft_long": 12}).with_columns(pl.lit(7, pl.Int32).alias("n"), pl.col("c").clip(0, 7))
    assert found("tab2", few) == {}
    assert found("fig11", answers=answered({"thinking": 24}, answers=15)) == {}
    assert found("fig8") == {} and found("fig4") == {}
