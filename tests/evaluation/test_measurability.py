"""The table that families and sizes are chosen by."""

import polars as pl

from raml.evaluation.measurability import level_accuracy, markdown


def test_accuracy_by_family_and_level() -> None:
    questions = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "family": ["rows", "rows", "path"],
            "difficulty": [1, 2, 1],
            "kind": ["development"] * 3,
        }
    )
    samples = pl.DataFrame(
        {"question_id": ["a", "a", "b", "b", "c", "c"], "correct": [True, False, True, True, False, False]}
    )
    accuracy = level_accuracy(samples, questions, "base")
    rows = [(row["family"], row["difficulty"], row["accuracy"]) for row in accuracy.iter_rows(named=True)]
    assert rows == [("path", 1, 0.0), ("rows", 1, 0.5), ("rows", 2, 1.0)]
    other = level_accuracy(samples.with_columns(correct=True), questions, "sft_long")
    lines = markdown(pl.concat([accuracy, other]), ["base", "sft_long"]).splitlines()
    assert lines[2] == "| family | level | questions | base | sft_long |"
    assert lines[4:] == [
        "| path | 1 | 1 | 0.00 | 1.00 |",
        "| rows | 1 | 1 | 0.50 | 1.00 |",
        "| rows | 2 | 1 | 1.00 | 1.00 |",
    ]
