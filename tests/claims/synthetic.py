"""Measurements with a known answer, and quantities as they are: cells by hand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from raml.claims.effects import Quantities
from raml.claims.registry import Claim, Registry
from raml.evaluation.intervals import Bootstrap
from raml.quantities.table import QuantityTable, complete
from raml.schemas import Evaluation, ProbeCurve, TokenChange, WeightUpdate

BOOTSTRAP = Bootstrap(0, 1000, 0.95)
DOMAINS = {
    "rows": "in_domain", "hard": "in_domain_hard", "path": "in_domain", "near": "within_domain", "far": "other_domain",
}  # fmt: skip


def quantity(
    name: str,
    model: str,
    values: ArrayLike,
    *,
    benchmark: str = "rows",
    weights: ArrayLike = 1.0,
    seeds: Sequence[int] | None = None,
    first: int = 0,
    n: int = 16,
) -> pl.DataFrame:
    """Rows of `QuantityTable`, of values of shape [seeds, questions]; NaN where a seed lacks a question."""
    cells = np.atleast_2d(np.asarray(values, dtype=float))
    weight = np.broadcast_to(weights, cells.shape)
    rows = [
        {
            "quantity": name, "model": model, "benchmark": benchmark, "seed": seed,
            "question_id": f"{benchmark}-{first + place:03}", "value": float(cells[row, place]),
            "weight": float(weight[row, place]), "n": n,
        }
        for row, seed in enumerate(seeds or range(len(cells)))
        for place in np.flatnonzero(~np.isnan(cells[row]))
    ]  # fmt: skip
    return complete(pl.DataFrame(rows), DOMAINS)


def quantities(*tables: pl.DataFrame, bootstrap: Bootstrap = BOOTSTRAP) -> Quantities:
    """Ready for effects."""
    return Quantities(QuantityTable.cast(pl.concat(tables)), bootstrap)


def around(mean: float, spread: float = 0.1, *, questions: int = 30, seeds: int = 1, seed: int = 0) -> Any:
    """Cells [seeds, questions] of exactly this mean, with so much normal noise."""
    noise = np.random.default_rng(seed).standard_normal((seeds, questions))
    return mean + spread * (noise - noise.mean())


def claim(**changes: Any) -> Claim:
    """One that Pass@8 of sft_long lies above 0.5, with changes."""
    plain = {
        "id": "fig3", "exhibit": "fig3", "statement": "-", "paper": "-", "measured": "-", "needs": "-", "why": "-",
        "decidable_at": ["micro"], "min_questions": 20, "command": "-", "side": "above", "threshold": 0.5,
        "all": [{"quantity": "Pass@8", "model": "sft_long"}],
    }  # fmt: skip
    return Claim.model_validate({key: value for key, value in (plain | changes).items() if value is not None})


def registry(*claims: Claim, reported: Mapping[str, Any] | None = None) -> Registry:
    """Of these claims."""
    return Registry(list(claims), dict(reported or {}), None)  # type: ignore[arg-type]


def curve(
    nll: Sequence[float], *, mode: str = "thinking", stride: int = 1, number: int = 0, **changes: Any
) -> pl.DataFrame:
    """One curve by hand, rows of `ProbeCurve`."""
    length = len(nll)
    question = changes.get("question_id", "rows-000")
    frame = pl.DataFrame(
        {
            "trajectory_id": f"{question}/sft_long/{number}", "question_id": question, "benchmark": "rows",
            "model": "sft_long", "seed": 0, "mode": mode, "answer": "7", "correct": True,
            "position": np.arange(0, stride * length, stride), "length": stride * (length - 1),
            "token_id": [None, *([7] * (length - 1))], "nll": [float(value) for value in nll],
        }
    )  # fmt: skip
    return ProbeCurve.cast(frame.with_columns(pl.lit(value).alias(key) for key, value in changes.items()))


def tokens(
    relative: Iterable[float | None], roles: Sequence[str], words: Sequence[str] | None = None, **changes: Any
) -> pl.DataFrame:
    """Tokens of one trajectory by their relative changes, rows of `TokenChange`; all raise an NLL of 1."""
    found = list(relative)
    frame = pl.DataFrame(
        {
            "trajectory_id": "rows-000/m/0", "question_id": "rows-000", "benchmark": "rows", "model": "m", "seed": 0,
            "correct": True, "position": range(1, len(found) + 1), "token": words or ["x"] * len(found), "role": roles,
            "before": [0.0 if value is None else 1.0 for value in found],
            "after": [0.5 if value is None else 1.0 + value for value in found], "relative_change": found,
        },
        schema_overrides={"relative_change": pl.Float64},
    )  # fmt: skip
    return TokenChange.cast(frame.with_columns(pl.lit(value).alias(key) for key, value in changes.items()))


def update(position: int, layer: int, descent: float, **changes: Any) -> dict[str, Any]:
    """A row of `WeightUpdate` whose update has norm 3 and whose gradient 2, of a trajectory of 20 tokens."""
    return {
        "trajectory_id": "t", "question_id": "rows-000", "benchmark": "rows", "model": "m", "seed": 0, "correct": True,
        "source": "trajectory", "draw": 0, "projection": "output", "position": position, "length": 20, "layer": layer,
        "weight_norm": 10.0, "update_norm": 3.0, "gradient_norm": 2.0, "descent": descent, "nll_without": 2.0,
        "nll": 1.5, "nll_difference": 1e-5, "logit_difference": 2e-4, **changes,
    }  # fmt: skip


def updates(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of `WeightUpdate`."""
    return WeightUpdate.cast(pl.DataFrame(rows))


def evaluations(
    counts: Mapping[str, ArrayLike], *, n: int | Mapping[str, int] = 16, benchmark: str = "rows"
) -> pl.DataFrame:
    """Rows of `Evaluation`: how many of `n` samples are right, [seeds, questions] by model; one sample is cut off."""
    rows = [
        {
            "model": model, "seed": seed, "benchmark": benchmark, "kind": DOMAINS[benchmark],
            "question_id": f"{benchmark}-{question:03}", "n": n if isinstance(n, int) else n[model], "c": int(count),
            "formatted": 0, "finished": (n if isinstance(n, int) else n[model]) - 1, "tokens": 0,
        }
        for model, cells in counts.items()
        for seed, of_seed in enumerate(np.atleast_2d(np.asarray(cells)))
        for question, count in enumerate(of_seed)
    ]  # fmt: skip
    return Evaluation.cast(pl.DataFrame(rows))
