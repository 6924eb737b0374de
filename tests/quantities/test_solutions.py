"""How many different solutions a training question has, and over which benchmarks scores are pooled."""

from typing import Any

import polars as pl
import pytest

from raml.claims.effects import Quantities, every
from raml.config import SFT
from raml.evaluation.intervals import Bootstrap
from raml.quantities.solutions import solution_quantities
from raml.quantities.table import QuantityTable, complete

SETTINGS = SFT(
    start="base", max_prompt_tokens=4, max_tokens=6, learning_rate=0.1, warmup_ratio=0.0, trajectories_per_question=4,
    exposures_per_question=4, batch_size=4, mask_wrong_attempts=True,
)  # fmt: skip
QUESTIONS = pl.DataFrame({"id": ["a", "b", "c"], "family": ["rows", "rows", "path"]})


def trajectories(*rows: tuple[str, list[int], dict[str, Any]]) -> pl.DataFrame:
    usable = {"correct": True, "finished": True, "prompt_ids": [1, 2], "n_tokens": 3}
    return pl.DataFrame([{"question_id": name, "token_ids": tokens, **usable, **given} for name, tokens, given in rows])


def values(table: pl.DataFrame, quantity: str) -> dict[str, float]:
    return dict(table.filter(quantity=quantity).select("question_id", "value").iter_rows())


def test_different_trajectories_are_counted_once() -> None:
    table = trajectories(("a", [1], {}), ("a", [2], {}), ("a", [2], {}), ("b", [1], {}), ("b", [1], {}))
    found = solution_quantities("short", table, QUESTIONS, SETTINGS, [1.0, 2.0, 4.0])
    assert values(found, "solutions@1") == {"a": 1, "b": 1}
    assert values(found, "solutions@2") == {"a": 1, "b": 0}
    assert values(found, "solutions@4") == {"a": 0, "b": 0}
    assert values(found, "seen@1") == {"a": 1, "b": 1} and values(found, "seen@4") == {"a": 2, "b": 1}
    assert set(found["benchmark"]) == {"rows"} and set(found["model"]) == {"short"} and set(found["seed"]) == {0}
    assert found.filter(question_id="a", quantity="seen@4")["n"].item() == 3
    QuantityTable.validate(complete(found, {}))


@pytest.mark.parametrize(
    "given", [{"correct": False}, {"finished": False}, {"prompt_ids": [1] * 5}, {"n_tokens": 7}], ids=str
)
def test_what_sft_does_not_take_is_no_solution(given: dict[str, Any]) -> None:
    table = trajectories(("a", [1], {}), ("a", [2], given), ("c", [1], given))
    found = solution_quantities("long", table, QUESTIONS, SETTINGS, [2.0])
    assert values(found, "solutions@2") == {"a": 0}  # c is in no training


def scores(quantity: str, benchmarks: dict[str, str]) -> pl.DataFrame:
    rows = [
        {"quantity": quantity, "model": "sft_long", "benchmark": name, "question_id": f"{name}{number}"}
        for name in benchmarks
        for number in range(3)
    ]
    return complete(pl.DataFrame(rows).with_columns(seed=0, value=0.5, weight=1.0, n=8), benchmarks)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("Pass@8", ["path", "rows"]), ("trend/mG-Pass@8", ["path", "rows"]), ("Avg@16", []), ("cut off", [])],
)
def test_scores_and_trends_are_pooled_without_each_benchmark(quantity: str, expected: list[str]) -> None:
    table = scores(quantity, {"rows": "in_domain", "path": "in_domain_hard", "rows_top": "within_domain"})
    found = [spec.over for spec in every(Quantities(table, Bootstrap(0, 10, 0.95)))]
    assert [name for name in found if " without " in name] == [f"trained families without {name}" for name in expected]
