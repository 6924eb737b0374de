import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raml.evaluation import score
from raml.schemas import Evaluation, Question, Trajectory
from raml.step import run
from raml.storage import Provenance, read_provenance, read_table, write_table
from raml.trajectories.engine import PROGRAM

N = 4
SETTINGS = {"n": N, "sweep_n": 2, "sweep_kinds": ["in_domain"]}
BENCHMARKS = {"rows": "in_domain", "path": "other_domain"}


def provenance(seed: int | None, scale: str = "tiny") -> Provenance:
    return Provenance(scale=scale, config_hash="c", code_version="v", seed=seed)


def question(benchmark: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{benchmark}-{number}",
        "source": "own",
        "family": benchmark,
        "domain": "arithmetic",
        "split": benchmark,
        "kind": BENCHMARKS[benchmark],
        "prompt": "1 + 1 ?",
        "answer": "2",
        "answer_type": "integer",
        "difficulty": 1,
        "metadata": "{}",
    }


def sample(question_id: str, number: int, writer: str, correct: bool) -> dict[str, Any]:
    tokens = [7] * (number + 1)
    return {
        "question_id": question_id,
        "writer": writer,
        "sample": number,
        "seed": 99,  # of sampling, not of training
        **PROGRAM.columns(),
        "prompt_ids": [1],
        "token_ids": tokens,
        "loss_mask": [True] * len(tokens),
        "text": "7",
        "thinking_start": 0,
        "thinking_end": 0,
        "answer_start": None,
        "answer_end": None,
        "finished": number != 3,
        "correct": correct,
        "formatted": number != 0,
        "reward": 1.0 if correct else 0.0,
        "n_tokens": len(tokens),
    }


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    path = tmp_path / "benchmarks.parquet"
    rows = [question(benchmark, number) for benchmark in BENCHMARKS for number in range(2)]
    write_table(Question.cast(pl.DataFrame(rows)), Question, path, provenance(0))
    return path


def samples(
    path: Path, writers: str, seed: int | None, *, n: int = N, scale: str = "tiny", skip: str = "", only: str = ""
) -> Path:
    """A file of the samples of each of `writers`: question `...-1` has two correct ones, `...-0` none."""
    ids = [f"{benchmark}-{number}" for benchmark in BENCHMARKS if only in benchmark for number in range(2)]
    rows = [
        sample(name, number, writer, correct=name.endswith("1") and number < 2)
        for writer in writers
        for name in ids
        if name != skip
        for number in range(n)
    ]
    table = Trajectory.cast(pl.DataFrame(rows, schema_overrides={"answer_start": pl.Int32, "answer_end": pl.Int32}))
    write_table(table, Trajectory, path, provenance(seed, scale))
    return path


def score_all(tmp_path: Path, benchmarks: Path, files: list[Path], sweeps: list[Path] | None = None) -> Path:
    out = tmp_path / "evaluations.parquet"
    arguments = ["--scale", "tiny", "--config", json.dumps(SETTINGS), "--benchmarks", str(benchmarks)]
    arguments += ["--samples", *map(str, files), "--sweeps", *map(str, sweeps or []), "--out", str(out)]
    run(score.main, score.Job, inputs=["benchmarks"], many=["samples"], many_or_none=["sweeps"], outputs=["out"],
        arguments=arguments)  # fmt: skip
    return out


def test_counts_every_question_of_every_model_and_seed(tmp_path: Path, benchmarks: Path) -> None:
    files = [samples(tmp_path / f"{writer}{seed}.parquet", writer, seed) for writer in "ba" for seed in (1, 0)]
    out = score_all(tmp_path, benchmarks, files)
    table = read_table(out, Evaluation)
    assert table.height == 2 * 2 * 4
    assert table.select("model", "seed").unique(maintain_order=True).rows() == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    row = table.row(by_predicate=(pl.col("model") == "a") & (pl.col("seed") == 1) & (pl.col("question_id") == "path-1"),
                    named=True)  # fmt: skip
    assert row == {
        "model": "a", "seed": 1, "benchmark": "path", "kind": "other_domain", "question_id": "path-1",
        "n": 4, "c": 2, "formatted": 3, "finished": 3, "tokens": 1 + 2 + 3 + 4,
    }  # fmt: skip
    assert table.filter(pl.col("question_id") == "rows-0")["c"].to_list() == [0] * 4
    assert read_provenance(out).scale == "tiny"


def test_the_order_of_files_does_not_matter(tmp_path: Path, benchmarks: Path) -> None:
    files = [samples(tmp_path / f"{writer}.parquet", writer, 0) for writer in "ab"]
    first = score_all(tmp_path, benchmarks, files).read_bytes()
    assert score_all(tmp_path, benchmarks, files[::-1]).read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": None}, "no training seed"),
        ({"seed": 0, "scale": "other"}, "belongs to scale 'other'"),
        ({"seed": 0, "n": 3}, "a: question 'path-0' has 3 samples, the configuration asks for 4"),
        ({"seed": 0, "skip": "rows-1"}, "'rows-1' has no samples"),
    ],
)
def test_unfit_samples_end_with_one_line(
    tmp_path: Path, benchmarks: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    path = samples(tmp_path / "bad.parquet", "a", **options)
    with pytest.raises(SystemExit) as exit_:
        score_all(tmp_path, benchmarks, [path])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in error and "bad.parquet" in error and error.count("\n") == 1
    assert not (tmp_path / "evaluations.parquet").exists()


def test_samples_of_unknown_questions_are_refused(
    tmp_path: Path, benchmarks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = tmp_path / "fewer.parquet"
    write_table(read_table(benchmarks, Question).filter(pl.col("id") != "path-0"), Question, fewer, provenance(0))
    with pytest.raises(SystemExit):
        score_all(tmp_path, fewer, [samples(tmp_path / "a.parquet", "a", 0)])
    assert "'path-0' is no benchmark question" in capsys.readouterr().err


def test_the_same_model_twice_is_refused(tmp_path: Path, benchmarks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [samples(tmp_path / f"{name}.parquet", "a", 0) for name in ("one", "two")]
    with pytest.raises(SystemExit):
        score_all(tmp_path, benchmarks, files)
    assert "two files hold model 'a' with training seed 0" in capsys.readouterr().err


def test_models_of_a_sweep_have_their_own_number_of_samples_and_benchmarks(tmp_path: Path, benchmarks: Path) -> None:
    main = samples(tmp_path / "main.parquet", "a", 0)
    sweep = samples(tmp_path / "sweep.parquet", "bc", 0, n=2, only="rows")
    table = read_table(score_all(tmp_path, benchmarks, [main], [sweep]), Evaluation)
    rows = table.group_by("model").agg(pl.len(), pl.col("n").first())
    assert rows.sort("model").rows() == [("a", 4, 4), ("b", 2, 2), ("c", 2, 2)]
    assert table.filter(pl.col("model") == "b")["benchmark"].unique().to_list() == ["rows"]


def test_one_models_samples_cannot_stand_in_for_anothers(
    tmp_path: Path, benchmarks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = samples(tmp_path / "whole.parquet", "ab", 0)
    table = read_table(whole, Trajectory)
    missing = (pl.col("writer") == "b") & (pl.col("question_id") == "rows-1")
    write_table(table.filter(~missing), Trajectory, whole, provenance(0))
    with pytest.raises(SystemExit):
        score_all(tmp_path, benchmarks, [whole])
    assert "b: question 'rows-1' has no samples" in capsys.readouterr().err


def test_a_truncated_file_ends_with_one_line(
    tmp_path: Path, benchmarks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = samples(tmp_path / "a.parquet", "a", 0)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SystemExit) as exit_:
        score_all(tmp_path, benchmarks, [path])
    assert exit_.value.code == 2
    assert "a.parquet is truncated or not Parquet" in capsys.readouterr().err


def test_training_questions_are_no_benchmark(
    tmp_path: Path, benchmarks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = read_table(benchmarks, Question).with_columns(kind=pl.lit("train").cast(Question.kind.dtype))
    write_table(train, Question, benchmarks, provenance(0))
    with pytest.raises(SystemExit):
        score_all(tmp_path, benchmarks, [samples(tmp_path / "a.parquet", "a", 0)])
    assert "holds training questions" in capsys.readouterr().err
