"""Measurements with a known answer: curves of a given slope, evaluations of a given skill."""

import numpy as np
import polars as pl

from raml.config import Evaluation as Settings
from raml.schemas import Evaluation, ProbeCurve

SETTINGS = Settings(n=16, k=8, bootstrap_resamples=1000, confidence=0.95)


def curves(
    slope: float,
    *,
    correct: bool,
    questions: int = 40,
    trajectories: int = 2,
    seeds: int = 1,
    positions: int = 30,
    noise: float = 0.5,
    model: str = "sft_long",
    benchmark: str = "rows",
) -> pl.DataFrame:
    """NLL = 5 + slope x share of the trajectory + noise, in nats; `correct` sets what the trajectories are."""
    rng = np.random.default_rng(round(1000 * slope) % 2**32)
    frames = []
    for seed in range(seeds):
        for question in range(questions):
            name = f"q{question:03}" if benchmark == "rows" else f"{benchmark}-{question:03}"
            for number in range(trajectories):
                share = np.linspace(0, 1, positions)
                nll = np.maximum(0, 5 + slope * share + noise * rng.standard_normal(positions))
                frames.append(
                    pl.DataFrame(
                        {
                            "trajectory_id": f"{name}/{model}/{number + (0 if correct else 100)}",
                            "question_id": name,
                            "benchmark": benchmark,
                            "model": model,
                            "seed": seed,
                            "mode": "thinking",
                            "correct": correct,
                            "position": np.arange(positions),
                            "length": positions - 1,
                            "token_id": [None, *([7] * (positions - 1))],
                            "nll": nll,
                        }
                    )
                )
    if not frames:
        return ProbeCurve.create_empty()
    return ProbeCurve.cast(pl.concat(frames))


def evaluations(
    skills: dict[str, float],
    *,
    questions: int = 60,
    seeds: int = 1,
    benchmarks: tuple[str, ...] = ("rows", "rows_hard"),
) -> pl.DataFrame:
    """`skills`: each model's chance of success; benchmarks are in domain, hard, then other domains."""
    kinds = dict(zip(benchmarks, ["in_domain", "in_domain_hard", "other_domain"], strict=False))
    rng = np.random.default_rng(1)
    rows = [
        {
            "model": model,
            "seed": seed,
            "benchmark": benchmark,
            "kind": kind,
            "question_id": f"{benchmark}-{number}",
            "n": SETTINGS.n,
            "c": int(rng.binomial(SETTINGS.n, skill)),
            "formatted": 0,
            "finished": 0,
            "tokens": 0,
        }
        for model, skill in skills.items()
        for seed in range(seeds)
        for benchmark, kind in kinds.items()
        for number in range(questions)
    ]
    return Evaluation.cast(pl.DataFrame(rows))
