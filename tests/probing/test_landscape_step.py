"""The step on the micro tokenizer and a random model: whose landscapes it makes, and what it writes."""

from pathlib import Path

import polars as pl
import pytest
from transformers import PreTrainedTokenizerFast

from raml.config import Architecture, Landscape, Probing, canonical_json
from raml.probing.curves import answer_nll_curve
from raml.probing.forced import forced_probe
from raml.probing.landscapes import Job, choose_questions, main
from raml.schemas import LandscapePoint, ProbeCurve, Question
from raml.step import run
from raml.storage import Provenance, model_hash, read_provenance, read_table, write_table
from raml.training.model import build_model
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.tokenizer import build_tokenizer, prompt_ids

ORIGIN = Provenance(scale="test", config_hash="0", code_version="0", seed=3)
JOB = Job(
    probing=Probing(
        models=["sft_long", "base"], benchmarks=["rows", "path"], trajectories_per_question=2, stride=1,
        token_budget=64, end_of_thinking="</think>", threads=1,
    ),
    landscape=Landscape(questions=3, size=3, radius=0.5, normalisation="filter", token_budget=64, threads=1),
)  # fmt: skip


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


def question_table() -> pl.DataFrame:
    names = sorted({str(row["question_id"]) for row in CURVES})
    row = {"source": "t", "family": "rows", "domain": "d", "kind": "in_domain", "answer_type": "integers"}
    rows = [
        {**row, "id": name, "split": name.split("-")[0], "prompt": f"rows a {name[-1]} ?", "answer": f"7 {name[-1]}",
         "difficulty": 1, "metadata": "{}"}
        for name in names
    ]  # fmt: skip
    return Question.cast(pl.DataFrame(rows).select(Question.column_names()))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("landscape")
    shape = Architecture(
        hidden_size=64, layers=2, heads=2, kv_heads=2, intermediate_size=96, vocabulary=len(tokenizer), tied=True,
        context=32,
    )  # fmt: skip
    build_model(shape, seed=0, bos=1, eos=2, pad=0).save_pretrained(folder / "sft_long")
    tokenizer.save_pretrained(folder / "sft_long")
    write_table(question_table(), Question, folder / "questions.parquet", ORIGIN)
    return folder


def start(folder: Path, rows: list[dict[str, object]], out: str = "landscape.parquet") -> Path:
    write_table(curve_table(rows), ProbeCurve, folder / "curves.parquet", ORIGIN)
    paths = {"model": "sft_long", "curves": "curves.parquet", "questions": "questions.parquet", "out": out}
    arguments = ["--scale", "test", "--seed", "3", "--config", canonical_json(JOB)]
    for name, path in paths.items():
        arguments += [f"--{name}", str(folder / path)]
    run(main, Job, inputs=["model", "curves", "questions"], outputs=["out"], arguments=arguments)
    return folder / out


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
    parts = prompt_ids(tokenizer, "rows a 1 ?"), [8, 9], probe.marker_ids, probe.answer_ids
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
