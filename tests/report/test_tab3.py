from pathlib import Path

import pytest
from outer_results import (
    CHANCES,
    REGIMES,
    REPORTED,
    SETTINGS,
    SWEPT,
    evaluation_rows,
    ids,
    outputs,
    tables,
    texts,
    write_evaluations,
    write_metrics,
)

from raml.claims import cold_start
from raml.claims.sections import ColdStart
from raml.evaluation.intervals import Bootstrap
from raml.report import tab3
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.scores import bounded, lead_cell, read_evaluations, read_reported
from raml.report.scores_figure import Dots
from raml.report.tab3_scores import Scores, with_reported
from raml.runs import Regime
from report_results import step


def draw(root: Path, given: dict[str, Path], regimes: list[Regime]) -> Exhibit:
    inputs = {name: given[name] for name in tab3.FILES["inputs"]}
    job = tab3.Job(evaluation=SETTINGS, regimes=regimes)
    step(tab3, job, tab3.Job, tab3.FILES, **inputs, **outputs(root, "tab3"))
    return read_exhibit(root / "tab3.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tab3")


@pytest.fixture(scope="module")
def exhibit(folder: Path) -> Exhibit:
    return draw(folder, tables(folder), list(reversed(REGIMES)))


def test_the_papers_layout_with_the_lead_below(exhibit: Exhibit) -> None:
    table = exhibit.tables[0]
    assert [row.heading for row in table.rows] == ["Zero-GRPO", "SFT+GRPO", "cold start's lead"]
    zero, cold, lead = (row.cells for row in table.rows)
    assert float(cold[0].text) > float(zero[0].text) and lead[0].text.startswith("+")
    assert [cell.text for cell in zero[6:8]] == ["27.37", "4.08"]
    assert [cell.text for cell in cold[6:8]] == ["35.87", "11.23"]
    assert [cell.text for cell in lead[6:]] == ["+8.50", "+7.15", "+10.76", "+14.44", "+14.69", "+10.63"]
    assert lead[6].small == "" and lead[0].small


def test_every_regime_has_its_models_and_lead_from_the_rarest_long_style(exhibit: Exhibit) -> None:
    table = exhibit.tables[1]
    headings = ["Base", "SFT", "Zero-GRPO", "SFT+GRPO", "cold start's lead"]
    assert [column.heading for column in table.columns] == 2 * headings
    assert [row.heading for row in table.rows] == ["0%", "3%", "12% (main)"]
    leads = [float(row.cells[4].text) for row in table.rows]
    assert leads == sorted(leads, reverse=True)  # as the tables were made
    assert "path, rows, rows_hard together" in table.note


def test_leads_are_those_of_the_claim(exhibit: Exhibit, folder: Path) -> None:
    test = ColdStart(
        name="cold_start", kinds=["in_domain", "in_domain_hard"], minimal_effect=0.0, min_questions=2, why="-"
    )
    table = read_evaluations(folder / "evaluations.parquet", SETTINGS)
    bootstrap = Bootstrap(0, SETTINGS.bootstrap_resamples, SETTINGS.confidence)
    estimate = cold_start.decide(test, table, REGIMES, SETTINGS.k, bootstrap).estimate
    assert estimate is not None
    assert lead_cell(bounded(estimate)) in [cell for row in exhibit.tables[1].rows for cell in row.cells]


def test_the_main_base_models_pooled_lead_is_the_same_in_both_halves(exhibit: Exhibit) -> None:
    last = exhibit.tables[1].rows[-1].cells[4].text
    assert f"all 3 together {last}" in exhibit.description
    assert f"{last} at 12%" in exhibit.description


def test_leads_on_single_benchmarks(exhibit: Exhibit) -> None:
    table = exhibit.tables[2]
    assert [row.heading for row in table.rows] == ["path", "rows", "rows_hard"]
    assert [(column.group, column.heading) for column in table.columns][:4] == [
        ("Pass@4", "share 0%"),
        ("Pass@4", "share 3%"),
        ("Pass@4", "share 12%"),
        ("mG-Pass@4", "share 0%"),
    ]
    assert table.rows[0].cells[2].text == exhibit.tables[0].rows[2].cells[0].text


def test_the_figure_has_both_halves(exhibit: Exhibit, folder: Path) -> None:
    roles = ("base", "sft", "zero_grpo", "sft_grpo", "lead")
    found = ids(folder / "tab3.svg")
    for metric in ("pass4", "mg-pass4"):
        assert {f"tab3-{metric}-{role}" for role in roles} <= found
        assert {f"tab3-shares-{metric}-{role}" for role in roles} <= found
    assert {"long share of the base (%)", "3", "12", "worse", "better"} <= texts(folder / "tab3.svg")
    assert "Below, the same for base models" in exhibit.caption


def test_the_papers_lead_is_the_difference_of_its_numbers() -> None:
    reported = read_reported(REPORTED, "table3")
    ours = [Dots(role, role, "ink", "o", [None]) for role in ("base", "sft", "zero_grpo", "sft_grpo")]
    (scores,) = with_reported([Scores("mG-Pass@8", ours, [None])], reported)
    assert [lead and round(100 * lead.estimate, 2) for lead in scores.leads] == [None, 7.15, 14.44, 10.63]
    assert [dots.intervals for dots in scores.roles[:2]] == [[None] * 4] * 2  # not in the paper's table


def test_the_number_of_samples_is_said_where_it_differs(exhibit: Exhibit) -> None:
    assert "8 or 16 samples each" in " ".join(exhibit.done)


def test_a_published_base_model_has_no_regimes(tmp_path: Path) -> None:
    exhibit = draw(tmp_path, tables(tmp_path, models=tuple(CHANCES)), [])
    assert len(exhibit.tables) == 1 and ("base models a seed", 1) in exhibit.n
    assert "long share" not in " ".join(filter(None, texts(tmp_path / "tab3.svg")))
    assert "Below" not in exhibit.caption + exhibit.description
    assert "16 samples each" in " ".join(exhibit.done)


def test_models_that_were_not_run(tmp_path: Path) -> None:
    models = [name for name in (*CHANCES, *SWEPT) if name not in ("zero_grpo", "sft_grpo_p3")]
    exhibit = draw(tmp_path, tables(tmp_path, models=models), REGIMES)
    zero, _, lead = exhibit.tables[0].rows
    assert {cell.text for cell in (*zero.cells[:6], *lead.cells[:6])} == {"not run yet"}
    rarest, rare, _ = (row.cells for row in exhibit.tables[1].rows)
    assert [cell.text == "not run yet" for cell in rarest[:5]] == [False] * 5
    assert [cell.text == "not run yet" for cell in rare[:5]] == [False, False, False, True, True]
    assert "Zero-GRPO has not been run yet." in exhibit.deviations
    assert "not run yet" in texts(tmp_path / "tab3.svg")
    assert "tab3-pass4-lead" not in ids(tmp_path / "tab3.svg")


def test_regimes_are_compared_on_the_questions_that_all_of_them_answered(tmp_path: Path) -> None:
    given = tables(tmp_path)
    rows = [row for row in evaluation_rows() if row["model"] not in SWEPT or row["benchmark"] == "rows"]
    write_evaluations(given["evaluations"], rows)
    write_metrics(given["metrics"], rows)
    exhibit = draw(tmp_path, given, REGIMES)
    assert exhibit.tables[1].note.startswith("All questions of rows together")
    assert [row.heading for row in exhibit.tables[2].rows] == ["rows"]


def test_regimes_without_a_common_benchmark_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tables(tmp_path)
    rows = [
        row
        for row in evaluation_rows()
        if row["model"] not in SWEPT or row["benchmark"] == ("rows" if "p3" in row["model"] else "path")
    ]
    write_evaluations(given["evaluations"], rows)
    with pytest.raises(SystemExit) as stopped:
        draw(tmp_path, given, REGIMES)
    assert stopped.value.code == 2
    assert "no benchmark of the trained families that all models of tab3 answered" in capsys.readouterr().err
