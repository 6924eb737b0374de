"""Figure 8: trajectories per question in SFT."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_tables import (
    KINDS,
    TRAINED_ON,
    cells,
    parse,
    rising,
    series,
    write_evaluations,
    write_questions,
    write_trajectories,
)

from raml.claims import trend
from raml.claims.registry import load_registry
from raml.claims.sections import Trend
from raml.config import canonical_json
from raml.evaluation.intervals import Bootstrap, Interval
from raml.evaluation.summarise import summarise
from raml.report import fig8
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.fig8_figure import y_range
from raml.report.scores import lead_cell
from raml.report.solutions import different_solutions, seen, share_with
from raml.report.sweeps import Score
from raml.runs import Series
from raml.schemas import Evaluation, Question, Trajectory, column_types
from raml.step import run
from raml.storage import read_table, write_table
from report_results import EVALUATION, provenance, scale

SHORT, LONG = series("sft_short_m", last="sft_short"), series("sft_long_m", last="sft_long")
SERIES = {"fig8_short": SHORT, "fig8_long": LONG, "fig9_last": series("grpo_n")}
SETTINGS = scale().sft["short"]
CLAIMS, REPORTED = Path("config/claims.yaml"), Path("config/reported.yaml")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Questions on rows have 8 short solutions, those on path one; of long ones all have 8."""
    root = tmp_path_factory.mktemp("fig8")
    rows, path = ([f"train-{family}-{number:03}" for number in range(4)] for family in ("rows", "path"))
    return {
        "evaluations": write_evaluations(root / "evaluations.parquet", rising(SHORT, LONG)),
        "questions": [
            write_questions(root / "train.parquet", {"train-rows": "rows", "train-path": "path"}, 4),
            write_questions(root / "benchmarks.parquet", {name: name.split("_")[0] for name in KINDS}, 6, "rows"),
        ],
        "claims": CLAIMS,
        "reported": REPORTED,
        "styles": ["short", "long"],
        "trajectories": [
            write_trajectories(root / "short.parquet", dict.fromkeys(rows, 8) | dict.fromkeys(path, 1), "oracle_short"),
            write_trajectories(root / "long.parquet", dict.fromkeys([*rows, *path], 8), "oracle_long"),
        ],
    }


def draw(inputs: dict[str, Any], folder: Path, config: dict[str, Series] = SERIES, **given: Any) -> Exhibit:
    job = fig8.Job(evaluation=EVALUATION, sft=scale().sft, kinds=TRAINED_ON, series=config)
    arguments = ["--scale", "minimal", "--config", canonical_json(job)]
    paths = {"figure": folder / "fig8.svg", "exhibit": folder / "fig8.json"}
    for name, value in (inputs | paths | given).items():
        arguments += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    run(fig8.main, fig8.Job, **fig8.FILES, arguments=arguments)
    return read_exhibit(folder / "fig8.json")


@pytest.fixture(scope="module")
def drawn(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exhibit]:
    folder = tmp_path_factory.mktemp("drawn")
    return folder / "fig8.svg", draw(inputs, folder)


def test_every_source_and_benchmark_has_a_panel_with_both_metrics(drawn: tuple[Path, Exhibit]) -> None:
    ids, texts = parse(drawn[0])
    panels = [f"{style}-{place}" for style in ("short", "long") for place in ("path", "rows", "rows_hard", "pooled")]
    assert {f"fig8-{panel}-{metric}-mean" for panel in panels for metric in ("pass2", "mg-pass2")} <= set(ids)
    assert {"short: rows", "long: pooled", "8", "Pass@2", "mG-Pass@2"} <= set(texts)
    assert not any("sort" in text for text in texts)  # not one of the sweep's benchmarks
    assert "not run" not in texts


def test_scores_are_those_of_the_metric_table(inputs: dict[str, Any], drawn: tuple[Path, Exhibit]) -> None:
    metrics = summarise(read_table(inputs["evaluations"], Evaluation), EVALUATION, seed=0)
    [row] = metrics.filter(model="sft_short_m2", benchmark="rows", metric="Pass@2").rows(named=True)
    found = cells(drawn[1].tables[0])["rows", "Pass@2"][1]
    low, high = (f"{100 * row[end]:.1f}" for end in ("lower", "upper"))
    assert (found.text, found.small) == (f"{100 * row['value']:.1f}", f"{low} to {high}")


def test_the_pooled_slope_is_the_claims(inputs: dict[str, Any], drawn: tuple[Path, Exhibit]) -> None:
    [claim] = [one for one in load_registry(CLAIMS, REPORTED).claims if one.id == "fig8"]
    test = claim.test
    assert isinstance(test, Trend) and test.left_out == {"fig8_short": ["path"]}
    evaluations = read_table(inputs["evaluations"], Evaluation)
    bootstrap = Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence)
    details: Any = trend.decide(test, evaluations, SERIES, EVALUATION.k, bootstrap).details["series"]
    for table, name in zip(drawn[1].tables, ("fig8_short", "fig8_long"), strict=False):
        for metric in ("Pass@2", "mG-Pass@2"):
            claimed = details[name][metric]["slope_per_doubling"]
            assert cells(table)["pooled", metric][-1] == lead_cell(Interval(**claimed))


def test_what_the_claim_leaves_out_is_shown_and_marked(drawn: tuple[Path, Exhibit]) -> None:
    short, long = (list(cells(table)) for table in drawn[1].tables[:2])
    assert ("path (not deciding)", "Pass@2") in short and ("path", "Pass@2") in long
    assert {"short: path (not deciding)", "long: path", "short: pooled"} <= set(parse(drawn[0])[1])
    assert "Pooled is without path." in drawn[1].tables[0].note and "without path" not in drawn[1].tables[1].note
    assert any("SFT on short trajectories path decides nothing" in text for text in drawn[1].deviations)


def test_a_rise_has_a_positive_slope(drawn: tuple[Path, Exhibit]) -> None:
    slope = cells(drawn[1].tables[1])["pooled", "Pass@2"][-1]
    assert slope.text.startswith("+") and slope.small.startswith("+")


def test_the_table_counts_what_questions_really_have(drawn: tuple[Path, Exhibit]) -> None:
    found = cells(drawn[1].tables[2])
    texts = {key: [(cell.text, cell.small) for cell in row] for key, row in found.items()}
    one = ("4 of 4", "1.0 seen")
    assert texts["short trajectories", "path"] == [one, *[("0 of 4", "1.0 seen")] * 3]
    assert texts["short trajectories", "rows"][2] == ("4 of 4", "4.0 seen")
    assert texts["long trajectories", "path"][3] == ("4 of 4", "8.0 seen")


def test_hollow_marks_follow_the_families_of_the_benchmark(inputs: dict[str, Any]) -> None:
    questions = pl.concat(read_table(path, Question) for path in inputs["questions"])
    solutions = different_solutions(read_table(inputs["trajectories"][0], Trajectory), questions, SETTINGS)
    asked = pl.DataFrame({"question_id": ["path-000"]})
    assert fig8._enough(solutions, asked, questions, SHORT) == [True, False, False, False]


def test_questions_of_families_without_training_are_marked_by_all_training_questions(inputs: dict[str, Any]) -> None:
    questions = pl.concat(read_table(path, Question) for path in inputs["questions"])
    trained = questions.filter(pl.col("split") == "train")
    solutions = different_solutions(read_table(inputs["trajectories"][0], Trajectory), trained, SETTINGS)
    asked = pl.DataFrame({"question_id": ["sort-000"]})
    assert fig8._enough(solutions, asked, questions, SHORT) == [True, False, False, False]


def test_questions_of_unknown_families_are_refused(
    inputs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training questions alone say nothing of the benchmarks, whose ids are never among theirs."""
    with pytest.raises(SystemExit, match="2"):
        draw(inputs, tmp_path, questions=inputs["questions"][:1])
    error = capsys.readouterr().err
    assert "--questions lack 'path-000', which was evaluated" in error and error.count("\n") == 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(1, 16))
def test_what_is_seen_is_the_number_of_different_ones(contents: list[int], dose: int) -> None:
    rows = {"question_id": ["q"] * len(contents), "writer": "w", "sample": range(len(contents)), "correct": True}
    table = pl.DataFrame(rows).with_columns(
        finished=True,
        prompt_ids=pl.lit([1], pl.List(pl.Int32)),
        n_tokens=1,
        token_ids=pl.Series([[one] for one in contents]),
    )
    solutions = different_solutions(table, pl.DataFrame({"id": ["q"], "family": ["rows"]}), SETTINGS)
    assert seen(solutions, dose).to_list() == [min(len(set(contents)), dose)]
    assert share_with(solutions, dose) == (len(set(contents)) >= dose)


def test_trajectories_that_are_too_long_are_not_counted(inputs: dict[str, Any]) -> None:
    trajectories = read_table(inputs["trajectories"][1], Trajectory)
    settings = SETTINGS.model_copy(update={"max_tokens": 0})
    questions = pl.DataFrame(schema=column_types(Question))
    assert different_solutions(trajectories, questions, settings).is_empty()
    assert different_solutions(trajectories, questions, SETTINGS)["family"].unique().to_list() == ["unknown"]


def test_a_model_that_was_not_run_leaves_a_gap(inputs: dict[str, Any], tmp_path: Path) -> None:
    skills = rising(SHORT, LONG)
    del skills["sft_long_m4"]
    exhibit = draw(inputs, tmp_path, evaluations=write_evaluations(tmp_path / "e.parquet", skills))
    row = cells(exhibit.tables[1])["pooled", "Pass@2"]
    assert [cell.text == "not run yet" for cell in row] == [False, False, True, False, False]
    assert "It is over the numbers that were run." in exhibit.tables[1].note
    assert "It is over" not in exhibit.tables[0].note
    assert "not run" not in parse(tmp_path / "fig8.svg")[1]


def test_a_sweep_that_was_not_run_says_so(inputs: dict[str, Any], tmp_path: Path) -> None:
    exhibit = draw(inputs, tmp_path, evaluations=write_evaluations(tmp_path / "e.parquet", {"base": 0.1}))
    assert exhibit.description == "Empty: no model of this sweep was evaluated at this scale."
    assert parse(tmp_path / "fig8.svg")[1].count("not run") == 8
    assert {cell.text for row in exhibit.tables[0].rows for cell in row.cells} == {"not run yet"}
    empty = draw(inputs, tmp_path, evaluations=write_evaluations(tmp_path / "e.parquet", {}))
    assert empty.description == exhibit.description


def test_one_question_has_scores_without_intervals(inputs: dict[str, Any], tmp_path: Path) -> None:
    path = write_evaluations(tmp_path / "e.parquet", rising(SHORT, LONG), questions=1, kinds={"rows": "in_domain"})
    exhibit = draw(inputs, tmp_path, evaluations=path)
    assert [key[0] for key in cells(exhibit.tables[0])] == ["rows", "rows"]  # nothing to pool
    assert {cell.small for cell in cells(exhibit.tables[0])["rows", "Pass@2"]} == {"no interval from one question"}


def test_the_text_says_what_intervals_cover(
    inputs: dict[str, Any], drawn: tuple[Path, Exhibit], tmp_path: Path
) -> None:
    assert "the spread between the 2 training seeds is part of it" in " ".join(drawn[1].done)
    path = write_evaluations(tmp_path / "e.parquet", rising(SHORT, LONG), seeds=1)
    assert "there is one training seed" in " ".join(draw(inputs, tmp_path, evaluations=path).done)
    assert ("training seeds", 2) in drawn[1].n and ("training questions", 8) in drawn[1].n


def test_the_same_tables_give_the_same_bytes(
    inputs: dict[str, Any], drawn: tuple[Path, Exhibit], tmp_path: Path
) -> None:
    draw(inputs, tmp_path)
    for name in ("fig8.svg", "fig8.json"):
        assert (tmp_path / name).read_bytes() == (drawn[0].parent / name).read_bytes()


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (SERIES, {"styles": ["short", "short"]}, "--styles short short with 2 --trajectories: give one of each"),
        (SERIES, {"styles": ["short"]}, "--styles short with 2 --trajectories"),
        ({"fig8_long": LONG}, {}, "for every style of sft (long, short) and of the series (long)"),
    ],
)
def test_series_and_trajectories_must_be_of_the_same_styles(
    inputs: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    config: dict[str, Series],
    given: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw(inputs, tmp_path, config, **given)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_tables_of_another_scale_are_refused(
    inputs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_table(inputs["evaluations"], Evaluation)
    write_table(table, Evaluation, tmp_path / "e.parquet", provenance("paper"))
    with pytest.raises(SystemExit, match="2"):
        draw(inputs, tmp_path, evaluations=tmp_path / "e.parquet")
    assert "was made at scale 'paper'" in capsys.readouterr().err


def test_the_y_axis_holds_all_scores() -> None:
    one = Score(None, {0: 0.42, 1: 0.58})
    assert y_range({("a", "rows", "Pass@2"): one}) == (40, 60)
    assert y_range({("a", "rows", "Pass@2"): Score(None, {0: 0.5})}) == (50, 60)
    assert y_range({}) == (0, 100)
