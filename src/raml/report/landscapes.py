"""Landscapes that are shown, each with a trajectory's curve laid onto it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raml.errors import DataError
from raml.probing.projection import Projection, project

Array = NDArray[np.float64]
Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Surface:
    """A question's landscape, `nll` [size of y, size of x] in nats per answer token, and a curve projected onto it."""

    question: str
    answer: str
    x: Array
    y: Array
    nll: Array
    curve: Array | None = None
    projection: Projection | None = None

    def lower_than(self, level: float) -> float:
        """The share of the grid that lies lower."""
        return float(np.mean(self.nll < level))


def surfaces(
    landscape: pl.DataFrame, points: pl.DataFrame, questions: Mapping[str, Mapping[str, Any]]
) -> list[Surface]:
    """Every landscape with the first correct trajectory by sample number.

    Args:
        landscape: rows of `schemas.LandscapePoint` of one seed, a question's together, questions in their order.
        points: rows of `schemas.ProbeCurve` of the landscape's model.
        questions: rows of `schemas.Question` by id.

    Raises:
        DataError: a landscape that is no full grid, that nobody's correct curve belongs to, or of an unknown question.
    """
    of_seed = pl.col("seed") == landscape["seed"].min()
    correct = points.filter("correct", pl.col("mode") == "thinking", of_seed)
    sample = pl.col("trajectory_id").str.extract(r"/(\d+)$").cast(pl.Int64)
    found = []
    for question in landscape["question_id"].unique(maintain_order=True):
        own = correct.filter(pl.col("question_id") == question).with_columns(sample=sample).sort("sample", "position")
        if question not in questions or own.is_empty():
            raise DataError(f"no correct curve belongs to the landscape of {question}; probe again")
        first = own.filter(pl.col("trajectory_id") == own["trajectory_id"][0])
        nll, read = first["nll"].cast(pl.Float64).to_numpy(), first["position"].to_numpy()
        x, y, grid = to_grid(landscape.filter(pl.col("question_id") == question))
        projection = project(x, y, grid, read / max(first["length"][0], 1), nll)
        found.append(Surface(question, questions[question]["answer"], x, y, grid, nll, projection))
    return found


def to_grid(rows: pl.DataFrame) -> tuple[Array, Array, Array]:
    """x [size], y [size] and nll [size of y, size of x] of one question's rows of `schemas.LandscapePoint`.

    Raises:
        DataError: they are no full square grid.
    """
    size = round(rows.height**0.5)
    ordered = rows.sort("row", "column")
    places = [(row, column) for row in range(size) for column in range(size)]
    if list(ordered.select("row", "column").iter_rows()) != places:
        raise DataError(f"the landscape of {rows['question_id'][0]} is no full square grid; measure it again")
    x, y, nll = (ordered[name].to_numpy().reshape(size, size) for name in ("x", "y", "nll"))
    return x[0], y[:, 0], nll
