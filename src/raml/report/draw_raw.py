"""Exhibits that show single trajectories or landscapes beside effects.

    python -m raml.report.draw_raw (as raml.report.draw) --questions benchmarks.parquet --tokenizer tokenizer.json \
        --curves C.parquet .. --samples T.parquet .. --landscape L.parquet ..

Curves and samples are those of each probed model and training seed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Final

import polars as pl
from matplotlib.figure import Figure

from raml.claims.quantities.curves import GRID, MIN_POSITIONS
from raml.config import Scale
from raml.errors import ConfigError, DataError
from raml.probing.roles import load_tokenizer
from raml.report import draw
from raml.report.charts import curves, surfaces
from raml.report.draw import base_context, draw_exhibit
from raml.report.entry import render
from raml.report.exhibit import Source, read_sources
from raml.report.listing import followed_model
from raml.report.raw import Followed
from raml.report.skipped import skipped
from raml.schemas import LandscapePoint, ProbeCurve, Question
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    **draw.FILES,
    "inputs": [*draw.FILES["inputs"], "questions", "tokenizer"],
    "many": [*draw.FILES.get("many", []), "curves", "samples", "landscape"],
}
CHARTS: Final[Mapping[str, Callable[..., Figure]]] = {"curves": curves.draw, "surfaces": surfaces.draw}


def main(step: Step[Scale]) -> None:
    """Draw the exhibits and write their records.

    Raises:
        ConfigError: an entry or a text is broken, or follows a model that the scale does not probe.
        DataError: an input cannot be read, is of another scale, or does not fit the others.
    """
    names, tables = base_context(step), _Tables(step)
    names |= {"quarters": GRID[:: len(GRID) // 4].tolist(), "fewest": MIN_POSITIONS}
    exhibits = step.name_lists["exhibits"]
    for exhibit, figure, record in zip(exhibits, step.lists["figures"], step.lists["records"], strict=True):
        model = followed_model(exhibit, step.config.probing.models)
        if model is None:
            raise ConfigError(f"{exhibit} follows no model; raml.report.draw draws it")
        followed = tables.followed(model)
        own = names | {"model": model, "followed": followed}
        entry, prose = render(exhibit, own)
        if entry.chart not in CHARTS:
            raise ConfigError(f"{exhibit} has the chart {entry.chart}; allowed here are {', '.join(CHARTS)}")
        outcome = entry.figure.options.get("single")
        readings = followed.readings(followed.panels(outcome)) if outcome in ("correct", "incorrect") else []
        sources = tables.sources(model, surfaces=entry.chart == "surfaces")
        chart = partial(CHARTS[entry.chart], followed=followed)
        draw_exhibit(exhibit, entry, prose, own, figure, record, sources, readings, chart)


class _Tables:
    """What the step was given, by model."""

    def __init__(self, step: Step[Scale]) -> None:
        files, lists = step.files, step.lists
        curves = {path: read_table(path, ProbeCurve) for path in lists["curves"]}
        landscapes = {path: read_table(path, LandscapePoint) for path in lists["landscape"]}
        self._points = pl.concat(curves.values()).with_columns(pl.col("mode").cast(pl.String))
        self._landscape = pl.concat(landscapes.values())
        self._questions = read_table(files["questions"], Question)
        self._tokenizer = load_tokenizer(files["tokenizer"])
        points = {model: self._of(self._points, model) for model in step.config.probing.models}
        self._skipped = skipped(lists["samples"], self._questions, points, step.config.probing)
        self._models = {path: set(table["model"]) for path, table in (curves | landscapes).items()}
        self._models |= {path: set(pl.read_parquet(path, columns=["writer"])["writer"]) for path in lists["samples"]}
        everything = [files["effects"], files["questions"], *self._models]
        self._sources = dict(zip(everything, read_sources(everything, step.scale), strict=True))
        self._given = lists
        self.followed = cache(self._followed)

    def _followed(self, model: str) -> Followed:
        if model not in self._skipped:
            raise DataError(f"--samples has none of {model!r}, which probing.models names; sample again")
        points, landscape = self._of(self._points, model), self._of(self._landscape, model)
        questions = {row["id"]: row for row in self._questions.iter_rows(named=True)}
        return Followed(points, landscape, questions, self._tokenizer, self._skipped[model])

    @staticmethod
    def _of(table: pl.DataFrame, model: str) -> pl.DataFrame:
        return table.filter(pl.col("model") == model)

    def sources(self, model: str, *, surfaces: bool) -> list[Source]:
        """The effects, the questions, and the tables that hold something of the model or nothing at all."""
        kinds: Sequence[str] = ("landscape", "curves") if surfaces else ("curves", "samples")
        used = [path for kind in kinds for path in self._given[kind] if self._models[path] <= {model}]
        return [source for path, source in self._sources.items() if path in used or path not in self._models]


if __name__ == "__main__":
    run(main, Scale, **FILES)
