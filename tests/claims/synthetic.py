"""Measurements with a known answer: curves of a given slope or shape, token changes, evaluations of a given skill."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from raml.config import Evaluation as Settings
from raml.schemas import Evaluation, ProbeCurve, TokenChange

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
                            "answer": "7",
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


def shape(
    thinking: Sequence[float],
    no_thinking: Sequence[float] | None,
    *,
    question: str = "q000",
    number: int = 0,
    seed: int = 0,
    correct: bool = True,
    benchmark: str = "rows",
    model: str = "sft_long",
    stride: int = 1,
) -> pl.DataFrame:
    """Both curves of one trajectory by hand; without a no-thinking one if that is None."""
    frames = [
        pl.DataFrame(
            {
                "trajectory_id": f"{question}/{model}/{number}",
                "question_id": question,
                "benchmark": benchmark,
                "model": model,
                "seed": seed,
                "mode": mode,
                "answer": "7",
                "correct": correct,
                "position": np.arange(0, stride * len(nll), stride),
                "length": stride * (len(nll) - 1),
                "token_id": [None, *([7] * (len(nll) - 1))],
                "nll": [float(value) for value in nll],
            }
        )
        for mode, nll in (("thinking", thinking), ("no_thinking", no_thinking))
        if nll is not None
    ]
    return ProbeCurve.cast(pl.concat(frames))


def changes(
    factor: float,
    *,
    questions: int = 40,
    trajectories: int = 2,
    seeds: int = 1,
    benchmark: str = "rows",
    correct: bool = True,
) -> pl.DataFrame:
    """Twenty tokens a trajectory, every fifth with the role `reflection`, which changes the NLL `factor` times as much.

    At a token of the role the NLL falls, at the next one it rises.
    """
    rng = np.random.default_rng(round(1000 * factor))
    frames = []
    for seed in range(seeds):
        for question in range(questions):
            for number in range(trajectories):
                is_role = np.arange(20) % 5 == 2
                relative = np.minimum(rng.lognormal(-2, 0.7, 20) * np.where(is_role, factor, 1.0), 0.9)
                sign = np.where(is_role, -1, np.where(np.roll(is_role, 1), 1, rng.choice([-1, 1], 20)))
                name = f"{benchmark}-{question:03}"
                frames.append(
                    pl.DataFrame(
                        {
                            "trajectory_id": f"{name}/sft_long/{number}",
                            "question_id": name,
                            "benchmark": benchmark,
                            "model": "sft_long",
                            "seed": seed,
                            "correct": correct,
                            "position": np.arange(1, 21),
                            "token": np.where(is_role, "Wait", "1"),
                            "role": np.where(is_role, "reflection", "other"),
                            "before": 2.0,
                            "after": 2.0 * (1 + sign * relative),
                            "relative_change": relative,
                        }
                    )
                )
    return TokenChange.cast(pl.concat(frames)) if frames else TokenChange.create_empty()


def evaluations(
    skills: dict[str, float],
    *,
    questions: int = 60,
    seeds: int = 1,
    benchmarks: tuple[str, ...] = ("rows", "rows_hard"),
) -> pl.DataFrame:
    """`skills`: each model's chance of success; benchmarks are in domain, hard, of another, then of the same domain."""
    every_kind = ["in_domain", "in_domain_hard", "other_domain", "within_domain"]
    kinds = dict(zip(benchmarks, every_kind, strict=False))
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
