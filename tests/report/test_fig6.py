"""Figure 6: token roles."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest

from raml.claims import role_change
from raml.claims.role_change import decide
from raml.claims.sections import RoleChange
from raml.evaluation.intervals import Bootstrap
from raml.probing.roles import permutation_p_values
from raml.report.exhibit import Exhibit, read_exhibit
from raml.report.numbers import measurement
from raml.schemas import TokenChange
from raml.storage import read_table
from report_results import EVALUATION, Results, change_rows, write_changes

SVG = "{http://www.w3.org/2000/svg}"
ROLES = ["reflection", "delimiters", "digits", "other"]


@pytest.fixture(autouse=True, scope="module")
def few_permutations() -> Any:
    def quick(*arguments: Any, **options: Any) -> Any:
        return permutation_p_values(*arguments, permutations=99, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(role_change, "permutation_p_values", quick)
        yield


def draw(results: Results, folder: Path, changes: list[Path] | None = None, **paths: Path) -> tuple[Path, Exhibit]:
    figure, exhibit = folder / "fig6.svg", folder / "fig6.json"
    results.draw_fig6(changes, figure=figure, exhibit=exhibit, **paths)
    return figure, read_exhibit(exhibit)


@pytest.fixture(scope="module")
def drawn(results: Results, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exhibit]:
    return draw(results, tmp_path_factory.mktemp("fig6"))


def parse(figure: Path) -> tuple[list[str], list[str]]:
    root = ElementTree.fromstring(figure.read_bytes())
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    return ids, [element.text or "" for element in root.iter(f"{SVG}text")]


def test_each_role_has_its_averages_its_auc_and_its_signed_changes(drawn: tuple[Path, Exhibit]) -> None:
    ids, texts = parse(drawn[0])
    for row in ["all-tokens", *ROLES, "word-wait"]:
        assert {f"fig6-{name}-{row}" for name in ("mean", "median", "trimmed_mean", "signed")} <= set(ids)
    assert {f"fig6-auc-{row}" for row in [*ROLES, "word-wait"]} <= set(ids)
    assert "fig6-auc-all-tokens" not in ids and "fig6-mean-word-alternatively" not in ids
    assert "fig6-mean-word-hold-on" not in ids and "fig6-signed-word-hold-on" in ids  # all of them undefined
    assert len(ids) == len(set(ids)) and all(one.startswith("fig6-") for one in ids)
    assert {"mean in the paper", "median", "trimmed mean", "at the next one", "single words"} <= set(texts)
    assert {"reflection  (240)", "Wait  (120)", "Alternatively  (0)", "Hold on  (120)"} <= set(texts)


def test_the_exhibit_holds_the_numbers(drawn: tuple[Path, Exhibit]) -> None:
    averages, effects, benchmarks = drawn[1].tables
    rows = {row.heading: row.cells for row in averages.rows}
    assert list(rows) == ["all tokens", *ROLES, "Wait", "Alternatively", "Hold on"]
    assert [rows[name][-1].text for name in ("all tokens", "Wait", "Alternatively", "Hold on", "digits")] == [
        "0.56", "1.22", "16.33", "279.5", "\N{EN DASH}",
    ]  # fmt: skip
    assert averages.columns[-1].reported
    assert [cell.text for cell in rows["reflection"][:2]] == ["240", "120"]
    assert rows["Wait"][3].text.startswith("0.5") and rows["Wait"][3].small == "p = 0.01"
    assert rows["all tokens"][2].small == ""
    assert rows["Hold on"][2].text == "\N{EN DASH}"
    assert {row.heading for row in effects.rows} == {"all tokens", *ROLES, "Wait", "Hold on"}
    assert [row.heading for row in benchmarks.rows] == ["rows", "correct trajectories", "incorrect trajectories"]
    assert dict(drawn[1].n)["tokens with an undefined relative change"] == 120


def test_the_auc_is_that_of_the_claim(results: Results, drawn: tuple[Path, Exhibit]) -> None:
    changes = pl.concat([read_table(path, TokenChange) for path in results.changes])
    test = RoleChange(name="role_change", role="reflection", minimal_effect=0.06, min_questions=2, why="-")
    decision = decide(test, changes, Bootstrap(0, EVALUATION.bootstrap_resamples, EVALUATION.confidence))
    assert decision.estimate
    moved = [0.5 + value for value in (decision.estimate.estimate, decision.estimate.lower, decision.estimate.upper)]
    found = next(row for row in drawn[1].tables[1].rows if row.heading == "reflection").cells[1]
    assert (found.text, found.small) == measurement(moved[0], moved[1:])


def test_the_text_tells_deviations_and_directions(drawn: tuple[Path, Exhibit]) -> None:
    assert "at the next." in drawn[1].description
    assert any("reflection: Wait, Hold on" in one for one in drawn[1].done)
    assert any("ruled by the few tokens" in one for one in drawn[1].deviations)


def test_the_same_changes_give_the_same_bytes(results: Results, drawn: tuple[Path, Exhibit], tmp_path: Path) -> None:
    figure, _ = draw(results, tmp_path)
    assert figure.read_bytes() == drawn[0].read_bytes()


def test_roles_without_tokens_keep_their_row(results: Results, tmp_path: Path) -> None:
    rows = [row for row in change_rows(0) if row["role"] != "reflection"]
    figure, exhibit = draw(results, tmp_path, [write_changes(tmp_path / "changes.parquet", rows)])
    ids, texts = parse(figure)
    assert "fig6-mean-reflection" not in ids and "reflection  (0)" in texts
    assert len(exhibit.tables) == 2


def test_without_changes_the_figure_is_empty(results: Results, tmp_path: Path) -> None:
    figure, exhibit = draw(results, tmp_path, [write_changes(tmp_path / "changes.parquet", [])])
    assert exhibit.description == "Empty: no trajectories of SFT long were followed at this scale."
    assert "all tokens  (0)" in parse(figure)[1]


def test_a_file_without_the_papers_numbers_is_named(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("table2: {}", "figure6: {Wait: many}", "[", "figure6: 3"):
        (tmp_path / "reported.yaml").write_text(text)
        with pytest.raises(SystemExit, match="2"):
            draw(results, tmp_path, reported=tmp_path / "reported.yaml")
        error = capsys.readouterr().err
        assert "reported.yaml must hold `figure6`" in error and error.count("\n") == 1
