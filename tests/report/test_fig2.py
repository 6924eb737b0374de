"""Figure 2: landscapes the right way round, the numbers behind them, and files of moderate size."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.contour import QuadContourSet

from raml.config import Landscape
from raml.probing.projection import project
from raml.report import fig2
from raml.report.exhibit import read_exhibit
from raml.report.fig2_figure import Panel, draw_landscapes
from raml.report.svg import drawing
from raml.schemas import LandscapePoint
from raml.storage import write_table
from report_results import EVALUATION, PROBING, Results, provenance, step, write_curves

SIZE = 21
AXIS = np.linspace(-1, 1, SIZE)
X, Y = np.meshgrid(AXIS, AXIS)  # [y, x]
JOB = fig2.Job(
    evaluation=EVALUATION,
    probing=PROBING,
    landscape=Landscape(questions=9, size=SIZE, radius=1.0, normalisation="filter", token_budget=64, threads=1),
)
SVG = "{http://www.w3.org/2000/svg}"


def landscape_rows(seed: int, questions: list[str]) -> pl.DataFrame:
    """Bowls of 0.5 to 12 nats with their lowest point beside the centre."""
    bowl = 0.5 + 5 * ((X - 0.2) ** 2 + (Y + 0.3) ** 2)
    row, column = np.indices((SIZE, SIZE))
    frames = [
        pl.DataFrame(
            {
                "question_id": question, "benchmark": "rows", "model": "sft_long", "seed": seed,
                "row": row.ravel(), "column": column.ravel(), "x": X.ravel(), "y": Y.ravel(),
                "nll": bowl.ravel() + 0.1 * number,
            }
        )
        for number, question in enumerate(questions)
    ]  # fmt: skip
    return LandscapePoint.cast(pl.concat(frames)) if frames else LandscapePoint.create_empty()


def make(results: Results, root: Path, tables: list[pl.DataFrame], curves: list[Path] | None = None) -> Any:
    paths = []
    for number, table in enumerate(tables):
        paths.append(root / f"landscape{number}.parquet")
        write_table(table, LandscapePoint, paths[-1], provenance())
    made = SimpleNamespace(figure=root / "fig2.svg", exhibit=root / "fig2.json")
    step(
        fig2, JOB, fig2.Job, fig2.FILES, landscape=paths, curves=curves or results.curves,
        questions=results.questions, figure=made.figure, exhibit=made.exhibit,
    )  # fmt: skip
    return made


def questions(results: Results) -> list[str]:
    ids = pl.read_parquet(results.questions)["id"].to_list()
    return [ids[index] for index in (3, 1, 0, 2, 4)]


@pytest.fixture(scope="module")
def made(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("fig2")
    return make(results, root, [landscape_rows(seed, questions(results)) for seed in (0, 1)])


def panel(nll: np.ndarray) -> Panel:
    time = np.linspace(0, 1, 9)
    return Panel("q", "a", AXIS, AXIS, nll, project(AXIS, AXIS, nll, time, np.linspace(5, 4, 9)))


def test_contours_and_surface_stand_the_right_way_round() -> None:
    """Of 4 + x alone every contour is upright; transposed it would lie flat."""
    with drawing():
        surface, contour, _ = draw_landscapes([panel(4 + X)]).axes
    sets = [one for one in contour.get_children() if isinstance(one, QuadContourSet) and not one.filled]
    levels = [(level, path.vertices) for level, path in zip(sets[0].levels, sets[0].get_paths(), strict=True)]
    drawn = [(level, vertices) for level, vertices in levels if len(vertices)]
    assert len(drawn) > 3
    for level, vertices in drawn:
        np.testing.assert_allclose(vertices[:, 0], level - 4, atol=1e-6)
        assert np.ptp(vertices[:, 1]) == 2
    (polygons,) = (one for one in surface.collections if isinstance(one, PolyCollection))
    corners = polygons._faces.reshape(-1, 3)
    np.testing.assert_allclose(corners[:, 2], 4 + corners[:, 0], atol=1e-6)


def test_the_line_lies_on_its_landscape_from_left_to_right() -> None:
    nll = 4 + X + 2 * Y
    with drawing():
        figure = draw_landscapes([panel(nll)])
    line = next(one for one in figure.axes[1].lines if one.get_gid() == "contour-curve-1")
    x, y = line.get_data()
    np.testing.assert_allclose(x, np.linspace(-1, 1, 9))
    np.testing.assert_allclose(4 + x + 2 * y, np.linspace(5, 4, 9), atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_any_number_of_panels_can_be_drawn(count: int) -> None:
    with drawing():
        axes = draw_landscapes([panel(4 + X)] * count).axes
    assert len(axes) == (2 * count + 1 if count else 0)


def test_the_figure_is_whole_accessible_and_moderate(made: Any) -> None:
    root = ElementTree.fromstring(made.figure.read_bytes())
    ids = {element.get("id") for element in root.iter()}
    assert {
        f"fig2-{part}-{number}" for part in ("surface", "contour", "contour-curve") for number in range(1, 5)
    } <= ids
    assert "fig2-surface-5" not in ids
    assert root.findtext(f"{SVG}title") == fig2.TITLE
    assert "4 landscapes of answer NLL" in str(root.findtext(f"{SVG}desc"))
    assert made.figure.stat().st_size < 400_000
    assert made.figure.read_text(encoding="utf-8").count("<image") <= 1  # the colour bar


def test_same_inputs_same_bytes(results: Results, made: Any, tmp_path: Path) -> None:
    again = make(results, tmp_path, [landscape_rows(seed, questions(results)) for seed in (0, 1)])
    assert again.figure.read_bytes() == made.figure.read_bytes()


def test_the_exhibit_holds_the_numbers(results: Results, made: Any) -> None:
    exhibit = read_exhibit(made.exhibit)
    assert exhibit.n == [
        ("questions", 5), ("training seeds", 2), ("grid points", 2 * 5 * SIZE**2),
        ("correct trajectories", 50), ("incorrect trajectories", 50),
    ]  # fmt: skip
    descent, benchmarks, shown = exhibit.tables
    assert [row.heading for row in descent.rows] == [
        "correct (50 trajectories of 5 questions)", "incorrect (50 trajectories of 5 questions)",
    ]  # fmt: skip
    start, end, fall, _ = (float(cell.text) for cell in descent.rows[0].cells)
    assert start > 0.6 and end < 0.1 and fall == pytest.approx(start - end, abs=0.02)
    assert [cell.text for cell in benchmarks.rows[0].cells[:2]] == ["5", "50"]
    assert [row.heading for row in shown.rows] == questions(results)[:4]  # the landscape's order, not the id's
    assert len({source.path for source in exhibit.sources}) == 5


def test_the_first_correct_trajectory_by_sample_is_drawn(results: Results) -> None:
    from raml.report.curves import read_points, to_curves

    curves = to_curves(read_points(results.curves, "sft_long"))
    rows = {row["id"]: row for row in pl.read_parquet(results.questions).iter_rows(named=True)}
    shown = fig2.choose_shown(landscape_rows(0, questions(results)), curves, rows)
    assert [one.curve.trajectory_id for one in shown] == [f"{name}/sft_long/0" for name in questions(results)[:4]]
    assert {one.curve.seed for one in shown} == {0}


def test_without_landscapes_the_figure_says_so(results: Results, tmp_path: Path) -> None:
    empty = make(results, tmp_path, [landscape_rows(0, [])])
    assert "no question with a landscape" in empty.figure.read_text(encoding="utf-8")
    exhibit = read_exhibit(empty.exhibit)
    assert exhibit.description.startswith("Empty: ") and exhibit.tables == []


def test_what_does_not_fit_is_named(results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = landscape_rows(0, questions(results))
    with pytest.raises(SystemExit, match="2"):
        make(results, tmp_path, [whole.filter((pl.col("row") > 0) | (pl.col("question_id") != questions(results)[1]))])
    assert "is no full square grid" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        make(results, tmp_path, [landscape_rows(0, ["gone"])])
    assert "no correct curve belongs to the landscape of gone" in capsys.readouterr().err


def test_seeds_without_landscape_are_left_out(results: Results, tmp_path: Path) -> None:
    rows = pl.read_parquet(results.curves[0]).to_dicts()
    curves = write_curves(tmp_path / "curves.parquet", rows)
    made = make(results, tmp_path, [landscape_rows(0, questions(results)[:2])], [curves])
    assert dict(read_exhibit(made.exhibit).n)["correct trajectories"] == 10
