"""Figure 11: reasoning efficiency."""

from pathlib import Path

import polars as pl
import pytest
from sweep_tables import cells, parse

from forced_answers import SKILLS, forced_answers
from raml.claims import method_lead
from raml.claims.sections import MethodLead
from raml.config import Efficiency
from raml.evaluation.intervals import Bootstrap, Interval
from raml.report import fig11
from raml.report.exhibit import NONE, Exhibit, read_exhibit
from raml.report.fig11_figure import token_ticks
from raml.report.scores import lead_cell
from raml.schemas import ForcedAnswer
from raml.storage import read_table, write_table
from report_results import EVALUATION, provenance, scale, step

SETTINGS = Efficiency.model_validate(
    scale().efficiency.model_dump() | {"n": 16, "benchmarks": ["rows", "rows_hard"], "budgets": [8, 32]}
)


def write(path: Path, skills: dict[str, float] = SKILLS, leaked: float = 0.1, made_at: str = "minimal") -> Path:
    answers = forced_answers(skills, questions=6, seeds=2, leaked=leaked)
    write_table(answers, ForcedAnswer, path, provenance(made_at))
    return path


def draw(answers: list[Path], folder: Path, settings: Efficiency = SETTINGS) -> Exhibit:
    step(
        fig11, fig11.Job(evaluation=EVALUATION, efficiency=settings), fig11.Job, fig11.FILES, answers=answers,
        reported=Path("config/reported.yaml"), figure=folder / "fig11.svg", exhibit=folder / "fig11.json",
    )  # fmt: skip
    return read_exhibit(folder / "fig11.json")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exhibit]:
    folder = tmp_path_factory.mktemp("fig11")
    return folder, draw([write(folder / "answers.parquet")], folder)


def test_every_metric_and_benchmark_has_a_panel_with_a_mark_for_each_way(drawn: tuple[Path, Exhibit]) -> None:
    ids, texts = parse(drawn[0] / "fig11.svg")
    for panel in [f"{metric}-{place}" for metric in ("avg16", "pass16") for place in ("rows", "rows_hard", "pooled")]:
        ways = ("budgets", "thinking", "no-thinking", "summary", "control")
        assert {f"fig11-{panel}-{way}" for way in ways} <= set(ids)
    assert {"Avg@16: rows", "Pass@16: pooled", "whole thinking", "budgets of thinking", "last steps"} <= set(texts)
    assert "Marks with 95% intervals" in texts and {"8", "16", "32"} <= set(texts)


def test_the_table_has_tokens_scores_and_what_leaked(drawn: tuple[Path, Exhibit]) -> None:
    found = cells(drawn[1].tables[0])
    assert [way for place, way in found if place == "rows"] == [
        "whole thinking", "8 tokens of thinking", "32 tokens of thinking", "no thinking", "summary", "last steps",
    ]  # fmt: skip
    assert [cell.text for cell in found["pooled", "whole thinking"][:2]] == ["50.0", "58.0"]
    assert [cell.text for cell in found["pooled", "summary"][:2]] == ["12.0", "20.0"]
    answers = read_table(drawn[0] / "answers.parquet", ForcedAnswer).filter(method="summary")
    assert found["pooled", "summary"][4].text == f"{100 * answers['leaked'].mean():.1f}"  # type: ignore[operator]
    used = answers.filter(~answers["leaked"]).group_by("question_id", "seed").agg(mean=pl.col("correct").mean())
    assert found["pooled", "summary"][2].text == f"{100 * used['mean'].mean():.1f}"  # type: ignore[operator]


def test_the_pooled_leads_are_the_claims(drawn: tuple[Path, Exhibit]) -> None:
    test = MethodLead(
        name="method_lead", model="sft_long", method="summary", baseline="no_thinking", minimal_effect=0,
        min_questions=2, why="-",
    )  # fmt: skip
    answers = read_table(drawn[0] / "answers.parquet", ForcedAnswer)
    bootstrap = Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence)
    decision = method_lead.decide(test, answers, 16, bootstrap)
    shown = cells(drawn[1].tables[1])
    for column, metric in enumerate(("Avg@16", "Pass@16")):
        details = decision.details[metric]
        assert shown["", "pooled"][column] == lead_cell(Interval(**details["difference"]))  # type: ignore[index]
        on_rows = details["benchmarks"]["rows"]["difference"]  # type: ignore[index]
        assert shown["", "rows"][column] == lead_cell(Interval(**on_rows))


def test_the_papers_numbers_stand_beside(drawn: tuple[Path, Exhibit]) -> None:
    table = drawn[1].tables[2]
    assert all(column.reported for column in table.columns)
    assert [cell.text for cell in cells(table)["AIME24", "summary"]] == ["39.79", "80.00"]


def test_the_text_says_what_was_done(drawn: tuple[Path, Exhibit]) -> None:
    done = " ".join(drawn[1].done)
    assert "16 trajectories that the model had sampled" in done and "after 8, 32 tokens" in done
    assert "2 of each trajectory, by a program" in done
    assert "Avg@16 (pooled): whole thinking" in drawn[1].description


def test_a_summarising_model_is_named(drawn: tuple[Path, Exhibit], tmp_path: Path) -> None:
    model = {"model": "owner/model", "revision": "main", "prompt": "{question} {thinking}"}
    how = {name: getattr(scale(), name).model_dump() for name in ("engine", "sampling")}
    named = SETTINGS.model_dump() | {"summariser": model | how}
    exhibit = draw([drawn[0] / "answers.parquet"], tmp_path, Efficiency.model_validate(named))
    assert "2 of each trajectory, by owner/model" in " ".join(exhibit.done)


def test_a_way_that_was_not_run_leaves_a_gap(tmp_path: Path) -> None:
    skills = {way: skill for way, skill in SKILLS.items() if way != "control" and "budget" not in way}
    exhibit = draw([write(tmp_path / "a.parquet", skills)], tmp_path)
    assert [row.heading for row in exhibit.tables[0].rows][:3] == ["whole thinking", "no thinking", "summary"]
    assert exhibit.tables[1].rows[0].cells[2] == NONE


def test_the_same_tables_give_the_same_bytes(drawn: tuple[Path, Exhibit], tmp_path: Path) -> None:
    draw([drawn[0] / "answers.parquet"], tmp_path)
    assert (tmp_path / "fig11.svg").read_bytes() == (drawn[0] / "fig11.svg").read_bytes()


def test_bad_input_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw([write(tmp_path / "paper.parquet", made_at="paper")], tmp_path)
    assert "was made at scale 'paper'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        draw([write(tmp_path / "a.parquet")], tmp_path, SETTINGS.model_copy(update={"models": ["base"]}))
    assert "has no answers of 'base'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lower", "upper", "ticks"),
    [(5, 90, [8, 16, 32, 64]), (0.5, 3, [1, 2]), (200, 30000, [256 * 2**n for n in range(7)])],
)
def test_ticks_are_powers_of_two_within_the_axis(lower: float, upper: float, ticks: list[int]) -> None:
    assert token_ticks(lower, upper) == ticks


def test_a_wide_axis_has_no_more_than_eight_ticks() -> None:
    assert len(token_ticks(1, 2**20)) <= 8
