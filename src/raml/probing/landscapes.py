"""Answer-NLL landscapes of the main probed model around its weights (Algorithm 4, Figure 2).

    python -m raml.probing.landscapes --scale S --config '<probing, landscape>' --seed 0 --model MODEL \
        --curves results/S/probes/seed0/MODEL/curves.parquet --questions results/S/questions/benchmarks.parquet \
        --out results/S/probes/seed0/landscape.parquet

All questions of a training seed share the two random directions, which that seed draws.
"""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import polars as pl
import torch

from raml.config import Landscape as Settings
from raml.config import Probing, Section
from raml.errors import DataError
from raml.probing.forced import forced_probe
from raml.probing.landscape import ForcedAnswer, Landscape, answer_nll_landscape
from raml.progress import progress
from raml.schemas import LandscapePoint, ProbeCurve, Question
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.chat import question_ids
from raml.trajectories.pretrained import load_pretrained, on_device


class Job(Section):
    """The sections that landscapes depend on."""

    probing: Probing
    landscape: Settings


def main(step: Step[Job]) -> None:
    """Write one row for each grid point of each question."""
    settings, probing = step.config.landscape, step.config.probing
    torch.set_num_threads(settings.threads)
    curves = read_table(step.files["curves"], ProbeCurve).filter(model=probing.models[0], seed=step.seed)
    asked = {row["id"]: row for row in read_table(step.files["questions"], Question).iter_rows(named=True)}
    chosen = choose_questions(curves, probing.benchmarks, settings.questions)
    model, tokenizer = load_pretrained(step.files["model"])
    model = on_device(model)
    questions = []
    for question in chosen:
        if question not in asked:
            raise DataError(f"--curves follow question {question!r}, which --questions lacks; probe again")
        probe = forced_probe(tokenizer, asked[question]["answer"])
        prompt = question_ids(tokenizer, asked[question]["prompt"])
        questions.append(ForcedAnswer(prompt, probe.marker_ids, probe.answer_ids))

    table: pl.DataFrame = LandscapePoint.create_empty()
    if questions:
        with progress("landscape", settings.size**2, "point") as line:
            landscape = answer_nll_landscape(
                model,
                questions,
                size=settings.size,
                radius=settings.radius,
                seed=step.seed,
                normalisation=settings.normalisation,
                token_budget=settings.token_budget,
                progress=line.update,
            )
        apart = difference_at_centre(landscape, chosen, curves)
        print(
            f"{len(questions)} questions; second direction {landscape.directions}, {landscape.buffer_bytes:,} bytes "
            f"beside the model; the centre and the curves' starts differ by at most {apart:.1e} nats"
        )
        table = landscape_table(landscape, chosen, curves)
    provenance = step.provenance(model_hash=model_hash(step.files["model"]))
    write_table(table, LandscapePoint, step.files["out"], provenance)


def choose_questions(curves: pl.DataFrame, benchmarks: Sequence[str], n: int) -> list[str]:
    """The first `n` questions with a correct thinking-mode trajectory: of the benchmarks in turn, by id.

    Args:
        curves: rows of `schemas.ProbeCurve`, of one model and training seed.
        benchmarks: in the order in which they take turns.
        n: at most; fewer where there are not as many.
    """
    solved = curves.filter((pl.col("mode") == "thinking") & pl.col("correct"))
    by_benchmark = [sorted(solved.filter(benchmark=name)["question_id"].unique()) for name in benchmarks]
    turns = (question for turn in zip_longest(*by_benchmark) for question in turn if question is not None)
    return list(turns)[:n]


def landscape_table(landscape: Landscape, questions: Sequence[str], curves: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schemas.LandscapePoint`, by question, row and column.

    Args:
        landscape: of `questions`, in their order.
        questions: their ids.
        curves: rows of `schemas.ProbeCurve` of one model and training seed, which know the questions' benchmarks.
    """
    benchmark = dict(curves.select("question_id", "benchmark").unique().iter_rows())
    size = len(landscape.x)
    row, column = (part.ravel() for part in np.indices((size, size)))
    tables = [
        pl.DataFrame(
            {
                "question_id": question,
                "benchmark": benchmark[question],
                "model": curves["model"][0],
                "seed": curves["seed"][0],
                "row": row,
                "column": column,
                "x": landscape.x[column],
                "y": landscape.y[row],
                "nll": nll.ravel(),
            }
        )
        for question, nll in zip(questions, landscape.nll, strict=True)
    ]
    return LandscapePoint.cast(pl.concat(tables))


def difference_at_centre(landscape: Landscape, questions: Sequence[str], curves: pl.DataFrame) -> float:
    """The largest difference, in nats, between a landscape's centre and where the question's curves start.

    Both are the answer NLL of the bare question under the weights as they are, measured in two ways.
    """
    starts: dict[str, float] = dict(
        curves.filter((pl.col("mode") == "thinking") & (pl.col("position") == 0))
        .select("question_id", "nll")
        .iter_rows()
    )
    half = len(landscape.x) // 2
    centres = zip(questions, landscape.nll[:, half, half].tolist(), strict=True)
    apart: list[float] = [abs(centre - starts[question]) for question, centre in centres]
    return max(apart)


if __name__ == "__main__":
    run(main, Job, inputs=["model", "curves", "questions"], outputs=["out"])
