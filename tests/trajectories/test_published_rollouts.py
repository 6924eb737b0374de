"""Published trajectories in the schema of the paper's authors: fixtures written by us, in files and on a local hub."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from byte_level import byte_level_tokenizer
from local_hub import COMMIT, run_step, serving
from raml.answers.format import MARKER
from raml.config import Published, canonical_json
from raml.questions.published import training_questions
from raml.schemas import Question, Trajectory, column_types
from raml.step import run
from raml.storage import Provenance, read_table, write_table
from raml.training.start import check_tokenizer
from raml.trajectories.chat import question_ids
from raml.trajectories.published_rollouts import Job, has_ended, main

LEARNER = byte_level_tokenizer(380)
TEMPLATE = "{question}\n\nThink, then box the answer."
COLUMNS = {"revision": "main", "split": "train", "prompt": "problem"}
ROLLOUTS = {**COLUMNS, "dataset": "rollouts.jsonl", "completions": "generations", "labels": "labels"}
FILES = {"questions": "q.parquet", "tokenizer": "tokenizer", "out": "out.parquet", "agreement": "agreement.md"}
RIGHT = f"<think>\nTwo and two. </think>{MARKER}4}}"
WRONG = f"<think>\nFive, say. </think>{MARKER}5}}"
LOOSE = "So the answer is \\boxed{4}."
CUT = "<think>\nIs it \\boxed{4}? Wait, "
TEXTS = [RIGHT, WRONG, LOOSE, CUT]


def row(problem: str = "What is $2 + 2$?", **more: Any) -> dict[str, Any]:
    """A row as the authors have them; the third text's label is not ours."""
    return {"problem": problem, "answer": "4", "generations": TEXTS, "labels": [True, False, False, True], **more}


def write_rows(rows: list[dict[str, Any]], path: str = "rollouts.jsonl") -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_questions(**more: Any) -> None:
    """The training questions as the workflow's first job makes them, of 2 + 2 and 3 + 3."""
    source = {**COLUMNS, "dataset": "questions.jsonl", "answer": "answer", "domain": "mathematics", **more}
    benchmark = {name: value for name, value in source.items() if name != "cleaning"} | {"kind": "in_domain", "n": 1}
    published = Published.model_validate({"train": source, "n": 2, "benchmarks": {"other": benchmark}})
    rows, _ = training_questions(published, set(), 0)
    table = pl.DataFrame(rows, schema=column_types(Question))
    write_table(table, Question, Path("q.parquet"), Provenance(scale="tiny", config_hash="0", code_version="0"))


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the working one, with two training questions and rollouts of one of them and of another question."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_rows([{"problem": f"What is  ${n} + {n}$?", "answer": str(2 * n)} for n in (2, 3)], "questions.jsonl")
    write_questions(template=TEMPLATE)
    LEARNER.save_pretrained("tokenizer")
    write_rows([row("What is $5 + 5$?"), row()])
    return tmp_path


def arguments(n: int = 8, template: str | None = TEMPLATE, cleaning: bool = False, **more: Any) -> list[str]:
    job = Job.model_validate({"rollouts": {**ROLLOUTS, **more}, "n": n, "template": template, "cleaning": cleaning})
    given = {**FILES, "scale": "tiny", "config": canonical_json(job), "writer": "long"}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def read(**more: Any) -> pl.DataFrame:
    run(
        main, Job, inputs=["questions", "tokenizer"], names=["writer"], outputs=["out", "agreement"],
        arguments=arguments(**more),
    )  # fmt: skip
    return read_table(Path("out.parquet"), Trajectory)


def test_rows_become_trajectories_of_the_question_that_they_ask(capsys: pytest.CaptureFixture[str]) -> None:
    table, questions = read(), read_table(Path("q.parquet"), Question)
    (asked,) = questions.filter(pl.col("prompt").str.contains(r"2 \+ 2")).rows(named=True)
    assert set(table["question_id"]) == {asked["id"]}
    assert table.select("writer", "seed", "engine", "engine_version", "dtype").unique().rows() == [
        ("long", 0, "published", "local", "unknown")
    ]
    assert table["sample"].to_list() == [0, 1, 2, 3] and table["text"].to_list() == TEXTS
    assert set(map(tuple, table["prompt_ids"].to_list())) == {tuple(question_ids(LEARNER, asked["prompt"]))}
    check_tokenizer(LEARNER, table, "out.parquet")
    out = capsys.readouterr().out
    assert "1 of 2 training questions are among the 2 rows of rollouts.jsonl train" in out
    assert "4 trajectories of 1 of 2 questions; left out: 0 without text" in out


def test_they_are_judged_anew_and_labels_are_only_compared(capsys: pytest.CaptureFixture[str]) -> None:
    table = read()
    assert table["correct"].to_list() == [True, False, True, True]
    assert table["formatted"].to_list() == [True, True, False, False]
    assert table["reward"].to_list() == [1.0, 0.0, -0.5, -0.5]
    assert "our verdict and the label differ on 1 of 4" in capsys.readouterr().out
    assert "| right | 2 | 1 |\n| wrong | 0 | 1 |" in Path("agreement.md").read_text()
    write_rows([row(others=[0, 0, 0, 0])])
    assert read(labels="others").equals(table)
    assert "differ on 3 of 4" in capsys.readouterr().out


def test_what_was_cut_off_does_not_end() -> None:
    table = read()
    assert table["finished"].to_list() == [True, True, True, False]
    assert [ids[-1] == LEARNER.eos_token_id for ids in table["token_ids"].to_list()] == table["finished"].to_list()
    thinking = [LEARNER.decode(ids[:end]) for ids, end in table.select("token_ids", "thinking_end").iter_rows()]
    assert thinking[0] == "<think>\nTwo and two. " and thinking[3] == CUT
    assert not has_ended("Is it \\boxed{4}? Wait </think> no") and not has_ended("It is 4") and has_ended(LOOSE)


@pytest.mark.parametrize("labels", [[1.0, 0.0, 0.0, 1.0], ["True", "false", "0", "1"], "[true, false, false, true]"])
def test_lists_may_be_json_and_flags_numbers(labels: Any) -> None:
    expected = read()
    agreement = Path("agreement.md").read_text()
    write_rows([row(generations=json.dumps(TEXTS), labels=labels)])
    assert read().equals(expected)
    assert Path("agreement.md").read_text() == agreement


def test_rows_of_one_question_go_together_up_to_as_many_as_wanted() -> None:
    write_rows([row(generations=[RIGHT, ""], labels=[1, 0]), row(generations=[], labels=[]), row()])
    table = read()
    assert table["text"].to_list() == [RIGHT, *TEXTS] and table["sample"].to_list() == [0, 2, 3, 4, 5]
    assert read(n=3)["sample"].to_list() == [0, 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"completions": "texts"}, "rollouts.jsonl train has no column 'texts'; it has problem, answer, generations"),
        ({"rows": [row(labels=[1, 0])]}, "row 0 has 4 generations and 2 labels; there must be one a text"),
        ({"rows": [row(labels=[1, 0, 2, 0])]}, "row 0: 'labels' holds 2; allowed: true and false, or 1 and 0"),
        ({"rows": [row(labels="yes")]}, "row 0: 'labels' holds text that is no JSON list"),
        ({"rows": [row(generations=[1, 2, 3, 4])]}, "row 0: 'generations' holds a int, not texts alone"),
        ({"rows": [row(generations=[""], labels=[0])]}, "no row that asks a training question has a text"),
        ({"template": None}, "none of its 2 rows asks one of the 2 training questions"),
    ],
)
def test_bad_input_is_one_clear_line(changed: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(changed.get("rows", [row("What is $5 + 5$?"), row()]))
    with pytest.raises(SystemExit, match="2"):
        read(**{name: value for name, value in changed.items() if name != "rows"})
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0]
    assert not Path("out.parquet").exists()


def test_the_hub_gives_them_by_revision(world: Path) -> None:
    write_rows([row()], "own/train.jsonl")
    with serving(world / "home", data={"jnanliu/rollouts": world / "own"}) as hub:
        given = arguments(dataset="jnanliu/rollouts")
        ran = run_step(hub, "raml.trajectories.published_rollouts", given)
    assert ran.returncode == 0, ran.stderr
    assert set(read_table(Path("out.parquet"), Trajectory)["engine_version"]) == {COMMIT}
