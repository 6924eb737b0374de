"""What was measured beside the numbers that the paper reports."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from synthetic import quantities, quantity

from raml.claims.paper import compare
from raml.claims.registry import load_registry

ROOT = Path(__file__).parents[2]
REGISTRY = load_registry(ROOT / "config/claims.yaml", ROOT / "config/reported.yaml")


def solved(model: str, right: int, *names: str, benchmark: str = "AIME24") -> pl.DataFrame:
    """A model that always solves so many of 30 questions."""
    return pl.concat([quantity(name, model, np.arange(30) < right, benchmark=benchmark) for name in names])


def found(claim: str, *tables: pl.DataFrame) -> dict[str, dict[str, object]]:
    chosen = next(one for one in REGISTRY.claims if one.id == claim)
    return {str(one["key"]): one for one in compare(chosen, REGISTRY, quantities(*tables))}


def test_scores_beside_table_2_in_percent() -> None:
    both = ("Pass@8", "mG-Pass@8")
    numbers = found("tab2", solved("sft_long", 12, *both), solved("sft_short", 27, *both))
    assert list(numbers) == [
        f"table2.{model}.AIME24.{at}" for model in ("sft_short", "sft_long") for at in ("P8", "mG8")
    ]
    long = numbers["table2.sft_long.AIME24.P8"]
    assert (long["reported"], long["measured"], long["tolerance"]) == (36.69, pytest.approx(40.0), 10.0)
    assert long["difference"] == pytest.approx(3.31) and long["within"] is True
    lower, upper = long["interval"]  # type: ignore[misc]
    assert -36.69 <= lower < 3.31 < upper <= 63.31 and 20 < upper - lower < 50
    short = numbers["table2.sft_short.AIME24.P8"]
    assert short["difference"] == pytest.approx(90 - 20.34) and short["within"] is False


def test_names_of_the_paper_are_ours() -> None:
    cold = solved("sft_grpo", 15, "Pass@8", benchmark="LiveMathBench-Hard-en")
    assert found("tab3", cold).keys() == {"table3.sft_then_grpo.LiveMathBench-Hard.P8"}
    ways = {"thinking": ("thinking", 24), "summarised": ("summary", 12), "no_thinking": ("no_thinking", 9)}
    numbers = found("fig11", *(solved(f"sft_long/{way}", right, "Avg@16", "Pass@16") for way, right in ways.values()))
    assert {key: one["measured"] for key, one in numbers.items()} == pytest.approx(
        {f"figure11.AIME24.{at}.{way}": 100 * right / 30 for at in ("Avg16", "P16") for way, (_, right) in ways.items()}
    )


def test_changes_at_tokens_beside_figure_6() -> None:
    names = {"all tokens": 0.5, "reflection: Wait": 1.5, "reflection": 9.0}
    tables = [quantity(f"relative change/{name}", "sft_long", [value] * 3) for name, value in names.items()]
    numbers = found("fig6", *tables)
    assert {key: one["measured"] for key, one in numbers.items()} == {
        "figure6.avg": pytest.approx(0.5), "figure6.Wait": pytest.approx(1.5),
    }  # fmt: skip
    assert numbers["figure6.Wait"]["within"] is True


def test_what_was_not_measured_or_is_a_plot_is_left_out() -> None:
    other = solved("sft_long", 12, "Pass@4")
    assert found("tab2", other) == found("fig11", other) == found("fig8", other) == found("fig4", other) == {}
    assert found("tab2", quantity("Pass@8", "sft_long", [0.5], benchmark="AIME24")) == {}  # no interval of one question
