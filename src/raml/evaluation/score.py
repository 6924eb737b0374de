"""Count correct samples: sample files and benchmark questions in, one `Evaluation` row a question out.

The models are a file's writers, the training seed is in its provenance, so that a file cannot be counted
for the wrong model or seed. Models of the sweeps have fewer samples than the main ones, and on fewer benchmarks.

    python -m raml.evaluation.score --scale S --config '<evaluation>' \
        --samples results/S/evaluations/samples/seed*/*.parquet --benchmarks B --out O
"""

from pathlib import Path

import polars as pl
from pydantic import Field

from raml.config import BenchmarkKind, Section
from raml.errors import DataError
from raml.schemas import Evaluation, Question, Trajectory
from raml.step import Step, run
from raml.storage import read_provenance, read_table, write_table

KEY = ["model", "seed", "benchmark", "question_id"]


class Job(Section):
    """Samples that each question of a model must have, the main models' and the sweeps'."""

    n: int = Field(gt=0)
    sweep_n: int = Field(gt=0)
    sweep_kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks that the sweeps are evaluated on")


def main(step: Step[Job]) -> None:
    """Score every sample file and write the evaluations of all models and seeds."""
    benchmarks = read_table(step.files["benchmarks"], Question)
    if (benchmarks["kind"] == "train").any():
        raise DataError(f"{step.files['benchmarks']} holds training questions; models are scored on benchmarks only")
    job = step.config
    fewer = benchmarks.filter(pl.col("kind").is_in(job.sweep_kinds))
    scored = pl.concat(
        [
            *(score(path, benchmarks, job.n, step.scale) for path in step.lists["samples"]),
            *(score(path, fewer, job.sweep_n, step.scale) for path in step.lists["sweeps"]),
        ]
    )
    repeated = scored.filter(scored.select(KEY).is_duplicated()).select("model", "seed").unique()
    if not repeated.is_empty():
        model, seed = repeated.row(0)
        raise DataError(f"--samples: two files hold model {model!r} with training seed {seed}; give one of them")
    write_table(scored.sort(KEY), Evaluation, step.files["out"], step.provenance())


def score(path: Path, benchmarks: pl.DataFrame, n: int, scale: str) -> pl.DataFrame:
    """Counts of one sample file in the columns of `Evaluation`, one row for each model and benchmark question.

    Args:
        path: samples of one or more models of one training seed.
        benchmarks: the questions, all benchmarks together.
        n: samples that each question must have.
        scale: the scale that the file must belong to.

    Raises:
        DataError: of another scale, without training seed, or not `n` samples of each question by each model.
    """
    samples = read_table(path, Trajectory)
    origin = read_provenance(path)
    if origin.scale != scale:
        raise DataError(f"{path} belongs to scale {origin.scale!r}, expected {scale!r}; results do not mix")
    if origin.seed is None:
        raise DataError(f"{path} carries no training seed in its metadata; sample again")
    if samples.is_empty():
        raise DataError(f"{path} holds no samples; sample again")
    counts = samples.group_by(pl.col("writer").alias("model"), "question_id").agg(
        pl.len().cast(pl.Int32).alias("n"),
        pl.col("correct", "formatted", "finished").sum().cast(pl.Int32),
        pl.col("n_tokens").sum().cast(pl.Int64).alias("tokens"),
    )
    for (model,), of_model in counts.group_by("model"):
        _check_complete(path, str(model), of_model, benchmarks, n)
    questions = benchmarks.select("kind", pl.col("split").alias("benchmark"), pl.col("id").alias("question_id"))
    seed = pl.lit(origin.seed, dtype=pl.Int64).alias("seed")
    joined = questions.join(counts, on="question_id").with_columns(seed).rename({"correct": "c"})
    return Evaluation.cast(joined.select(Evaluation.column_names()))


def _check_complete(path: Path, model: str, counts: pl.DataFrame, benchmarks: pl.DataFrame, n: int) -> None:
    unknown = set(counts["question_id"]) - set(benchmarks["id"])
    missing = set(benchmarks["id"]) - set(counts["question_id"])
    if unknown or missing:
        problem, name = ("is no benchmark question", min(unknown)) if unknown else ("has no samples", min(missing))
        raise DataError(f"{path} does not fit the benchmarks: {model}: question {name!r} {problem}; sample again")
    wrong = counts.filter(pl.col("n") != n).sort("question_id")
    if not wrong.is_empty():
        name, found = wrong.select("question_id", "n").row(0)
        raise DataError(
            f"{path}: {model}: question {name!r} has {found} samples, the configuration asks for {n}; sample again"
        )


if __name__ == "__main__":
    run(main, Job, inputs=["benchmarks"], many=["samples"], many_or_none=["sweeps"], outputs=["out"])
