"""What the trainers logged, gathered."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raml.errors import DataError
from raml.evaluation import training_log
from raml.evaluation.training_log import gather, mean_csv, read_log
from raml.schemas import TrainingRecord
from raml.step import run
from raml.storage import read_provenance, read_table


def write_log(root: Path, model: str, seed: int, records: list[dict[str, Any]] | str) -> Path:
    path = root / f"models/seed{seed}/{model}/training.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = records if isinstance(records, str) else "".join(f"{json.dumps(record)}\n" for record in records)
    path.write_text(text)
    return path


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    sft = [
        write_log(tmp_path, "sft_long", seed, [{"step": s, "loss": s / 2 + seed, "entropy": 1} for s in (1, 2)])
        for seed in (0, 1)
    ]
    grpo = [{"step": 1, "reward": -0.5}, {"step": 2, "reward": 0.25, "kl": 1e-7}]
    return [*sft, write_log(tmp_path, "zero_grpo", 0, grpo)]


def start(logs: list[Path], folder: Path, *models: str) -> None:
    csvs = [str(folder / f"{model}.csv") for model in models]
    arguments = ["--scale", "minimal", "--config", "{}", "--logs", *map(str, logs), "--csvs", *csvs]
    run(
        training_log.main,
        training_log.Job,
        **training_log.FILES,
        arguments=[*arguments, "--table", f"{folder}/t.parquet"],
    )


def test_all_that_was_logged_is_in_the_table(logs: list[Path], tmp_path: Path) -> None:
    start(logs, tmp_path, "sft_long", "zero_grpo")
    table = read_table(tmp_path / "t.parquet", TrainingRecord)
    assert table.height == 2 * 2 * 2 + 3
    assert table.filter(model="sft_long", seed=1, step=2, quantity="loss")["value"].to_list() == [2.0]
    assert table.filter(quantity="kl").rows() == [("zero_grpo", 0, 2, "kl", 1e-7)]
    assert read_provenance(tmp_path / "t.parquet").scale == "minimal"


def test_a_csv_holds_the_mean_of_the_seeds(logs: list[Path], tmp_path: Path) -> None:
    start(logs, tmp_path, "sft_long", "zero_grpo")
    assert (tmp_path / "sft_long.csv").read_text() == "step,loss,entropy\n1,1,1\n2,1.5,1\n"
    assert (tmp_path / "zero_grpo.csv").read_text() == "step,reward,kl\n1,-0.5,\n2,0.25,1e-07\n"


def test_a_step_that_one_seed_lacks_is_the_mean_of_the_others(tmp_path: Path) -> None:
    paths = [write_log(tmp_path, "dpo", 0, [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 3.0}])]
    paths.append(write_log(tmp_path, "dpo", 1, [{"step": 1, "loss": 2.0}]))
    assert mean_csv(gather(paths)) == "step,loss\n1,1.5\n2,3\n"


def test_what_was_not_finite_is_left_out(tmp_path: Path) -> None:
    path = write_log(tmp_path, "dpo", 0, '{"step": 1, "loss": 1, "kl": null}\n')
    assert gather([path])["quantity"].to_list() == ["loss"]


def test_the_same_logs_give_the_same_bytes(logs: list[Path], tmp_path: Path) -> None:
    start(logs, tmp_path / "a", "sft_long")
    start(logs, tmp_path / "b", "sft_long")
    for name in ("sft_long.csv", "t.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_csv_of_a_model_without_logs_is_refused(
    logs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        start(logs, tmp_path / "out", "sft_long", "dpo")
    error = capsys.readouterr().err
    assert "dpo.csv: no log of 'dpo' was given; allowed: sft_long, zero_grpo" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "line 2 is not JSON"),
        ('{"step": 2, "loss"', "line 2 is not JSON"),
        ("[2]", "line 2 must be an object with a whole number 'step'"),
        ('{"loss": 0.5}', "line 2 must be an object with a whole number 'step'"),
        ('{"step": 2.5}', "line 2 must be an object with a whole number 'step'"),
        ('{"step": true}', "line 2 must be an object with a whole number 'step'"),
        ('{"step": 2, "loss": NaN}', "line 2: loss = nan must be a finite number"),
        ('{"step": 2, "loss": -Infinity}', "line 2: loss = -inf must be a finite number"),
        ('{"step": 2, "loss": "0.5"}', "line 2: loss = '0.5' must be a finite number"),
        ('{"step": 2, "loss": false}', "line 2: loss = False must be a finite number"),
        (f'{{"step": 2, "loss": 1{400 * "0"}}}', "must be a finite number"),
        ('{"step": 2, "a,b": 1}', "line 2: a quantity is named in lower case letters, digits and _, found 'a,b'"),
        ('{"step": 1, "loss": 1}', "line 2: step 1 follows step 1; steps must rise"),
        ('{"step": 4294967296}', "line 2: step = 4294967296 must lie in 0"),
        ('{"step": -1}', "line 2: step = -1 must lie in 0"),
    ],
)
def test_a_garbage_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write_log(tmp_path, "dpo", 0, f'{{"step": 1, "loss": 0.7}}\n{line}\n')
    with pytest.raises(DataError) as caught:
        read_log(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value) and "\n" not in str(caught.value)


def test_a_log_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no step"):
        read_log(write_log(tmp_path, "dpo", 0, ""))
    path = write_log(tmp_path, "dpo", 0, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_log(path)


def test_model_and_seed_are_those_of_the_logs_place(tmp_path: Path) -> None:
    elsewhere = tmp_path / "training.jsonl"
    elsewhere.write_text('{"step": 1, "loss": 1}\n')
    with pytest.raises(DataError, match="does not say its model and seed"):
        gather([elsewhere])
    path = write_log(tmp_path, "dpo", 0, [{"step": 1, "loss": 1.0}])
    with pytest.raises(DataError, match="are both of dpo, seed 0"):
        gather([path, path])


def test_the_tables_types_are_those_of_the_schema(logs: list[Path]) -> None:
    assert TrainingRecord.is_valid(gather(logs))
    assert gather(logs).filter(model="sft_long")["quantity"].unique(maintain_order=True).to_list() == [
        "loss",
        "entropy",
    ]
    assert gather(logs).schema["step"] == pl.Int32
