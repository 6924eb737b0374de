"""Evaluations of models that differ in a dose, with a known effect of it and known noise of training."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from raml.runs import Series
from raml.schemas import Evaluation

K = 8
BENCHMARKS = {"rows": "in_domain", "rows_hard": "in_domain_hard", "path": "in_domain"}
MEANS = (0.3, -1.5, -0.8)  # log odds of a benchmark's questions, whose standard deviation is 1.2


def correct(
    rng: np.random.Generator,
    samples: list[int],
    *,
    per_doubling: float = 0.0,
    training_noise: float = 0.0,
    seeds: int = 3,
    questions: int = 64,
    means: tuple[float, ...] = MEANS,
) -> NDArray[np.int64]:
    """Correct ones among `samples` [doses] of each model: shape [seeds, benchmarks x questions, doses].

    The log odds of being right rise by `per_doubling` from each dose to the next. Each trained model differs by normal
    noise of `training_noise`, the same for all of its questions, and by 0.5 on each question by itself.
    """
    doses = len(samples)
    ability = np.concatenate([rng.normal(mean, 1.2, questions) for mean in means])[None, :, None]
    rise = per_doubling * (np.arange(doses) - (doses - 1) / 2)
    of_model = training_noise * rng.standard_normal((seeds, 1, doses))
    of_question = 0.5 * rng.standard_normal((seeds, ability.size, doses))
    chance = 1 / (1 + np.exp(-(ability + rise + of_model + of_question)))
    return rng.binomial(np.asarray(samples), chance)


def sweep(
    name: str = "fig8_long",
    *,
    per_doubling: float = 0.0,
    training_noise: float = 0.0,
    seeds: int = 3,
    questions: int = 64,
    samples: tuple[int, ...] = (16, 16, 16, 16, 16, 32),
    means: tuple[float, ...] = MEANS,
    seed: int = 0,
) -> tuple[pl.DataFrame, Series]:
    """Rows of `schemas.Evaluation` for models `name_m1`, `name_m2`, `name_m4` .., as `correct` draws them."""
    rng = np.random.default_rng(seed)
    series = Series(
        doses=[2.0**place for place in range(len(samples))],
        models=[f"{name}_m{2**place}" for place in range(len(samples))],
    )
    counts = correct(
        rng, list(samples), per_doubling=per_doubling, training_noise=training_noise, seeds=seeds,
        questions=questions, means=means,
    )  # fmt: skip
    names = list(BENCHMARKS)[: len(means)]
    rows = [
        {
            "model": model,
            "seed": number,
            "benchmark": names[question // questions],
            "kind": BENCHMARKS[names[question // questions]],
            "question_id": f"{names[question // questions]}-{question % questions}",
            "n": samples[place],
            "c": int(counts[number, question, place]),
            "formatted": 0,
            "finished": 0,
            "tokens": 0,
        }
        for place, model in enumerate(series.models)
        for number in range(seeds)
        for question in range(counts.shape[1])
    ]
    return Evaluation.cast(pl.DataFrame(rows)), series
