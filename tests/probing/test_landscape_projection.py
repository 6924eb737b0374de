"""A curve lies on the contour of its own level, or is marked as outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from raml.errors import InputError
from raml.probing.projection import project, share_reached

AXIS = np.linspace(-1, 1, 21)
X, Y = np.meshgrid(AXIS, AXIS)  # [y, x]
TIME = np.linspace(0, 1, 11)

Array = NDArray[np.float64]


def test_time_runs_along_x_and_the_level_is_sought_along_y() -> None:
    """On the plane 5 + x + 2 y the contour of level L is at y = (L - 5 - x) / 2; transposed it would be elsewhere."""
    levels = 5 + np.linspace(0.5, -0.5, 11)
    points = project(AXIS, AXIS, 5 + X + 2 * Y, TIME, levels)
    np.testing.assert_allclose(points.x, np.linspace(-1, 1, 11))
    np.testing.assert_allclose(points.y, (levels - 5 - points.x) / 2, atol=1e-12)
    np.testing.assert_allclose(points.height, levels)
    assert points.reached.all() and points.outside == 0


def test_of_two_contours_the_one_nearest_to_the_point_before_is_taken() -> None:
    valley = (Y - 0.05) ** 2  # each level twice, the first time nearer to the centre above it
    points = project(AXIS, AXIS, valley, TIME, np.linspace(0.64, 0.09, 11))
    assert points.y[0] == pytest.approx(-0.75, abs=0.01)
    assert (np.diff(points.y) > 0).all() and points.y[-1] == pytest.approx(-0.25, abs=0.01)
    tilted = (Y - 0.05 - 0.5 * X) ** 2
    points = project(AXIS, AXIS, tilted, np.array([0.0, 1.0]), np.array([0.04, 0.04]))
    np.testing.assert_allclose(points.y, [-0.25, 0.35], atol=0.01)  # not the farther ones, at -0.65 and 0.75


def test_levels_that_the_column_does_not_reach_are_marked() -> None:
    points = project(AXIS, AXIS, 3 + Y, TIME[:3], np.array([1.0, 3.5, 9.0]))
    np.testing.assert_array_equal(points.reached, [False, True, False])
    np.testing.assert_allclose(points.y, [-1, 0.5, 1])
    np.testing.assert_allclose(points.height, [2, 3.5, 4])
    assert points.outside == 2
    assert share_reached(3 + Y, np.array([1.0, 2.0, 3.5, 4.0])) == 0.75


@given(
    seed=st.integers(0, 1000),
    times=st.lists(st.floats(0, 1), min_size=1, max_size=9),
    levels=st.lists(st.floats(-4, 4), min_size=9, max_size=9),
)
def test_reached_points_lie_on_the_interpolated_landscape(seed: int, times: list[float], levels: list[float]) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 2, 7)
    landscape = rng.normal(size=(7, 5))
    nll = np.array(levels[: len(times)])
    points = project(x, y, landscape, np.sort(times), nll)
    for at, place, height, level, reached in zip(points.x, points.y, points.height, nll, points.reached, strict=True):
        column: Array = np.array([np.interp(at, x, row) for row in landscape])
        assert np.interp(place, y, column) == pytest.approx(height, abs=1e-9)
        assert reached == (column.min() <= level <= column.max())
        assert height == pytest.approx(np.clip(level, column.min(), column.max()))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="do not fit together"):
        project(AXIS, AXIS[:-1], X, TIME, TIME)
    with pytest.raises(InputError, match="do not fit together"):
        project(AXIS, AXIS, X, TIME, TIME[:-1])
    with pytest.raises(InputError, match="found 0 to 2"):
        project(AXIS, AXIS, X, np.array([0.0, 2.0]), np.zeros(2))
