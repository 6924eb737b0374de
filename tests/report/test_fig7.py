from pathlib import Path

import polars as pl
import pytest
from outer_results import (
    CHANCES,
    KINDS,
    QUESTIONS,
    REPORTED,
    SETTINGS,
    TRAINED,
    evaluation_rows,
    ids,
    outputs,
    tables,
    texts,
    write_evaluations,
)

from raml.claims import beats
from raml.claims.sections import Beats
from raml.config import Evaluation
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap
from raml.report import fig7
from raml.report.exhibit import Exhibit, Table, read_exhibit
from raml.report.scores import bounded, lead_cell, points, read_direction, read_evaluations
from report_results import step


def draw(root: Path, given: dict[str, Path]) -> Exhibit:
    inputs = {name: given[name] for name in fig7.FILES["inputs"]}
    step(fig7, SETTINGS, Evaluation, fig7.FILES, **inputs, **outputs(root, "fig7"))
    return read_exhibit(root / "fig7.json")


def row_of(table: Table, heading: str) -> dict[str, str]:
    """A row's texts by column."""
    (cells,) = [row.cells for row in table.rows if row.heading == heading]
    return {column.heading: cell.text for column, cell in zip(table.columns, cells, strict=True)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fig7")


@pytest.fixture(scope="module")
def exhibit(folder: Path) -> Exhibit:
    return draw(folder, tables(folder))


def test_benchmarks_are_grouped_by_distance_from_training(exhibit: Exhibit) -> None:
    for table in exhibit.tables:
        assert [(row.group, row.heading) for row in table.rows] == [
            ("Like the training questions", "path"),
            ("Like the training questions", "rows"),
            ("Like the training questions", "rows_hard"),
            ("Like the training questions", "all 3 together"),
            ("Sharing skills with them", "path_back"),
            ("Sharing skills with them", "rows_top"),
            ("Sharing skills with them", "all 2 together"),
            ("Of another domain", "number_sorting"),
        ]


def test_leads_are_paired_differences_to_the_base(exhibit: Exhibit, folder: Path) -> None:
    table = read_evaluations(folder / "evaluations.parquet", SETTINGS)
    means = {
        model: table.filter(model=model, benchmark="path_back").group_by("question_id").agg(pl.mean("Pass@4"))
        for model in ("base", "dpo")
    }
    difference = means["dpo"]["Pass@4"].to_numpy().mean() - means["base"]["Pass@4"].to_numpy().mean()
    assert row_of(exhibit.tables[0], "path_back")["DPO"] == points(float(difference))


def test_the_pooled_leads_are_those_of_the_claim(exhibit: Exhibit, folder: Path) -> None:
    """A reader who compares the figure with the verdict finds the same numbers, interval and all."""
    test = Beats(
        name="beats",
        models=["sft_long"],
        baseline="base",
        kinds=["within_domain"],
        minimal_effect=0.0,
        min_questions=2,
        why="-",
    )
    table = read_evaluations(folder / "evaluations.parquet", SETTINGS)
    bootstrap = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
    estimate = beats.decide(test, table, SETTINGS.k, bootstrap).estimate
    assert estimate is not None
    shown = [row.cells[1] for one in exhibit.tables[:2] for row in one.rows if row.heading == "all 2 together"]
    assert lead_cell(bounded(estimate)) in shown


def test_forgetting_is_named_as_plainly_as_transfer(exhibit: Exhibit) -> None:
    note = exhibit.tables[0].note
    assert row_of(exhibit.tables[0], "number_sorting")["SFT long"].startswith("\N{MINUS SIGN}")
    forgetting, transfer = note.split(";")
    assert (
        "SFT long on number_sorting (\N{MINUS SIGN}" in forgetting and "have the whole interval below 0" in forgetting
    )
    assert "have it above 0" in transfer


def test_both_panels_of_each_metric_show_every_model(exhibit: Exhibit, folder: Path) -> None:
    found = ids(folder / "fig7.svg")
    metrics = ("pass4", "mg-pass4")
    assert {f"fig7-{metric}-{model}" for metric in metrics for model in CHANCES} <= found
    assert {f"fig7-{metric}-lead-{model}" for metric in metrics for model in CHANCES if model != "base"} <= found
    assert not any(name.endswith("lead-base") for name in found)
    assert {*KINDS, "worse", "better", "lead over the base", "Of another domain"} <= texts(folder / "fig7.svg")


def test_what_the_paper_says_is_a_direction(exhibit: Exhibit) -> None:
    assert "every trained model beats the base on all four" in " ".join(exhibit.deviations)


def test_models_that_were_not_run(tmp_path: Path) -> None:
    exhibit = draw(tmp_path, tables(tmp_path, models=("base", "sft_long"), seeds=(0,)))
    row = row_of(exhibit.tables[0], "path")
    assert {row[label] for label in ("SFT short", "Zero-GRPO", "DPO", "SFT+GRPO")} == {"not run yet"}
    assert row["SFT long"] != "not run yet"
    assert "Zero-GRPO has not been run yet." in exhibit.deviations
    assert "there is one training seed" in " ".join(exhibit.done)


def test_without_a_base_there_are_scores_and_no_leads(tmp_path: Path) -> None:
    exhibit = draw(tmp_path, tables(tmp_path, models=("sft_short", "sft_long"), seeds=(0,)))
    assert set(row_of(exhibit.tables[0], "path").values()) == {"not run yet"}
    assert row_of(exhibit.tables[2], "path")["SFT long"] != "not run yet"


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    given = tables(tmp_path)
    rows = [row for row in evaluation_rows() if (row["model"], row["benchmark"]) != ("dpo", "rows")]
    given["evaluations"] = write_evaluations(tmp_path / "other.parquet", rows)
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, given)
    assert stopped.value.code == 2


def test_another_scales_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tables(tmp_path)
    write_evaluations(given["evaluations"], evaluation_rows(), scale="small")
    with pytest.raises(SystemExit):
        draw(tmp_path, given)
    assert "was made at scale 'small'" in capsys.readouterr().err


def test_too_few_samples_are_refused(tmp_path: Path) -> None:
    path = write_evaluations(tmp_path / "e.parquet", [row | {"n": 2, "c": 1} for row in evaluation_rows(("base",))])
    with pytest.raises(DataError, match="a question with 2 samples, fewer than k = 4"):
        read_evaluations(path, SETTINGS)


def test_sizes(exhibit: Exhibit) -> None:
    assert dict(exhibit.n) == {
        "models": len(CHANCES),
        "benchmarks": len(KINDS),
        "questions": QUESTIONS * len(KINDS),
        "samples a question": SETTINGS.n,
        "training seeds": 3,
    }
    assert len(TRAINED) == 3


@pytest.mark.parametrize("text", ["", "figure7: 3", "figure7: {}", "figure8: {direction: up}"])
def test_a_figure_of_which_nothing_is_said(tmp_path: Path, text: str) -> None:
    assert read_direction(REPORTED, "figure7")
    path = tmp_path / "reported.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match="has no direction of figure7"):
        read_direction(path, "figure7")
