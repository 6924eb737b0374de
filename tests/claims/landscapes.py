"""Landscapes and curves with a known descent."""

import numpy as np
import polars as pl
from synthetic import curves

from raml.schemas import LandscapePoint


def bowls(questions: int, *, seeds: int = 1, benchmark: str = "rows", model: str = "sft_long") -> pl.DataFrame:
    """Of each question the levels 0.0, 0.1, ... 12.0 on 11 x 11 points, 5.0 at the centre."""
    levels = np.arange(121) / 10
    levels[60], levels[50] = levels[50], levels[60]
    axis = np.linspace(-1, 1, 11)
    name = "q{:03}" if benchmark == "rows" else benchmark + "-{:03}"
    frames = [
        pl.DataFrame(
            {
                "question_id": name.format(question),
                "benchmark": benchmark,
                "model": model,
                "seed": seed,
                "row": np.repeat(np.arange(11), 11),
                "column": np.tile(np.arange(11), 11),
                "x": np.tile(axis, 11),
                "y": np.repeat(axis, 11),
                "nll": levels,
            }
        )
        for seed in range(seeds)
        for question in range(questions)
    ]
    return LandscapePoint.cast(pl.concat(frames)) if frames else LandscapePoint.create_empty()


def falling(slope: float, **options: object) -> pl.DataFrame:
    """Curves from 5 to 5 + slope, without noise."""
    return curves(slope, noise=0.0, **options)  # type: ignore[arg-type]
