"""The rehearsal's data sets: read as the paper's are, and nothing in its scale but names and sizes."""

from pathlib import Path
from typing import Any

import pytest

from raml.answers.sandbox import run_tests
from raml.config import Published, load_scale
from raml.questions.cleaning import FILTERS, NOT_VERIFIABLE
from raml.questions.published import question_rows, training_questions
from rehearsal.data import write_data
from rehearsal.texts import ANSWER, PROGRAMS

SCALES = Path(__file__).parents[2] / "config" / "scales"
# What a size is; all else of the paper's settings must be the same.
SIZES = {
    *("dataset", "model", "n", "rollouts", "jobs", "max_tokens", "max_prompt_tokens", "batch_size", "threads", "steps"),
    *("dtype", "tensor_parallel", "k", "bootstrap_resamples", "token_budget", "trajectories_per_question", "size"),
    *("questions", "positions", "dimensions", "prompt_lengths", "budgets", "summaries", "answer_tokens", "group_size"),
    *("evaluate_at", "update_trajectories", "pairs_per_question", "architecture", "hardware", "device", "scale"),
}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """The scale's section, in whose working folder the data lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_data(Path(".cache/rehearsal/data"))
    found = load_scale("rehearsal", folder=SCALES).published
    assert found is not None
    return found


def changed(paper: Any, rehearsal: Any, way: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Ways to what differs."""
    if isinstance(paper, dict) and isinstance(rehearsal, dict) and paper.keys() == rehearsal.keys():
        return [found for key in paper for found in changed(paper[key], rehearsal[key], (*way, key))]
    return [] if paper == rehearsal else [way]


def test_nothing_but_names_and_sizes_is_changed() -> None:
    paper, rehearsal = (load_scale(name, folder=SCALES).model_dump() for name in ("paper", "rehearsal"))
    ways = changed(paper, rehearsal)
    cleaned = {("published", "train", key) for key in ("prompt", "answer", "cleaning")}  # the set that was not cleaned
    assert {way for way in ways if not SIZES.intersection(way)} == cleaned
    assert rehearsal["hardware"]["rollouts"] == "vllm" and rehearsal["engine"]["name"] == "vllm"


def test_each_filter_drops_a_training_question(published: Published) -> None:
    rows, cleaned = training_questions(published, set(), seed=0)
    assert {name: len(dropped) for name, dropped in cleaned.dropped.items()} == {
        **{one.name: 1 for one in FILTERS},
        NOT_VERIFIABLE: 1,
    }
    assert len(rows) == published.n and {row["answer"] for row in rows} == {ANSWER}


def test_benchmarks_have_as_many_questions_as_the_scale_says(published: Published) -> None:
    found = {
        name: question_rows(benchmark, split=name, kind=benchmark.kind)[0]
        for name, benchmark in published.benchmarks.items()
    }
    assert {name: len(rows) for name, rows in found.items()} == {
        name: benchmark.n for name, benchmark in published.benchmarks.items()
    }
    assert {row["answer"] for row in found["MATH500-L5"]} == {ANSWER}
    assert found["LiveMathBench-Hard-en"][0]["prompt"].isascii()
    assert not found["LiveMathBench-Hard-cn"][0]["prompt"].isascii()
    assert {row["answer"] for row in found["GPQA-Diamond"]} <= set("ABCD")


def test_each_programming_question_is_solved_by_one_program(published: Published) -> None:
    benchmark = published.benchmarks["LiveCodeBench"]
    rows, _ = question_rows(benchmark, split="code", kind=benchmark.kind)
    codes = [program.strip().removeprefix("```python\n").removesuffix("```") for program in PROGRAMS]
    passed = [[run_tests(code, row["tests"]).passed for code in codes] for row in rows]
    assert passed == [[True, False], [False, True]] * 2
