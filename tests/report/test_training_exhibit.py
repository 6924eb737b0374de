"""The outer loop's curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_tables import parse

from raml.config import canonical_json
from raml.report import training
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.training_curves import GRPO_DRAWN, POINTS, techniques, to_curves
from raml.schemas import TrainingRecord, column_types
from raml.step import run
from raml.storage import write_table
from report_results import provenance, scale

STEPS = 20
MODELS = ["zero_grpo", "sft_grpo", "sft_short", "sft_long", "dpo"]


def rows(models: Sequence[str] = MODELS, *, seeds: int = 2, steps: int = STEPS) -> list[dict[str, Any]]:
    """Every quantity of every model's technique rises from 0 to 1 along the steps, seed / 100 added."""
    return [
        {
            "model": model,
            "seed": seed,
            "step": step,
            "quantity": quantity.name,
            "value": (step - 1) / (steps - 1) + seed / 100,
        }
        for technique in techniques(["short", "long"])
        for model in technique.models
        if model in models
        for seed in range(seeds)
        for step in range(1, steps + 1)
        for quantity in technique.drawn
    ]


def write(path: Path, found: list[dict[str, Any]], of: str = "minimal") -> Path:
    table = TrainingRecord.cast(pl.DataFrame(found, schema=column_types(TrainingRecord)))
    write_table(table, TrainingRecord, path, provenance(of))
    return path


def draw(table: Path, folder: Path) -> Exhibit:
    job = training.Job(sft=scale().sft, dpo=scale().dpo, grpo=scale().grpo, cold_start=scale().cold_start)
    arguments = ["--scale", "minimal", "--config", canonical_json(job), "--table", str(table)]
    arguments += ["--figure", str(folder / "training.svg"), "--exhibit", str(folder / "training.json")]
    run(training.main, training.Job, **training.FILES, arguments=arguments)
    return read_exhibit(folder / "training.json")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exhibit]:
    folder = tmp_path_factory.mktemp("training")
    return folder / "training.svg", draw(write(folder / "training.parquet", rows()), folder)


def test_every_model_has_a_line_for_each_quantity(drawn: tuple[Path, Exhibit]) -> None:
    ids, texts = parse(drawn[0])
    lines = {f"training-grpo-{quantity.name}-{model}" for quantity in GRPO_DRAWN for model in MODELS[:2]}
    lines |= {f"training-sft-{name}-sft_{style}" for name in ("loss", "grad_norm") for style in ("short", "long")}
    assert lines | {"training-dpo-rewards_accuracies-dpo"} <= set(ids)
    assert {"GRPO", "SFT", "DPO", "Zero-GRPO", "SFT+GRPO", "groups of equal rewards (%)", "DPO step"} <= set(texts)
    assert "not logged" not in texts and len(ids) == len(set(ids))


def test_the_tables_hold_beginning_and_end(drawn: tuple[Path, Exhibit]) -> None:
    grpo, sft, dpo = ({row.heading: row.cells for row in table.rows} for table in drawn[1].tables)
    columns = [(column.group, column.heading) for column in drawn[1].tables[0].columns]
    assert columns[1:3] == [("Zero-GRPO, 20 steps", "last 10% of steps"), ("SFT+GRPO, 20 steps", "first 10% of steps")]
    first, last = grpo["groups of equal rewards (%)"][:2]
    assert (first.text, first.small) == ("3.1", "2.6 to 3.6")  # the first two of twenty steps, two seeds
    assert (last.text, last.small) == ("97.9", "97.4 to 98.4")
    assert sft["loss (nats/token)"][0].text == "0.0313"
    assert list(dpo) == ["loss (nats/pair)", "pairs told apart (%)", "margin (nats)", "gradient norm"]
    assert "KL to the start (nats/token)" not in grpo  # neither drawn nor logged


def test_the_text_says_with_which_settings(drawn: tuple[Path, Exhibit]) -> None:
    done = " ".join(drawn[1].done)
    assert "no KL term" in done and "DPO from SFT long" in done and "learning rate 0.0005" in done
    assert ("training seeds", 2) in drawn[1].n and ("optimiser steps logged", 5 * 2 * STEPS) in drawn[1].n


def test_what_was_not_run_is_named(tmp_path: Path) -> None:
    exhibit = draw(write(tmp_path / "t.parquet", rows(["zero_grpo", "sft_long"])), tmp_path)
    texts = parse(tmp_path / "training.svg")[1]
    assert {"SFT+GRPO, not run", "SFT short, not run", "DPO, not run", "Zero-GRPO", "SFT long"} <= set(texts)
    assert texts.count("not logged") == 4
    assert [cell.text == "not run yet" for cell in exhibit.tables[0].rows[0].cells] == [False, False, True, True]


def test_nothing_at_all_gives_an_empty_figure(tmp_path: Path) -> None:
    assert draw(write(tmp_path / "t.parquet", []), tmp_path).description == "Empty: nothing was trained at this scale."


def test_one_step_of_one_seed_is_enough(tmp_path: Path) -> None:
    one = [row for row in rows(["dpo"], seeds=1) if row["step"] == 1]
    exhibit = draw(write(tmp_path / "t.parquet", one), tmp_path)
    assert [(cell.text, cell.small) for cell in exhibit.tables[2].rows[0].cells] == [("0", ""), ("0", "")]
    assert exhibit.tables[2].columns[0].group == "DPO, 1 step"


def test_the_same_table_gives_the_same_bytes(drawn: tuple[Path, Exhibit], tmp_path: Path) -> None:
    draw(drawn[0].with_name("training.parquet"), tmp_path)
    assert (tmp_path / "training.svg").read_bytes() == drawn[0].read_bytes()


def test_a_table_of_another_scale_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw(write(tmp_path / "t.parquet", rows(["dpo"]), of="paper"), tmp_path)
    assert "was made at scale 'paper'" in capsys.readouterr().err


@given(st.integers(1, 3 * POINTS), st.integers(1, 3))
def test_blocks_keep_the_mean(steps: int, seeds: int) -> None:
    rng = np.random.default_rng(steps)
    values = rng.normal(size=(seeds, steps))
    table = pl.DataFrame(
        {
            "model": "dpo",
            "seed": np.repeat(np.arange(seeds), steps),
            "step": np.tile(np.arange(1, steps + 1), seeds),
            "quantity": "loss",
            "value": values.ravel(),
        }
    )
    curve = to_curves(table, techniques([]))["dpo", "loss"]
    points = curve.steps.size
    assert points == min(steps, POINTS) and curve.last_step == steps
    sizes = np.array([part.size for part in np.array_split(np.arange(steps), points)])
    assert np.allclose((curve.seeds * sizes).sum(axis=1) / steps, values.mean(axis=1))
    assert np.isclose((curve.steps * sizes).sum(), steps * (steps + 1) / 2)


def test_a_seed_that_ended_early_counts_where_it_is() -> None:
    table = pl.DataFrame(
        {"model": "dpo", "seed": [0, 0, 1], "step": [1, 2, 1], "quantity": "loss", "value": [1.0, 5.0, 3.0]}
    )
    curve = to_curves(table, techniques([]))["dpo", "loss"]
    assert curve.mean.tolist() == [2.0, 5.0]
    assert curve.edge(last=True).tolist() == [5.0] and curve.edge(last=False).tolist() == [1.0, 3.0]
