"""Trajectories of one model in the tokens of another."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from byte_level import byte_level_tokenizer
from raml.answers.format import MARKER
from raml.schemas import Question, Trajectory, column_types
from raml.step import run
from raml.storage import Provenance, read_provenance, read_table, write_table
from raml.training.start import check_tokenizer
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Origin
from raml.trajectories.retokenise import Job, main
from raml.trajectories.rows import trajectory_row

ORIGIN = Origin("vllm", "0.31.0", "bfloat16")
PHRASES = ["We add them. ", f"</think>{MARKER}4}}", f"</think>{MARKER}5}}"]
WRITER = byte_level_tokenizer(300, PHRASES)
LEARNER = byte_level_tokenizer(380)
QUESTION = {
    "id": "train-00000",
    "source": "s",
    "family": "published",
    "domain": "mathematics",
    "split": "train",
    "kind": "train",
    "prompt": "What is 2 + 2?",
    "answer": "4",
    "answer_type": "math",
    "difficulty": 0,
    "metadata": "{}",
}
PROVENANCE = Provenance(scale="tiny", config_hash="0", code_version="0", model_hash="c0ffee")
TEXTS = [f"We add them. {PHRASES[1]}", f"We add them. {PHRASES[2]}", "We add them. We add", f"Ümläut 4.\n{PHRASES[1]}"]


def written(text: str, sample: int, *, finished: bool = True, **more: Any) -> dict[str, Any]:
    ids = WRITER.encode(text, add_special_tokens=False) + [WRITER.eos_token_id] * finished
    prompt = question_ids(WRITER, QUESTION["prompt"])
    return trajectory_row(QUESTION, "long", sample, 0, prompt, ids, None, WRITER, ORIGIN) | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_table(pl.DataFrame([QUESTION], schema=column_types(Question)), Question, tmp_path / "q.parquet", PROVENANCE)
    LEARNER.save_pretrained(tmp_path / "tokenizer")
    write_trajectories(tmp_path, [written(text, number, finished=number != 2) for number, text in enumerate(TEXTS)])
    return tmp_path


def write_trajectories(folder: Path, rows: list[dict[str, Any]]) -> None:
    table = pl.DataFrame(rows, schema=column_types(Trajectory))
    write_table(table, Trajectory, folder / "t.parquet", PROVENANCE)


def retokenise(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    files = {"trajectories": "t.parquet", "questions": "q.parquet", "tokenizer": "tokenizer", "out": "out.parquet"}
    line = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    files_of = {"inputs": ["questions", "tokenizer"], "many": ["trajectories"], "outputs": ["out"]}
    run(main, Job, **files_of, arguments=["--scale", "tiny", "--config", "{}", *line])
    return read_table(folder / "t.parquet", Trajectory), read_table(folder / "out.parquet", Trajectory)


def test_text_and_judgement_stay_and_tokens_are_the_other_models(folder: Path) -> None:
    before, after = retokenise(folder)
    kept = ["question_id", "writer", "sample", "seed", "engine", "engine_version", "dtype"]
    kept += ["text", "finished", "correct", "formatted", "reward"]
    assert after.select(kept).equals(before.select(kept))
    assert before["correct"].to_list() == [True, False, False, True]
    check_tokenizer(LEARNER, after, "out.parquet")
    assert set(map(tuple, after["prompt_ids"].to_list())) == {tuple(question_ids(LEARNER, QUESTION["prompt"]))}
    ends = [ids[-1] == LEARNER.eos_token_id for ids in after["token_ids"].to_list()]
    assert ends == before["finished"].to_list()
    assert read_provenance(folder / "out.parquet").model_hash == "c0ffee"


def test_spans_are_found_anew(folder: Path) -> None:
    _, after = retokenise(folder)
    thinking, answers = [], []
    for row in after.iter_rows(named=True):
        thinking.append(LEARNER.decode(row["token_ids"][: row["thinking_end"]]))
        has_answer = row["answer_start"] is not None
        answers.append(
            LEARNER.decode(row["token_ids"][row["answer_start"] : row["answer_end"]]) if has_answer else None
        )
    assert thinking[0] == "We add them. " and thinking[3] == "Ümläut 4.\n"
    assert [answer and answer.rstrip("}") for answer in answers] == ["4", "5", None, "4"]


def test_what_leaves_nothing_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trajectories(folder, [written(TEXTS[0], 0), written("<|im_end|>", 1, finished=False)])
    _, after = retokenise(folder)
    assert after["sample"].to_list() == [0]
    assert "1 trajectories; left out: 1 without text or end" in capsys.readouterr().out
