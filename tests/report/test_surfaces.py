"""Figure 2: landscapes the right way round, the trajectory that is laid onto them, and files of moderate size."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import followed_tables as tables
import numpy as np
import polars as pl
import pytest
from followed_tables import AXIS, X, Y
from matplotlib.collections import PolyCollection
from matplotlib.contour import QuadContourSet

from raml.errors import DataError
from raml.probing.projection import project
from raml.report.charts.surfaces import draw_surfaces
from raml.report.charts.svg import drawing, write_svg
from raml.report.landscapes import Surface

NAMES = [tables.NAMES[place] for place in (3, 1, 0, 2, 4)]


def surface(nll: np.ndarray) -> Surface:
    curve = np.linspace(5, 4, 9)
    return Surface("q", "a", AXIS, AXIS, nll, curve, project(AXIS, AXIS, nll, np.linspace(0, 1, 9), curve))


def test_contours_and_surface_stand_the_right_way_round() -> None:
    """Of 4 + x alone every contour is upright; transposed it would lie flat."""
    with drawing():
        solid, contour, _ = draw_surfaces([surface(4 + X)]).axes
    sets = [one for one in contour.get_children() if isinstance(one, QuadContourSet) and not one.filled]
    levels = [(level, path.vertices) for level, path in zip(sets[0].levels, sets[0].get_paths(), strict=True)]
    drawn = [(level, vertices) for level, vertices in levels if len(vertices)]
    assert len(drawn) > 3
    for level, vertices in drawn:
        np.testing.assert_allclose(vertices[:, 0], level - 4, atol=1e-6)
        assert np.ptp(vertices[:, 1]) == 2
    (polygons,) = (one for one in solid.collections if isinstance(one, PolyCollection))
    corners = polygons._faces.reshape(-1, 3)
    np.testing.assert_allclose(corners[:, 2], 4 + corners[:, 0], atol=1e-6)


def test_the_line_lies_on_its_landscape_from_left_to_right() -> None:
    with drawing():
        figure = draw_surfaces([surface(4 + X + 2 * Y)])
    line = next(one for one in figure.axes[1].lines if one.get_gid() == "contour-curve-1")
    x, y = (np.asarray(values) for values in line.get_data())
    np.testing.assert_allclose(x, np.linspace(-1, 1, 9))
    np.testing.assert_allclose(4 + x + 2 * y, np.linspace(5, 4, 9), atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_any_number_of_landscapes_can_be_drawn(count: int) -> None:
    with drawing():
        figure = draw_surfaces([surface(4 + X)] * count)
    assert len(figure.axes) == (2 * count + 1 if count else 0)
    assert [text.get_text() for text in figure.texts] == ([] if count else ["no question with a landscape"])


def test_the_file_is_whole_moderate_and_the_same_each_time(tmp_path: Path) -> None:
    shown = tables.followed(tables.curve_table(), tables.landscape_table(NAMES)).surfaces
    written = []
    for name in ("a.svg", "b.svg"):
        with drawing():
            write_svg(draw_surfaces(shown), tmp_path / name, name="f", title="t", description="d", rounded=True)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1] and len(written[0]) < 400_000 and written[0].count(b"<image") <= 1
    ids = {element.get("id") for element in ElementTree.fromstring(written[0]).iter()}
    kinds = ("surface", "surface-curve", "contour", "contour-curve")
    assert {f"f-{kind}-{number}" for kind in kinds for number in range(1, 5)} <= ids and "f-surface-5" not in ids


def test_the_first_correct_trajectory_of_the_first_seed_lies_on_each_landscape() -> None:
    curves = tables.curve_table()
    shown = tables.followed(curves, tables.landscape_table(NAMES)).surfaces
    assert [one.question for one in shown] == NAMES[:4]  # the landscape's order, not the id's
    first = curves.filter(pl.col("seed") == 0, pl.col("mode") == "thinking", trajectory_id=f"{NAMES[0]}/sft_long/0")
    np.testing.assert_array_equal(shown[0].curve, first["nll"].to_numpy())
    assert shown[0].lower_than(float(tables.BOWL.max())) == pytest.approx(1 - 1 / tables.SIZE**2)


@pytest.mark.parametrize(
    ("landscape", "error"),
    [
        (tables.landscape_table(NAMES).filter(pl.col("row") > 0), "is no full square grid"),
        (tables.landscape_table(["gone"]), "no correct curve belongs to the landscape of gone"),
    ],
)
def test_what_does_not_fit_is_named(landscape: pl.DataFrame, error: Any) -> None:
    with pytest.raises(DataError, match=error):
        _ = tables.followed(tables.curve_table(), landscape).surfaces
