"""The question tables: disjoint, deterministic, and unmoved by additions."""

from pathlib import Path

import polars as pl
import pytest

from raml.config import Benchmark, Questions, QuestionSet
from raml.errors import RamlError
from raml.questions.build import check_disjoint, draw, main
from raml.questions.rows import ROWS
from raml.schemas import Question
from raml.step import Step
from raml.storage import file_hash, read_table


def settings(**benchmarks: Benchmark) -> Questions:
    rows = Benchmark(family="rows", levels=[1, 2], n=7, kind="in_domain")
    return Questions(
        train=[QuestionSet(family="rows", levels=[1], n=9)],
        development=[QuestionSet(family="rows", levels=[3], n=2), QuestionSet(family="path", levels=[1], n=2)],
        benchmarks={"rows": rows, **benchmarks},
    )


def build(folder: Path, config: Questions, seed: int = 0) -> dict[str, Path]:
    files = {name: folder / f"{name}.parquet" for name in ("train", "development", "benchmarks")}
    main(Step("raml.questions.build", "test", config, seed, files, {}))
    return files


def test_splits_have_the_wanted_sizes_and_are_disjoint(tmp_path: Path) -> None:
    files = build(tmp_path, settings())
    train, development, benchmarks = (read_table(files[name], Question) for name in files)
    assert (len(train), len(development), len(benchmarks)) == (9, 4, 7)
    assert len({*train["prompt"], *development["prompt"], *benchmarks["prompt"]}) == 20
    assert len({*train["id"], *development["id"], *benchmarks["id"]}) == 20
    assert benchmarks["difficulty"].to_list() == [1, 2, 1, 2, 1, 2, 1]
    assert benchmarks["split"].unique().to_list() == ["rows"]


def test_same_seed_same_bytes_other_seed_other_questions(tmp_path: Path) -> None:
    first, second, other = (build(tmp_path / name, settings(), seed) for name, seed in [("a", 0), ("b", 0), ("c", 1)])
    for name in first:
        assert file_hash(first[name]) == file_hash(second[name]) != file_hash(other[name])


def test_a_further_benchmark_changes_no_question(tmp_path: Path) -> None:
    more = settings(path=Benchmark(family="path", levels=[1], n=3, kind="other_domain"))
    before, after = build(tmp_path / "a", settings()), build(tmp_path / "b", more)
    kept = read_table(after["benchmarks"], Question).filter(pl.col("split") == "rows")
    assert kept.equals(read_table(before["benchmarks"], Question))


def test_a_leak_fails_the_build() -> None:
    rows = [
        {"prompt": "up 3 1 2 ?", "split": "train", "family": "number_sorting"},
        {"prompt": "up 2 3 1 ?", "split": "sorting", "family": "number_sorting"},
        {"prompt": "down 2 3 1 ?", "split": "sorting", "family": "number_sorting"},
    ]
    with pytest.raises(RamlError, match=r"1 questions occur more than once.*'up 1 2 3' in train and sorting"):
        check_disjoint(rows)


def test_a_prompt_that_is_taken_is_drawn_again() -> None:
    wanted = QuestionSet(family="rows", levels=[1], n=5)
    first = draw(wanted, split="train", kind="train", seed=0, used=set())
    again = draw(wanted, split="train", kind="train", seed=0, used={ROWS.asked(row["prompt"]) for row in first})
    assert not {row["prompt"] for row in first} & {row["prompt"] for row in again}
