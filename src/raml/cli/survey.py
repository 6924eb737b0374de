"""The work of `raml landscape`: token ids, landscapes, curves, and the files made of them."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raml.answers.format import INSTRUCTION
from raml.cli.common import origin, output_folder, precision
from raml.cli.follow import check_length
from raml.config import Normalisation, Section
from raml.errors import InputError
from raml.probing.curves import TOKEN_BUDGET as CURVE_TOKEN_BUDGET
from raml.probing.curves import Curve, answer_nll_curves
from raml.probing.forced import forced_probe
from raml.probing.landscape import TOKEN_BUDGET, ForcedAnswer, Landscape, answer_nll_landscape
from raml.probing.projection import Projection, project, share_reached
from raml.probing.prompts import exact_ids, question_ids
from raml.probing.text import Tokens, known
from raml.probing.tree import Probe
from raml.progress import progress
from raml.report.charts.surfaces import draw_surfaces
from raml.report.charts.svg import drawing, write_svg
from raml.report.landscape_page import LandscapePage, landscape_page
from raml.report.landscapes import Surface
from raml.report.numbers import count, number, percent
from raml.schemas import LandscapePoint
from raml.storage import write_table, write_text

if TYPE_CHECKING:
    from raml.trajectories.hub import Pretrained


class Request(Section):
    """What was asked for; its hash stands in the table's metadata. Of `questions` and `prompts` one is empty."""

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

    @property
    def asked(self) -> tuple[str, ...]:
        """The questions, or the exact prompts instead."""
        return self.questions or self.prompts


@dataclass(frozen=True)
class Result:
    """Landscapes of all questions, the curves on them (none without trajectories), and what the run took."""

    landscape: Landscape
    curves: list[Curve | None]
    projections: list[Projection | None]
    precision: str
    model_bytes: int
    seconds: float

    def summary(self) -> Iterator[str]:
        """A line for each question, and one on the run."""
        for index, (nll, curve) in enumerate(zip(self.landscape.nll, self.curves, strict=True), 1):
            middle = centre(nll)
            yield (
                f"question {index}: NLL {number(middle)} nats per answer token at the weights, {number(nll.min())} to "
                f"{number(nll.max())} in all; {percent(np.mean(nll < middle))}% of the grid lies lower than the weights"
            )
            if curve is not None:
                share = share_reached(nll, curve)
                yield f"question {index}: {percent(share)}% of the trajectory's levels occur on the landscape"
        points = count(self.landscape.nll[0].size, "grid point")
        yield f"{points} in {self.seconds:.1f} s; peak memory {size_of(self.landscape.peak_bytes)}"


def survey(request: Request, pretrained: "Pretrained") -> Result:
    """Measure the landscapes, and the curve of each trajectory.

    Raises:
        InputError: text that cannot be used, or that is longer than the model's context.
        RamlError: the NLL is not finite, or out of memory.
    """
    model, tokenizer = pretrained
    probes = [forced_probe(tokenizer, answer) for answer in request.answers]
    instruction = INSTRUCTION if request.instruction is None else request.instruction
    prompts = [
        *(question_ids(tokenizer, question, instruction=instruction) for question in request.questions),
        *(exact_ids(tokenizer, prompt) for prompt in request.prompts),
    ]
    names = [f"trajectory {number}" for number in range(1, len(request.trajectories) + 1)]
    texts = [known(tokenizer, text, name) for text, name in zip(request.trajectories, names, strict=True)]
    _check_lengths(pretrained, prompts, probes, texts)
    curves: list[Curve | None] = [None] * len(prompts)
    for index, trajectory in enumerate(texts):
        curves[index] = _curve(pretrained, prompts[index], trajectory.ids, probes[index], request.token_budget)
    start = time.perf_counter()
    with progress("landscape", request.size**2, "point") as line:
        landscape = answer_nll_landscape(
            model,
            [
                ForcedAnswer(prompt, probe.marker_ids, probe.answer_ids)
                for prompt, probe in zip(prompts, probes, strict=True)
            ],
            size=request.size,
            radius=request.radius,
            seed=request.seed,
            normalisation=request.normalisation,
            token_budget=request.token_budget or TOKEN_BUDGET,
            progress=line.update,
        )
    seconds = time.perf_counter() - start
    return Result(
        landscape=landscape,
        curves=curves,
        projections=[_projection(landscape, index, curve) for index, curve in enumerate(curves)],
        precision=precision(pretrained),
        model_bytes=sum(parameter.nbytes for parameter in model.parameters()),
        seconds=seconds,
    )


def write(request: Request, result: Result, out: Path) -> None:
    """Write `landscape.parquet`, `landscape.svg` and `index.html` into the folder `out`, all or none."""
    made_by = origin(request, __name__, request.model, request.seed)
    title = f"Answer-NLL landscape of {request.model}"
    with output_folder(out) as folder:
        write_table(landscape_table(request, result.landscape), LandscapePoint, folder / "landscape.parquet", made_by)
        figure = folder / "landscape.svg"
        shown = _surfaces(request, result)
        with drawing():
            words = " ".join(result.summary())
            drawn = draw_surfaces(shown)
            write_svg(drawn, figure, name="landscape", title=title, description=words, rounded=True)
        page = LandscapePage(title, _facts(request, result), shown)
        write_text(landscape_page(page, figure), folder / "index.html")


def landscape_table(request: Request, landscape: Landscape) -> pl.DataFrame:
    """Rows of `schemas.LandscapePoint`, by question, row and column."""
    row, column = (part.ravel() for part in np.indices(landscape.nll[0].shape))
    tables = [
        pl.DataFrame(
            {
                "question_id": f"question-{number}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}",
                "benchmark": "cli",
                "model": request.model,
                "seed": request.seed,
                "row": row,
                "column": column,
                "x": landscape.x[column],
                "y": landscape.y[row],
                "nll": nll.ravel(),
            }
        )
        for number, (asked, nll) in enumerate(zip(request.asked, landscape.nll, strict=True), 1)
    ]
    return LandscapePoint.cast(pl.concat(tables))


def centre(nll: np.ndarray) -> float:
    """The middle of a grid [size, size]: the NLL at the weights themselves."""
    return float(nll[nll.shape[0] // 2, nll.shape[1] // 2])


def size_of(size: int) -> str:
    """A number of bytes for people: `1.70 GB`."""
    return f"{number(size / 1e9)} GB" if size >= 1e8 else f"{number(size / 1e6)} MB"


def _check_lengths(
    pretrained: "Pretrained", prompts: list[tuple[int, ...]], probes: list[Probe], trajectories: list[Tokens]
) -> None:
    """Of all questions, before the first is worked on.

    Raises:
        InputError: one is longer than the model's context, by itself or with its trajectory.
    """
    context = getattr(pretrained.model.config.get_text_config(), "max_position_embeddings", None)
    for place, (prompt, probe) in enumerate(zip(prompts, probes, strict=True), 1):
        length = len(prompt) + len(probe.marker_ids) + len(probe.answer_ids)
        if context is not None and length > context:
            raise InputError(f"question {place}: {length} tokens exceed the model's context of {context}; shorten it")
    for place, (tokens, prompt, probe) in enumerate(zip(trajectories, prompts, probes, strict=False), 1):
        check_length(str(place), tokens, len(prompt), [probe], context)


def _curve(
    pretrained: "Pretrained",
    prompt: tuple[int, ...],
    trajectory: tuple[int, ...],
    probe: Probe,
    token_budget: int | None,
) -> Curve:
    with progress("probing", len(trajectory) + 1, "point") as line:
        [curves] = answer_nll_curves(
            pretrained.model,
            prompt,
            [trajectory],
            [probe],
            token_budget=token_budget or CURVE_TOKEN_BUDGET,
            progress=line.update,
        )
    curve: Curve = curves[0]
    return curve


def _projection(landscape: Landscape, index: int, curve: Curve | None) -> Projection | None:
    if curve is None:
        return None
    return project(landscape.x, landscape.y, landscape.nll[index], np.linspace(0, 1, len(curve)), curve)


def _surfaces(request: Request, result: Result) -> list[Surface]:
    landscape = result.landscape
    return [
        Surface(
            question=request.asked[index],
            answer=request.answers[index],
            x=landscape.x,
            y=landscape.y,
            nll=landscape.nll[index],
            curve=result.curves[index],
            projection=result.projections[index],
        )
        for index in range(len(request.asked))
    ]


def _facts(request: Request, result: Result) -> list[tuple[str, str]]:
    landscape = result.landscape
    return [
        ("Model", request.model),
        ("Precision", result.precision),
        ("Grid", f"{request.size} x {request.size} within \N{PLUS-MINUS SIGN}{request.radius:g}"),
        ("Seed of the directions", str(request.seed)),
        ("Normalisation", f"by {request.normalisation}"),
        ("Second direction", landscape.directions),
        ("Model's weights", size_of(result.model_bytes)),
        ("Held beside the model", size_of(landscape.buffer_bytes)),
        ("Peak memory", size_of(landscape.peak_bytes)),
        ("Time", f"{result.seconds:.1f} s, {number(1000 * result.seconds / request.size**2)} ms a point"),
    ]
