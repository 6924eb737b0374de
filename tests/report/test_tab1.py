from pathlib import Path

import polars as pl
import pytest
from outer_results import (
    LOSSES,
    REPORTED,
    SEEDS,
    SETTINGS,
    STARTS,
    TRAINED,
    evaluation_rows,
    ids,
    outer_rows,
    outputs,
    texts,
    write_evaluations,
    write_outer,
)

from raml.claims import outer_loss
from raml.evaluation.intervals import Bootstrap
from raml.report import tab1
from raml.report.exhibit import Exhibit, interval_cell, read_exhibit
from raml.report.tab1_losses import falls, readings
from raml.schemas import Evaluation, OuterLoss
from raml.storage import read_table
from report_results import step

CLAIMS = Path("config/claims.yaml")
BOOTSTRAP = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)


SAMPLES = [
    row | {"finished": row["n"] * 3 // 4 if row["model"] == "base" else row["n"]}
    for row in evaluation_rows(tuple(LOSSES))
]


def draw(root: Path, outer: list[Path], starts: dict[str, str] = STARTS) -> Exhibit:
    job = tab1.Job(evaluation=SETTINGS, starts=starts)
    evaluations = write_evaluations(root / "evaluations.parquet", SAMPLES)
    inputs = {"evaluations": evaluations, "claims": CLAIMS, "reported": REPORTED}
    step(tab1, job, tab1.Job, tab1.FILES, outer=outer, **inputs, **outputs(root, "tab1"))
    return read_exhibit(root / "tab1.json")


def write(root: Path, models: tuple[str, ...] = tuple(LOSSES)) -> list[Path]:
    return [write_outer(root / f"outer{seed}.parquet", outer_rows(seed, models)) for seed in SEEDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `exhibit` is made from and writes; complete, whichever test of the module asks first."""
    root = tmp_path_factory.mktemp("tab1")
    draw(root, write(root))
    return root


@pytest.fixture(scope="module")
def exhibit(folder: Path) -> Exhibit:
    return read_exhibit(folder / "tab1.json")


def test_the_techniques_differ_in_where_trajectories_come_from(exhibit: Exhibit) -> None:
    table = exhibit.tables[0]
    origin = {row.heading: row.cells[2].text.split(":")[0] for row in table.rows}
    assert origin == {"SFT": "off-policy", "DPO": "off-policy", "GRPO": "on-policy"}
    assert not table.numeric
    assert [row.cells[3].small.split("; ")[1] for row in table.rows] == [
        "SFT long, oracle trajectories",
        "DPO, oracle trajectories",
        "Zero-GRPO, own trajectories",
    ]


def test_the_fall_is_that_of_the_claim(exhibit: Exhibit, folder: Path) -> None:
    test = tab1.deciding_test(CLAIMS, REPORTED)
    assert test is not None
    losses = pl.concat(read_table(folder / f"outer{seed}.parquet", OuterLoss) for seed in SEEDS)
    evaluations = read_table(folder / "evaluations.parquet", Evaluation)
    decision = outer_loss.decide(test, losses, evaluations, BOOTSTRAP)
    expected = interval_cell(decision.estimate)
    assert decision.unit == "nats per answer token"
    assert expected.text in [row.cells[3].text for row in exhibit.tables[0].rows]
    assert expected.small in [row.cells[3].small.split("; ")[0] for row in exhibit.tables[0].rows]


def test_before_less_after_is_the_fall(folder: Path, exhibit: Exhibit) -> None:
    losses = pl.concat(read_table(folder / f"outer{seed}.parquet", OuterLoss) for seed in SEEDS)
    found = falls(losses, STARTS, BOOTSTRAP)
    assert set(found) == {(model, source) for model in STARTS for source in ("oracle", "own")}
    for one in found.values():
        assert one.before and one.after and one.fall
        assert one.fall.estimate == pytest.approx(one.before.estimate - one.after.estimate)
    rises = found["sft_short", "oracle"].fall
    assert rises and rises.upper < 0


def test_levels_and_falls_are_of_the_questions_that_both_models_have(folder: Path) -> None:
    losses = read_table(folder / "outer0.parquet", OuterLoss)
    cut = losses.filter(~((pl.col("model") == "base") & pl.col("question_id").str.ends_with("0")))
    one = falls(cut, STARTS, BOOTSTRAP)["sft_long", "own"]
    assert one.before and one.after and one.fall
    assert one.fall.estimate == pytest.approx(one.before.estimate - one.after.estimate)


def test_reading_lowers_the_loss_and_own_trajectories_are_half_right(folder: Path) -> None:
    losses = read_table(folder / "outer0.parquet", OuterLoss)
    evaluations = read_table(folder / "evaluations.parquet", Evaluation)
    found = readings(losses, evaluations, ["base", "absent"], BOOTSTRAP)
    assert set(found) == {("base", "oracle"), ("base", "own")}
    oracle, own = found["base", "oracle"], found["base", "own"]
    assert (oracle.right, own.right) == (1.0, 0.5)
    assert oracle.fall and oracle.fall.lower > 0
    assert own.cut_off == 0.25


def test_how_many_samples_the_limit_cut_off_is_shown(exhibit: Exhibit) -> None:
    table = exhibit.tables[2]
    assert (table.columns[-1].group, table.columns[-1].heading) == ("own trajectories", "cut off, %")
    assert {row.heading: row.cells[-1].text for row in table.rows} == {
        "Base": "25.0", "SFT short": "0.0", "SFT long": "0.0", "Zero-GRPO": "0.0", "DPO": "0.0", "SFT+GRPO": "0.0",
    }  # fmt: skip
    assert "Models differ in how many the limit cut off" in " ".join(exhibit.done)


def test_right_trajectories_alone_are_compared_with_right_ones(exhibit: Exhibit, tmp_path: Path) -> None:
    table = exhibit.tables[1]
    headings = [f"{column.group} {column.heading}" for column in table.columns]
    assert headings[-1] == "own trajectories fall, right ones alone"
    rows = [
        row | {"correct": row["correct"] and (row["source"] == "oracle" or row["model"] != "base")}
        for row in outer_rows(0)
    ]
    without = draw(tmp_path, [write_outer(tmp_path / "outer.parquet", rows)])
    last = {row.heading: row.cells[-1].text for row in without.tables[1].rows}
    assert last["SFT long, from Base"] == "\N{EN DASH}" and last["DPO, from SFT long"] != "\N{EN DASH}"


def test_what_decides_is_marked(exhibit: Exhibit, folder: Path) -> None:
    table = exhibit.tables[1]
    marked = [
        (row.heading, table.columns[place].group)
        for row in table.rows
        for place, cell in enumerate(row.cells)
        if cell.text.endswith("*")
    ]
    assert marked == [
        ("SFT long, from Base", "oracle trajectories"),
        ("DPO, from SFT long", "oracle trajectories"),
        ("Zero-GRPO, from Base", "own trajectories"),
    ]
    assert "decides the claim" in texts(folder / "tab1.svg")


def test_another_start_than_the_claims_is_not_marked(tmp_path: Path) -> None:
    exhibit = draw(tmp_path, write(tmp_path), STARTS | {"dpo": "base"})
    cells = {row.heading: row.cells for row in exhibit.tables[1].rows}
    assert not any(cell.text.endswith("*") for cell in cells["DPO, from Base"])
    assert exhibit.tables[0].rows[1].cells[3].text == "\N{EN DASH}"


def test_the_figure_shows_every_training_for_both_sources(exhibit: Exhibit, folder: Path) -> None:
    wanted = {
        f"tab1-{source}-{what}-{model}"
        for source in ("oracle", "own")
        for what in ("after", "fall")
        for model in STARTS
    }
    assert wanted <= ids(folder / "tab1.svg")
    assert {"SFT, off-policy", "GRPO, on-policy", "from SFT long", "rises", "falls"} <= texts(folder / "tab1.svg")
    assert "SFT short \N{MINUS SIGN}" in exhibit.description


def test_models_that_were_not_run(tmp_path: Path) -> None:
    exhibit = draw(tmp_path, write(tmp_path, ("base", "sft_short", "sft_long")))
    cells = {row.heading: row.cells for row in exhibit.tables[1].rows}
    assert {cell.text for cell in cells["DPO, from SFT long"]} == {"not run yet"}
    assert "not run yet" in texts(tmp_path / "tab1.svg")
    assert "DPO has not been run yet." in exhibit.deviations
    assert exhibit.tables[0].rows[1].cells[3].text == "not run yet"
    assert exhibit.tables[0].rows[1].cells[3].small == "DPO, oracle trajectories"


def test_sizes_and_seeds_are_said(exhibit: Exhibit) -> None:
    sizes = dict(exhibit.n)
    assert (sizes["models"], sizes["benchmarks"], sizes["training seeds"]) == (6, len(TRAINED), 3)
    assert "between the 3 training seeds is part of it" in " ".join(exhibit.done)
    assert "up to 2 trajectories of each source" in " ".join(exhibit.done)


@pytest.mark.parametrize(
    ("starts", "message"),
    [({"sft_short": "base"}, "starts has no entry for sft_long"), ({}, "starts has no entry for sft_short")],
)
def test_an_unknown_start_is_refused(
    tmp_path: Path, starts: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, write(tmp_path), starts)
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_the_same_seed_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *_ = write(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, [first, first])
    assert stopped.value.code == 2 and "names a training seed twice" in capsys.readouterr().err


def test_tables_without_a_trained_model_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, write(tmp_path, ("base",)))
    assert stopped.value.code == 2 and "hold no outer loss of sft_short" in capsys.readouterr().err


def test_markdown(exhibit: Exhibit, folder: Path) -> None:
    text = (folder / "tab1.md").read_text(encoding="utf-8")
    assert text.startswith("# Table 1") and text.count("\n| --- |") == len(exhibit.tables) == 4
