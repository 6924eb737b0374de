"""A trajectory's curve projected onto a landscape (Figure 2): one axis is time, on the other the level is sought.

The trajectory runs from the left edge to the right one, at a steady pace. At each moment the point lies on the
contour whose NLL is the curve's; where that meets the moment's column more than once, where it is nearest to
the point before (the first one: to the centre). So the height of the projected curve is measured and its
sideways course is a way of drawing it: the trajectory moves the model's predictions, not its weights.

Columns between the grid's, and levels between its points, are interpolated linearly. Where a column does not
reach the level, the point is put at that column's nearest level and marked as outside.

Symbols: S grid points along each direction, P probed positions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Projection:
    """A curve on a landscape; all arrays [P].

    `height` is the landscape's at (x, y): the curve's own NLL, but at points that are not `reached` the nearest level
    of their column.
    """

    x: Array
    y: Array
    height: Array
    reached: NDArray[np.bool_]

    @property
    def outside(self) -> int:
        """Number of points whose level their column does not reach."""
        return int((~self.reached).sum())


def project(x: Array, y: Array, landscape: Array, time: Array, nll: Array) -> Projection:
    """The curve `nll` on `landscape`.

    Args:
        x: [S], ascending; the time axis.
        y: [S], ascending.
        landscape: [S, S], nats per answer token at [y, x].
        time: [P], positions as shares of the trajectory, 0 to 1, ascending.
        nll: [P], nats per answer token.

    Raises:
        InputError: shapes that do not fit, or a time outside 0 to 1.
    """
    if landscape.shape != (len(y), len(x)) or time.shape != nll.shape:
        raise InputError(
            f"a landscape of shape {landscape.shape} over {len(y)} x {len(x)} points, and {len(nll)} values at "
            f"{len(time)} times: they do not fit together"
        )
    if time.size and not (time.min() >= 0 and time.max() <= 1):
        raise InputError(f"times must be shares of the trajectory, 0 to 1; found {time.min():g} to {time.max():g}")
    at = x[0] + time * (x[-1] - x[0])
    courses = np.array([np.interp(at, x, row) for row in landscape]).T.reshape(len(at), len(y))
    points, heights, reached = np.empty(len(at)), np.empty(len(at)), np.empty(len(at), dtype=bool)
    last = (y[0] + y[-1]) / 2
    for index, (course, level) in enumerate(zip(courses, nll, strict=True)):
        reached[index] = course.min() <= level <= course.max()
        heights[index] = np.clip(level, course.min(), course.max())
        places = _places(y, course, heights[index])
        last = points[index] = places[np.argmin(np.abs(places - last))]
    return Projection(at, points, heights, reached)


def share_reached(landscape: Array, nll: Array) -> float:
    """The share of `nll` [P >= 1] that lies between the lowest and the highest point of `landscape`."""
    return float(np.mean((nll >= landscape.min()) & (nll <= landscape.max())))


def _places(y: Array, course: Array, level: float) -> Array:
    """Every y at which the broken line `course` [S] over `y` is `level`; of a level stretch its two ends."""
    above = course - level
    on = y[above == 0]
    crossing = np.flatnonzero(np.sign(above[:-1]) * np.sign(above[1:]) < 0)
    share = above[crossing] / (above[crossing] - above[crossing + 1])
    return np.concatenate([on, y[crossing] + share * (y[crossing + 1] - y[crossing])])
