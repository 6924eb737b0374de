"""Measurements as ours look, drawn from known truths: scores of several models, and answer-NLL curves.

A question's chance of success is the logistic of its ease (standard deviation 1.5 between questions), of the model's
skill, of its training seed's luck and of a chance of each seed's question (0.5); of 16 samples so many are right.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raml.evaluation.metrics import Floats
from raml.quantities.scores import score_quantities
from raml.quantities.table import complete

N, K = 16, 8
BETWEEN_QUESTIONS, WITHIN = 1.5, 0.5


def logistic(z: Floats) -> Floats:
    """Its inverse is the logit."""
    return 1 / (1 + np.exp(-z))


def right(
    rng: np.random.Generator, skills: Mapping[str, float], seeds: int, questions: int, luck: float
) -> dict[str, NDArray[np.int64]]:
    """How many of `N` samples are right, by model, of shape [seeds, questions].

    Args:
        rng: draws them.
        skills: the mean logit of each model.
        seeds: training seeds, whose `luck` (standard deviation) each model has for itself.
        questions: the same for all models.
        luck: 0 where training seeds do not differ.
    """
    ease = BETWEEN_QUESTIONS * rng.standard_normal((1, questions))
    found = {}
    for model, skill in skills.items():
        of_seed = luck * rng.standard_normal((seeds, 1))
        of_cell = WITHIN * rng.standard_normal((seeds, questions))
        found[model] = rng.binomial(N, logistic(skill + ease + of_seed + of_cell))
    return found


def scores(counts: Mapping[str, NDArray[np.int64]], domain: str = "in_domain") -> pl.DataFrame:
    """The quantities of `right`'s counts on one benchmark."""
    frames = []
    for model, c in counts.items():
        seed, question = np.indices(c.shape)
        columns = {"seed": seed.ravel(), "question": question.ravel(), "c": c.ravel()}
        frames.append(pl.DataFrame(columns).with_columns(pl.lit(model).alias("model")))
    table = pl.concat(frames).with_columns(
        pl.lit("rows").alias("benchmark"),
        pl.format("rows-{}", pl.col("question").cast(pl.String).str.zfill(3)).alias("question_id"),
        pl.lit(N).alias("n"),
        pl.lit(N).alias("finished"),
    )
    return complete(score_quantities(table, K, N), {"rows": domain})


def curves(
    rng: np.random.Generator, drop: float, seeds: int, questions: int, luck: float, *, pause: float = 0.0
) -> pl.DataFrame:
    """Curves of correct trajectories in both modes, the columns of `schemas.ProbeCurve` that quantities read.

    Two trajectories a question and seed of 12 positions: a fall by `drop` nats, which questions (0.5), training seeds
    (`luck`) and trajectories (0.3) vary, and noise of 0.3 nats along the curve; no-thinking mode has `pause` nats more.
    """
    positions, trajectories = 12, 2
    share = np.linspace(0, 1, positions)
    of_question = 0.5 * rng.standard_normal((1, questions, 1, 1))
    of_seed = luck * rng.standard_normal((seeds, 1, 1, 1))
    fall = drop + of_question + of_seed + 0.3 * rng.standard_normal((seeds, questions, trajectories, 1))
    frames = []
    for mode, more in (("thinking", 0.0), ("no_thinking", pause)):
        noise = 0.3 * rng.standard_normal((seeds, questions, trajectories, positions))
        nll = np.maximum(5 + more - fall * share + noise, 0)
        seed, question, number, position = (axis.ravel() for axis in np.indices(nll.shape))
        frames.append(
            pl.DataFrame(
                {"seed": seed, "question": question, "number": number, "position": position, "nll": nll.ravel()}
            ).with_columns(pl.lit(mode).alias("mode"))
        )
    return pl.concat(frames).select(
        pl.format("q{}/{}", "question", "number").alias("trajectory_id"),
        pl.format("q{}", pl.col("question").cast(pl.String).str.zfill(3)).alias("question_id"),
        pl.lit("rows").alias("benchmark"),
        pl.lit("sft_long").alias("model"),
        "seed",
        "mode",
        pl.lit(value=True).alias("correct"),
        "position",
        pl.lit(positions - 1).alias("length"),
        "nll",
    )
