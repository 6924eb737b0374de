"""Published questions: from files, from folders, and from a hub on this machine."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from local_hub import COMMIT, error_line, run_step, serving
from raml.answers.format import INSTRUCTION
from raml.config import Dataset, Published, canonical_json
from raml.questions.published import FAMILY, asked, main, question_rows
from raml.schemas import Question
from raml.step import run
from raml.storage import read_provenance, read_table

COLUMNS = {"revision": "main", "prompt": "problem", "answer": "answer", "domain": "mathematics"}


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"problem": f"What is {number} + {number}?", "answer": str(2 * number), "level": number % 3, **more}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def dataset(path: Path, **more: Any) -> Dataset:
    return Dataset.model_validate({"dataset": str(path), "split": "train", **COLUMNS, **more})


def published(train: Path | str, held_out: Path | str, n: int = 5, **more: Any) -> Published:
    benchmark = {"dataset": str(held_out), "split": "test", "kind": "in_domain", "n": 4, **COLUMNS}
    source = {"dataset": str(train), "split": "train", **COLUMNS, **more}
    return Published.model_validate({"train": source, "n": n, "benchmarks": {"held_out": benchmark}})


def outputs(folder: Path) -> dict[str, Path]:
    names = {"train": "train.parquet", "benchmarks": "benchmarks.parquet", "tests": "tests.zip"}
    names |= {"cleaning": "cleaning.parquet", "cleaning_text": "cleaning.md"}
    return {option: folder / name for option, name in names.items()}


def build(folder: Path, config: Published, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    files = outputs(folder)
    line = [word for name, path in files.items() for word in (f"--{name.replace('_', '-')}", str(path))]
    arguments = ["--scale", "tiny", "--config", canonical_json(config), "--seed", str(seed), *line]
    run(main, Published, outputs=list(files), arguments=arguments)
    return read_table(files["train"], Question), read_table(files["benchmarks"], Question)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Twelve training questions and four held-out ones, of which one is among them in other words' spacing."""
    write_lines(tmp_path / "train.jsonl", [row(number) for number in range(12)])
    held_out = [row(number) for number in range(20, 23)] + [{**row(3), "problem": "What  is 3\n+ 3? "}]
    write_lines(tmp_path / "held_out" / "test.jsonl", held_out)
    return tmp_path


def test_rows_become_questions(world: Path) -> None:
    (first, *_, last), _ = question_rows(dataset(world / "train.jsonl"), split="train", kind="train")
    assert first == {
        "id": "train-00000",
        "source": f"{world / 'train.jsonl'}@local",
        "family": FAMILY,
        "domain": "mathematics",
        "split": "train",
        "kind": "train",
        "prompt": f"What is 0 + 0?\n\n{INSTRUCTION}",
        "answer": "0",
        "answer_type": "math",
        "difficulty": 0,
        "metadata": "{}",
    }
    assert last["id"] == "train-00011"


def test_train_leaves_out_what_a_benchmark_asks(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, benchmarks = build(world, published(world / "train.jsonl", world / "held_out", n=11))
    assert benchmarks["id"].to_list() == [f"held_out-{number:05d}" for number in range(4)]
    assert "train-00003" not in train["id"] and train.height == 11
    assert not {asked(prompt) for prompt in train["prompt"]} & {asked(prompt) for prompt in benchmarks["prompt"]}
    assert "left out 1 questions that a benchmark asks too and 0 repeats" in capsys.readouterr().out
    assert read_provenance(world / "train.parquet").scale == "tiny"


def test_a_larger_n_adds_questions_and_changes_none(world: Path) -> None:
    few, _ = build(world, published(world / "train.jsonl", world / "held_out", n=4))
    more, _ = build(world, published(world / "train.jsonl", world / "held_out", n=9))
    assert more.head(4).equals(few)
    other, _ = build(world, published(world / "train.jsonl", world / "held_out", n=9), seed=1)
    assert other["id"].to_list() != more["id"].to_list()


def test_parquet_and_folders_hold_the_same_questions(world: Path) -> None:
    lines, _ = question_rows(dataset(world / "train.jsonl"), split="train", kind="train")
    pl.read_ndjson(world / "train.jsonl").write_parquet(world / "train.parquet")
    (world / "folder").mkdir()
    (world / "train.parquet").rename(world / "folder" / "train.parquet")
    for path in (world / "folder" / "train.parquet", world / "folder"):
        found, _ = question_rows(dataset(path), split="train", kind="train")
        assert [one | {"source": ""} for one in found] == [one | {"source": ""} for one in lines]


def test_only_some_rows_are_wanted(world: Path) -> None:
    found, _ = question_rows(dataset(world / "train.jsonl", only={"level": 2}), split="train", kind="train")
    assert [one["id"] for one in found] == ["train-00002", "train-00005", "train-00008", "train-00011"]


def test_numbers_are_answers_and_incomplete_rows_are_left_out(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(1), row(2, answer=None), row(3, answer="  "), row(4, problem=""), row(5, answer="10 { 5")]
    write_lines(world / "train.jsonl", rows)
    found, _ = question_rows(dataset(world / "train.jsonl"), split="train", kind="train")
    assert [one["id"] for one in found] == ["train-00000"]
    assert "left out: 3 empty, 1 not verifiable" in capsys.readouterr().out
    write_lines(world / "train.jsonl", [row(1, answer=2), row(2, answer=4)])
    assert question_rows(dataset(world / "train.jsonl"), split="t", kind="train")[0][1]["answer"] == "4"
    write_lines(world / "train.jsonl", [row(1, answer=2.0), row(2, answer=0.5)])
    found, _ = question_rows(dataset(world / "train.jsonl"), split="t", kind="train")
    answers = [one["answer"] for one in found]
    assert answers == ["2", "0.5"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "train.txt"}, r"train\.txt is not a file of questions; allowed: \.json, \.jsonl"),
        ({"n": 12}, "has 11 different training questions that no benchmark asks, fewer than published.n = 12"),
        ({"dataset": "nowhere.jsonl"}, "there is no such folder or file"),
        ({"prompt": "question"}, "has no column 'question'; it has problem, answer, level"),
        ({"only": {"level": "2"}}, r"has no row with level = '2'; its level is one of 0, 1, 2"),
        ({"dataset": "broken.parquet"}, r"broken\.parquet train cannot be read"),
        ({"dataset": "lists.jsonl"}, "column 'answer' holds a list, not text or a number"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changes: Any, message: str
) -> None:
    monkeypatch.chdir(world)
    (world / "train.txt").write_text("[]")
    (world / "broken.parquet").write_text("PAR1")
    write_lines(world / "lists.jsonl", [row(1, answer=["2"])])
    with pytest.raises(SystemExit) as left:
        build(world, published("train.jsonl", "held_out", **{"n": 1} | changes))
    assert left.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert re.search(message, line)
    assert not (world / "train.parquet").exists() and not (world / "benchmarks.parquet").exists()


def test_the_hub_is_asked_and_the_commit_recorded(world: Path) -> None:
    write_lines(world / "repository" / "hard.jsonl", [row(number) for number in range(30, 34)])
    write_lines(world / "repository" / "easy.jsonl", [row(1)])
    subsets = "".join(f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in ("easy", "hard"))
    (world / "repository" / "README.md").write_text(f"---\nconfigs:\n{subsets}---\n")
    data = {"own/train": world / "repository", "own/held-out": world / "held_out"}
    with serving(world / "home", data=data) as hub:

        def fetched(config: Published) -> subprocess.CompletedProcess[str]:
            files = [f"--{name.replace('_', '-')}={path}" for name, path in outputs(world).items()]
            given = ["--scale", "tiny", "--config", canonical_json(config), *files]
            return run_step(hub, "raml.questions.published", given)

        ran = fetched(published("own/train", "own/held-out", n=4, subset="hard"))
        assert ran.returncode == 0, ran.stderr
        train = read_table(world / "train.parquet", Question)
        assert set(train["source"]) == {f"own/train@{COMMIT}"}
        assert sorted(map(int, train["answer"])) == [60, 62, 64, 66]
        missing = fetched(published("own/train", "own/gone"))
    assert "own/gone test: there is no such folder or file, and the Hugging Face Hub does not" in error_line(missing)
