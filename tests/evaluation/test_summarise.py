import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from raml.config import Evaluation as Settings
from raml.evaluation import summarise
from raml.evaluation.metrics import mg_pass_at_k, pass_at_k
from raml.schemas import Evaluation, MetricTable
from raml.step import run
from raml.storage import Provenance, read_json, read_table, write_table

SETTINGS = Settings(n=16, k=4, bootstrap_resamples=500, confidence=0.95)


def evaluations(seeds: int = 2, questions: int = 30) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "model": model,
            "seed": seed,
            "benchmark": benchmark,
            "kind": kind,
            "question_id": f"{benchmark}-{number}",
            "n": SETTINGS.n,
            "c": int(rng.binomial(SETTINGS.n, skill)),
            "formatted": 0,
            "finished": 0,
            "tokens": 0,
        }
        for model, skill in (("base", 0.1), ("sft_long", 0.9))
        for seed in range(seeds)
        for benchmark, kind in (("rows", "in_domain"), ("path", "other_domain"))
        for number in range(questions)
    ]
    return Evaluation.cast(pl.DataFrame(rows))


def test_values_are_means_over_questions_and_seeds() -> None:
    table = summarise.summarise(evaluations(), SETTINGS, 0)
    assert table.height == 2 * 2 * 3
    group = evaluations().filter((pl.col("model") == "base") & (pl.col("benchmark") == "rows"))
    n, c = group["n"].to_numpy(), group["c"].to_numpy()
    expected = {
        "Pass@4": pass_at_k(n, c, 4).mean(), "mG-Pass@4": mg_pass_at_k(n, c, 4).mean(), "Avg@16": (c / n).mean()
    }  # fmt: skip
    rows = table.filter((pl.col("model") == "base") & (pl.col("benchmark") == "rows"))
    assert dict(rows.select("metric", "value").iter_rows()) == pytest.approx(expected)
    assert rows["kind"].to_list() == ["in_domain"] * 3
    assert rows["n_questions"].to_list() == [30] * 3
    assert rows["n_samples"].to_list() == [30 * 2 * 16] * 3


def test_intervals_hold_the_value_and_stay_within_bounds() -> None:
    table = summarise.summarise(evaluations(), SETTINGS, 0)
    assert ((table["lower"] <= table["value"]) & (table["value"] <= table["upper"])).all()
    assert table["lower"].min() >= 0 and table["upper"].max() <= 1
    assert (table["upper"] - table["lower"]).max() > 0.01


def test_a_further_model_changes_no_other_interval() -> None:
    both = summarise.summarise(evaluations(), SETTINGS, 0)
    alone = summarise.summarise(evaluations().filter(pl.col("model") == "sft_long"), SETTINGS, 0)
    assert both.filter(pl.col("model") == "sft_long").equals(alone)


def test_step_writes_table_and_nested_json_deterministically(tmp_path: Path) -> None:
    source = tmp_path / "evaluations.parquet"
    write_table(evaluations(), Evaluation, source, Provenance(scale="tiny", config_hash="c", code_version="v"))
    written = []
    for name in ("one", "two"):
        files = [tmp_path / name / "metrics.parquet", tmp_path / name / "metrics.json"]
        arguments = ["--scale", "tiny", "--config", json.dumps(SETTINGS.model_dump()), "--evaluations", str(source)]
        arguments += ["--metrics", str(files[0]), "--metrics-json", str(files[1])]
        run(
            summarise.main,
            Settings,
            inputs=["evaluations"],
            outputs=["metrics", "metrics_json"],
            arguments=arguments,
        )
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    table, nested = read_table(files[0], MetricTable), read_json(files[1])
    assert set(nested) == {"base", "sft_long"}
    assert set(nested["base"]["rows"]) == {"Pass@4", "mG-Pass@4", "Avg@16"}
    for row in table.iter_rows(named=True):
        assert nested[row["model"]][row["benchmark"]][row["metric"]] == row["value"]
