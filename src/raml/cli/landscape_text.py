"""The work of `raml landscape`: token ids, landscapes, curves, and the files made of them."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from raml.cli import own_model
from raml.cli.output import print_line
from raml.config import Normalisation, Section
from raml.probing.curves import Curve
from raml.probing.forced import forced_probe
from raml.probing.landscape import TOKEN_BUDGET, ForcedAnswer, Landscape, answer_nll_landscape, check_grid
from raml.probing.projection import project, share_reached
from raml.probing.text import known
from raml.progress import progress
from raml.report.charts.surfaces import draw_surfaces
from raml.report.charts.svg import drawing, write_svg
from raml.report.landscape_page import LandscapePage, landscape_page
from raml.report.landscapes import Surface
from raml.report.numbers import count, number, percent
from raml.schemas import LandscapePoint
from raml.storage import write_table, write_text
from raml.trajectories.hub import Pretrained, load_named


class Request(Section):
    """What is to be measured; its hash stands in the table's metadata. Of `questions` and `prompts` one is empty."""

    model: str
    questions: tuple[str, ...]
    prompts: tuple[str, ...]
    instruction: str | None
    answers: tuple[str, ...]
    trajectories: tuple[str, ...]  # none, or one for each question
    size: int
    radius: float
    normalisation: Normalisation
    seed: int
    token_budget: int | None


@dataclass(frozen=True)
class Result:
    """Landscapes of all questions, with the curves on them if there are trajectories, and what the run took."""

    landscape: Landscape
    surfaces: list[Surface]
    seconds: float

    def summary(self) -> Iterator[str]:
        """A line for each question, and one on the run."""
        for index, surface in enumerate(self.surfaces, 1):
            nll = surface.nll
            centre = float(nll[nll.shape[0] // 2, nll.shape[1] // 2])
            yield (
                f"question {index}: NLL {number(centre)} nats per answer token at the weights, {number(nll.min())} to "
                f"{number(nll.max())} in all; {percent(surface.lower_than(centre))}% of the grid lies lower than the "
                "weights"
            )
            if surface.curve is not None:
                share = share_reached(nll, surface.curve)
                yield f"question {index}: {percent(share)}% of the trajectory's levels occur on the landscape"
        points = count(self.landscape.nll[0].size, "grid point")
        yield f"{points} in {self.seconds:.1f} s; peak memory {_size(self.landscape.peak_bytes)}"


def run(request: Request, device: str, dtype: str, out: Path) -> None:
    """Measure, write `landscape.parquet`, `landscape.svg` and `index.html` into the folder `out`, and sum up.

    Raises:
        InputError: a grid, model or text that cannot be used, or a text longer than the model's context.
        RamlError: the NLL is not finite, out of memory, or `out` cannot be written.
    """
    check_grid(request.size, request.radius, request.token_budget or TOKEN_BUDGET)
    pretrained = load_named(request.model, device=device, dtype=dtype)
    result = measure(request, pretrained)
    provenance = own_model.origin(request, __name__, request.model, request.seed)
    title, summary = f"Answer-NLL landscape of {request.model}", list(result.summary())
    with own_model.output_folder(out) as folder:
        write_table(_table(request, result), LandscapePoint, folder / "landscape.parquet", provenance)
        figure = folder / "landscape.svg"
        with drawing():
            drawn = draw_surfaces(result.surfaces)
            write_svg(drawn, figure, name="landscape", title=title, description=" ".join(summary), rounded=True)
        page = LandscapePage(title, _facts(request, result, pretrained), result.surfaces)
        write_text(landscape_page(page, figure), folder / "index.html")
    for line in summary:
        print_line(line)
    print_line(f"page: {out / 'index.html'}\nfigure: {out / 'landscape.svg'}\ntable: {out / 'landscape.parquet'}")


def measure(request: Request, pretrained: Pretrained) -> Result:
    """Measure the landscapes, and the curve of each trajectory.

    Raises:
        InputError: text that cannot be used, or that is longer than the model's context.
        RamlError: the NLL is not finite, or out of memory.
    """
    model, tokenizer = pretrained
    probes = [forced_probe(tokenizer, answer) for answer in request.answers]
    prompts = own_model.prompts_of(pretrained, request.questions, request.prompts, request.instruction)
    texts = [known(tokenizer, text, f"trajectory {place}") for place, text in enumerate(request.trajectories, 1)]
    for place, (prompt, probe) in enumerate(zip(prompts, probes, strict=True), 1):
        own_model.check_length(pretrained, f"question {place}", prompt, texts[place - 1] if texts else None, [probe])
    curves = [
        own_model.measure_curves(pretrained, prompt, [tokens], [probe], request.token_budget)[0][0]
        for prompt, tokens, probe in zip(prompts, texts, probes, strict=False)
    ]
    questions = [
        ForcedAnswer(prompt, probe.marker_ids, probe.answer_ids) for prompt, probe in zip(prompts, probes, strict=True)
    ]
    start = time.perf_counter()
    with progress("landscape", request.size**2, "point") as line:
        landscape = answer_nll_landscape(
            model,
            questions,
            size=request.size,
            radius=request.radius,
            seed=request.seed,
            normalisation=request.normalisation,
            token_budget=request.token_budget or TOKEN_BUDGET,
            progress=line.update,
        )
    seconds = time.perf_counter() - start
    return Result(landscape, _surfaces(request, landscape, curves), seconds)


def _surfaces(request: Request, landscape: Landscape, curves: list[Curve]) -> list[Surface]:
    surfaces = []
    for index, (question, nll) in enumerate(zip(request.questions or request.prompts, landscape.nll, strict=True)):
        x, y = landscape.x, landscape.y
        curve = curves[index] if curves else None
        projection = None if curve is None else project(x, y, nll, np.linspace(0, 1, len(curve)), curve)
        surfaces.append(Surface(question, request.answers[index], x, y, nll, curve, projection))
    return surfaces


def _table(request: Request, result: Result) -> pl.DataFrame:
    """Rows of `schemas.LandscapePoint`, by question, row and column."""
    row, column = (part.ravel() for part in np.indices(result.surfaces[0].nll.shape))
    tables = [
        pl.DataFrame(
            {
                "question_id": f"question-{place}-{hashlib.sha256(surface.question.encode()).hexdigest()[:8]}",
                "benchmark": "cli",
                "model": request.model,
                "seed": request.seed,
                "row": row,
                "column": column,
                "x": surface.x[column],
                "y": surface.y[row],
                "nll": surface.nll.ravel(),
            }
        )
        for place, surface in enumerate(result.surfaces, 1)
    ]
    return LandscapePoint.cast(pl.concat(tables))


def _facts(request: Request, result: Result, pretrained: Pretrained) -> list[tuple[str, str]]:
    landscape = result.landscape
    model_bytes = sum(parameter.nbytes for parameter in pretrained.model.parameters())
    return [
        ("Model", request.model),
        ("Precision", own_model.precision(pretrained)),
        ("Grid", f"{request.size} x {request.size} within \N{PLUS-MINUS SIGN}{request.radius:g}"),
        ("Seed of the directions", str(request.seed)),
        ("Normalisation", f"by {request.normalisation}"),
        ("Second direction", landscape.directions),
        ("Model's weights", _size(model_bytes)),
        ("Held beside the model", _size(landscape.buffer_bytes)),
        ("Peak memory", _size(landscape.peak_bytes)),
        ("Time", f"{result.seconds:.1f} s, {number(1000 * result.seconds / request.size**2)} ms a point"),
    ]


def _size(size: int) -> str:
    """A number of bytes for people: `1.70 GB`."""
    return f"{number(size / 1e9)} GB" if size >= 1e8 else f"{number(size / 1e6)} MB"
