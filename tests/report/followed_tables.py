"""Tables of trajectories with known curves, landscapes and samples, and the effects of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from raml.claims.effects import EffectTable, Quantities, effect_table, every, pairs
from raml.claims.quantities.curves import curve_quantities
from raml.claims.quantities.landscape import landscape_quantities
from raml.claims.quantities.table import complete
from raml.evaluation.intervals import Bootstrap
from raml.report.raw import Followed
from raml.report.shown import Effects
from raml.schemas import LandscapePoint, ProbeCurve, Question, Trajectory, column_types
from raml.storage import Provenance, write_table
from raml.trajectories.engine import PROGRAM
from raml.trajectories.tokenizer import build_tokenizer

HOSTILE = "<script>alert('&\"\\')</script> \u202e\U0001f600 {{ 1 }}"
NAMES = (f"rows-00 {HOSTILE}", *(f"rows-{number:02d}" for number in range(1, 6)))
SAMPLES = 5  # of each outcome
SIZE = 21
AXIS = np.linspace(-1, 1, SIZE)
X, Y = np.meshgrid(AXIS, AXIS)  # [y, x]
BOWL = 0.5 + 5 * ((X - 0.2) ** 2 + (Y + 0.3) ** 2)


def question_table(names: Iterable[str] = NAMES) -> pl.DataFrame:
    fixed = {"source": "raml", "family": "rows", "domain": "arithmetic", "split": "rows", "kind": "in_domain"}
    fixed |= {"answer_type": "integers", "metadata": "{}"}
    rows = [fixed | {"id": name, "prompt": f"A {HOSTILE} ?", "answer": "7", "difficulty": 1} for name in names]
    return Question.cast(pl.DataFrame(rows).select(Question.column_names()))


def curve_table(
    seeds: Sequence[int] = (0, 1), *, model: str = "sft_long", share: float = 0.5, stride: int = 1, length: int = 6
) -> pl.DataFrame:
    """Thinking curves from 8 to 0 (correct) or 4 nats; no-thinking ones are at 0.4 of that after the first token."""
    ids = build_tokenizer().get_vocab()
    rows = []
    for seed in seeds:
        noise = np.random.default_rng(seed)
        for question in NAMES:
            for sample in range(2 * SAMPLES):
                correct, tokens = sample < 2 * SAMPLES * share, length + sample % 3
                nll = np.abs(np.linspace(8, 0 if correct else 4, tokens + 1) + noise.normal(0, 0.2, tokens + 1))
                row: dict[str, Any] = {"trajectory_id": f"{question}/{model}/{sample}", "question_id": question}
                row |= {"benchmark": "rows", "model": model, "seed": seed, "answer": "7", "correct": correct}
                for at in range(0, tokens + 1, stride):
                    point = row | {"position": at, "length": tokens, "token_id": ids[str(at)] if at else None}
                    fast = nll[at] * (0.4 if at else 1) + (at == tokens)
                    rows += [point | {"mode": "thinking", "nll": nll[at]}, point | {"mode": "no_thinking", "nll": fast}]
    return ProbeCurve.cast(pl.DataFrame(rows, infer_schema_length=None).select(ProbeCurve.column_names()))


def landscape_table(names: Sequence[str] = NAMES, seeds: Sequence[int] = (0, 1)) -> pl.DataFrame:
    """Bowls of 0.5 to 12 nats with their lowest point beside the centre."""
    row, column = np.indices((SIZE, SIZE))
    places = {"row": row.ravel(), "column": column.ravel(), "x": X.ravel(), "y": Y.ravel(), "nll": BOWL.ravel()}
    frames = [
        pl.DataFrame({"question_id": name, "benchmark": "rows", "model": "sft_long", "seed": seed, **places})
        for seed in seeds
        for name in names
    ]
    return LandscapePoint.cast(pl.concat(frames)) if frames else LandscapePoint.create_empty()


def sample_table(seed: int, model: str = "sft_long") -> pl.DataFrame:
    """The samples behind `curve_table`; of each question one too long, two without thinking and one cut off besides."""
    ids = build_tokenizer().get_vocab()
    fixed = {"writer": model, "seed": seed, **PROGRAM.columns(), "prompt_ids": [1], "text": "", "thinking_start": 0}
    rows = []
    for question in NAMES:
        for sample in range(2 * SAMPLES + 4):
            extra = sample - 2 * SAMPLES
            length, ended = {0: 250, 1: 0, 2: 0, 3: 100}.get(extra, 6 + sample % 3), extra != 3
            tokens = [ids[str(sample % 20)]] * (length + 1)
            row = fixed | {"question_id": question, "sample": sample, "token_ids": tokens, "n_tokens": len(tokens)}
            row |= {"loss_mask": [True] * len(tokens), "thinking_end": length, "finished": ended, "formatted": ended}
            row |= {"answer_start": length if ended else None, "answer_end": length + 1 if ended else None}
            rows.append(row | {"correct": sample < SAMPLES or extra == 1, "reward": 0.0})
    return Trajectory.cast(pl.DataFrame(rows, schema=column_types(Trajectory)))


def effects_table(curves: pl.DataFrame, landscape: pl.DataFrame | None = None) -> pl.DataFrame:
    """The effects of such tables, as the claims take them."""
    parts = [curve_quantities(curves)]
    if landscape is not None and not landscape.is_empty():
        parts.append(landscape_quantities(curves, landscape))
    quantities = Quantities(complete(pl.concat(parts), {"rows": "in_domain"}), Bootstrap(0, 50, 0.95))
    specs = [*every(quantities), *pairs(quantities, ["sft_long", "base"], [])]
    return effect_table(map(quantities.effect, specs))


def effects(curves: pl.DataFrame) -> Effects:
    return Effects(effects_table(curves))


def followed(curves: pl.DataFrame, landscape: pl.DataFrame | None = None, skipped: str = "") -> Followed:
    points = curves.with_columns(pl.col("mode").cast(pl.String))
    questions = {row["id"]: row for row in question_table().iter_rows(named=True)}
    grid = landscape_table([]) if landscape is None else landscape
    return Followed(points, grid, questions, build_tokenizer().backend_tokenizer, skipped)


def write(folder: Path, name: str, table: pl.DataFrame, schema: Any = None) -> Path:
    """A table as a step reads it."""
    schemas = {"effects": EffectTable, "questions": Question, "curves": ProbeCurve}
    schemas |= {"samples": Trajectory, "landscape": LandscapePoint}
    path = folder / f"{name}.parquet"
    made_by = Provenance(scale="minimal", config_hash="c0ffee000000", code_version="0.1.0+abc", seed=0)
    write_table(table, schema or schemas[name.rstrip("0123456789")], path, made_by)
    return path
