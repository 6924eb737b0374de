"""The step on the micro tokenizer and a random model: whose landscapes it makes, and what it writes."""

from pathlib import Path

import polars as pl
import pytest
import step_tables
from step_tables import ORIGIN, PROBING, ids, prompt, question_table

from raml.config import Landscape
from raml.probing.curves import answer_nll_curve
from raml.probing.forced import forced_probe
from raml.probing.landscapes import Job, choose_questions, main
from raml.schemas import LandscapePoint, ProbeCurve, Question
from raml.storage import model_hash, read_provenance, read_table, write_table
from raml.trajectories.pretrained import load_pretrained
from tiny_model_folder import tiny_model

JOB = Job(
    probing=PROBING,
    landscape=Landscape(questions=3, size=3, radius=0.5, normalisation="filter", token_budget=64, threads=1),
)


def curve(question: str, benchmark: str, **changes: object) -> list[dict[str, object]]:
    values = {
        "trajectory_id": f"{question}/sft_long/0", "question_id": question, "benchmark": benchmark,
        "model": "sft_long", "seed": 3, "mode": "thinking", "answer": "7 3", "correct": True, "length": 1,
        **changes,
    }  # fmt: skip
    return [{**values, "position": place, "token_id": [None, 8][place], "nll": 1.0} for place in (0, 1)]


CURVES = [
    *curve("rows-2", "rows"),
    *curve("rows-1", "rows"),
    *curve("rows-3", "rows", correct=False),
    *curve("rows-4", "rows", mode="no_thinking"),
    *curve("rows-0", "rows", model="base"),
    *curve("rows-5", "rows", seed=1),
    *curve("rows-9", "rows"),
    *curve("path-7", "path"),
]


def curve_table(rows: list[dict[str, object]]) -> pl.DataFrame:
    return ProbeCurve.cast(pl.DataFrame(rows, infer_schema_length=None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landscape")
    tiny_model(folder / "sft_long", context=32)
    questions = question_table({name: f"7 {name[-1]}" for name in sorted({str(row["question_id"]) for row in CURVES})})
    write_table(questions, Question, folder / "questions.parquet", ORIGIN)
    return folder


def start(folder: Path, rows: list[dict[str, object]]) -> Path:
    write_table(curve_table(rows), ProbeCurve, folder / "curves.parquet", ORIGIN)
    files = {"model": "sft_long", "curves": "curves.parquet", "questions": "questions.parquet", "out": "out.parquet"}
    options = {name: folder / file for name, file in files.items()}
    return step_tables.start(main, JOB, options, inputs=["model", "curves", "questions"])


def test_questions_are_chosen_in_turn_by_id_among_those_solved_in_thinking_mode() -> None:
    curves = curve_table(CURVES).filter(model="sft_long", seed=3)
    assert choose_questions(curves, ["rows", "path"], 9) == ["rows-1", "path-7", "rows-2", "rows-9"]
    assert choose_questions(curves, ["path", "rows"], 2) == ["path-7", "rows-1"]


def test_the_step_writes_every_grid_point_of_the_chosen_questions(folder: Path) -> None:
    path = start(folder, CURVES)
    table = read_table(path, LandscapePoint)
    assert table["question_id"].unique(maintain_order=True).to_list() == ["rows-1", "path-7", "rows-2"]
    assert table.height == 3 * 9
    assert set(table["model"]) == {"sft_long"} and set(table["seed"]) == {3}
    first = table.filter(question_id="path-7")
    assert first.select("row", "column", "x", "y").rows() == [
        (row, column, (column - 1) / 2, (row - 1) / 2) for row in range(3) for column in range(3)
    ]
    assert set(first["benchmark"]) == {"path"}
    assert read_provenance(path).model_hash == model_hash(folder / "sft_long")


def test_the_centre_is_where_the_curve_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = load_pretrained(folder / "sft_long")
    probe = forced_probe(tokenizer, "7 1")
    parts = prompt("rows-1"), ids("8 9"), probe.marker_ids, probe.answer_ids
    nll = float(answer_nll_curve(model, *parts)[0])
    rows = [{**row, "nll": nll} for row in curve("rows-1", "rows")]
    centre = read_table(start(folder, rows), LandscapePoint).filter(x=0.0, y=0.0)
    assert centre["nll"].to_list() == [pytest.approx(nll, abs=1e-4)]
    printed = capsys.readouterr().out
    assert "1 questions; second direction stored" in printed and "differ by at most" in printed


def test_without_solved_questions_the_table_is_empty(folder: Path) -> None:
    assert read_table(start(folder, curve("rows-1", "rows", correct=False)), LandscapePoint).is_empty()


def test_an_unknown_question_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        start(folder, curve("gone-1", "rows"))
    assert "--curves follow question 'gone-1', which --questions lacks" in capsys.readouterr().err
