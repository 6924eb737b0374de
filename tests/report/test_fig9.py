"""Figure 9: update trajectories in GRPO."""

from pathlib import Path
from typing import Any

import pytest
from sweep_tables import TRAINED_ON, cells, parse, rising, series, write_evaluations

from raml.claims import trend
from raml.claims.sections import Trend
from raml.config import GRPO, canonical_json
from raml.evaluation.intervals import Bootstrap, Interval
from raml.report import fig9
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.fig9_figure import opacity
from raml.report.scores import lead_cell
from raml.runs import Series
from raml.schemas import Evaluation
from raml.step import run
from raml.storage import read_table, write_table
from report_results import EVALUATION, provenance, scale

FIRST, LAST = series("grpo_step2_n"), series("grpo_n", last="zero_grpo")
SERIES = {"fig9_step2": FIRST, "fig9_first": FIRST, "fig9_last": LAST, "fig8_short": series("sft_short_m")}
SETTINGS = GRPO.model_validate(
    scale().grpo.model_dump() | {"steps": 5, "evaluate_at": [2], "group_size": 8, "update_trajectories": 8}
)


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    skills = {"base": 0.1} | rising(FIRST, start=0.15, step=0.05) | rising(LAST)
    return write_evaluations(tmp_path_factory.mktemp("fig9") / "evaluations.parquet", skills)


def draw(evaluations: Path, folder: Path, config: dict[str, Series] = SERIES, settings: GRPO = SETTINGS) -> Exhibit:
    job = fig9.Job(evaluation=EVALUATION, grpo=settings, kinds=TRAINED_ON, series=config)
    arguments = ["--scale", "minimal", "--config", canonical_json(job), "--evaluations", str(evaluations)]
    arguments += ["--figure", str(folder / "fig9.svg"), "--exhibit", str(folder / "fig9.json")]
    run(fig9.main, fig9.Job, **fig9.FILES, arguments=arguments)
    return read_exhibit(folder / "fig9.json")


@pytest.fixture(scope="module")
def drawn(evaluations: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exhibit]:
    folder = tmp_path_factory.mktemp("drawn")
    return folder / "fig9.svg", draw(evaluations, folder)


def test_every_metric_and_benchmark_has_a_panel_with_a_line_for_each_n(drawn: tuple[Path, Exhibit]) -> None:
    ids, texts = parse(drawn[0])
    panels = [f"{metric}-{place}" for metric in ("pass2", "mg-pass2") for place in ("path", "rows_hard", "pooled")]
    assert {f"fig9-{panel}-n{dose}" for panel in panels for dose in (1, 2, 4, 8)} <= set(ids)
    assert {"Pass@2: rows", "mG-Pass@2: pooled", "base", "n = 1", "n = 8", "0", "2", "5"} <= set(texts)
    assert "Update from n of 8 completions, with 95% intervals" in texts


def test_all_lines_begin_at_the_model_that_training_starts_from(drawn: tuple[Path, Exhibit]) -> None:
    found = cells(drawn[1].tables[0])
    assert len({found["rows", f"n = {dose}"][0].text for dose in (1, 2, 4, 8)}) == 1
    assert [column.heading for column in drawn[1].tables[0].columns] == ["0", "2", "5"]
    assert [one[0] for one in found][::4] == ["path", "rows", "rows_hard", "pooled"]


def test_the_slopes_are_the_claims(evaluations: Path, drawn: tuple[Path, Exhibit]) -> None:
    names = ["fig9_first", "fig9_last"]
    test = Trend(name="trend", series=names, kinds=TRAINED_ON, minimal_effect=0, min_questions=2, why="-")
    bootstrap = Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence)
    decision = trend.decide(test, read_table(evaluations, Evaluation), SERIES, EVALUATION.k, bootstrap)
    details: Any = decision.details["series"]
    for metric in ("Pass@2", "mG-Pass@2"):
        claimed = [lead_cell(Interval(**details[name][metric]["slope_per_doubling"])) for name in names]
        assert cells(drawn[1].tables[2])["pooled", metric] == claimed
    assert [column.heading for column in drawn[1].tables[2].columns] == ["2", "5"]


def test_the_text_says_what_was_done(drawn: tuple[Path, Exhibit]) -> None:
    done = " ".join(drawn[1].done)
    assert "GRPO from the base model for 5 steps of 1 question with 8 completions each" in done
    assert "After 2, 5 steps each model" in done and "with 4 samples a question" in done
    assert "Pass@2 (pooled) along the steps" in drawn[1].description


def test_a_model_that_was_not_run_leaves_a_gap(tmp_path: Path) -> None:
    skills = {"base": 0.1} | rising(FIRST) | rising(LAST)
    del skills["grpo_n4"], skills["base"]
    exhibit = draw(write_evaluations(tmp_path / "e.parquet", skills), tmp_path)
    row = cells(exhibit.tables[0])["rows", "n = 4"]
    assert [cell.text == "not run yet" for cell in row] == [True, False, True]
    assert "not run" not in parse(tmp_path / "fig9.svg")[1]


def test_a_sweep_that_was_not_run_says_so(tmp_path: Path) -> None:
    exhibit = draw(write_evaluations(tmp_path / "e.parquet", {"sft_short": 0.1}), tmp_path)
    assert exhibit.description == "Empty: no model of this sweep was evaluated at this scale."
    assert parse(tmp_path / "fig9.svg")[1].count("not run") == 8
    assert draw(write_evaluations(tmp_path / "e.parquet", {}), tmp_path).description == exhibit.description


def test_without_snapshots_the_base_and_the_last_models_are_drawn(evaluations: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"evaluate_at": []})
    exhibit = draw(evaluations, tmp_path, {"fig9_last": LAST}, settings)
    assert [column.heading for column in exhibit.tables[0].columns] == ["0", "5"]


def test_the_same_table_gives_the_same_bytes(evaluations: Path, drawn: tuple[Path, Exhibit], tmp_path: Path) -> None:
    draw(evaluations, tmp_path)
    for name in ("fig9.svg", "fig9.json"):
        assert (tmp_path / name).read_bytes() == (drawn[0].parent / name).read_bytes()


def test_a_missing_series_is_named(evaluations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw(evaluations, tmp_path, {"fig9_last": LAST})
    error = capsys.readouterr().err
    assert "series lacks fig9_first" in error and error.count("\n") == 1


def test_a_table_of_another_scale_is_refused(
    evaluations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(read_table(evaluations, Evaluation), Evaluation, tmp_path / "e.parquet", provenance("paper"))
    with pytest.raises(SystemExit, match="2"):
        draw(tmp_path / "e.parquet", tmp_path)
    assert "was made at scale 'paper'" in capsys.readouterr().err


def test_stronger_lines_are_larger_doses() -> None:
    strengths = [opacity(number, 5) for number in range(5)]
    assert strengths == sorted(strengths) and strengths[-1] == opacity(0, 1) == 1
