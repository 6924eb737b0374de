"""Count correct samples: sample files and benchmark questions in, one `Evaluation` row a question out.

The model is a file's `writer`, the training seed is in its provenance, so that a file cannot be counted
for the wrong model or seed.

    python -m raml.evaluation.score --scale S --config '<evaluation>' \
        --samples results/S/evaluations/samples/seed*/*.parquet --benchmarks B --out O
"""

from pathlib import Path

import polars as pl

from raml.config import Evaluation as Settings
from raml.errors import DataError
from raml.schemas import Evaluation, Question, Trajectory
from raml.step import Step, run
from raml.storage import read_provenance, read_table, write_table

KEY = ["model", "seed", "benchmark", "question_id"]


def main(step: Step[Settings]) -> None:
    """Score every sample file and write the evaluations of all models and seeds."""
    benchmarks = read_table(step.files["benchmarks"], Question)
    if (benchmarks["kind"] == "train").any():
        raise DataError(f"{step.files['benchmarks']} holds training questions; models are scored on benchmarks only")
    scored = pl.concat([score(path, benchmarks, step.config.n, step.scale) for path in step.lists["samples"]])
    repeated = scored.filter(scored.select(KEY).is_duplicated()).select("model", "seed").unique()
    if not repeated.is_empty():
        model, seed = repeated.row(0)
        raise DataError(f"--samples: two files hold model {model!r} with training seed {seed}; give one of them")
    write_table(scored.sort(KEY), Evaluation, step.files["out"], step.provenance())


def score(path: Path, benchmarks: pl.DataFrame, n: int, scale: str) -> pl.DataFrame:
    """Counts of one sample file in the columns of `Evaluation`, one row for each benchmark question.

    Args:
        path: samples of one model with one training seed.
        benchmarks: the questions, all benchmarks together.
        n: samples that each question must have.
        scale: the scale that the file must belong to.

    Raises:
        DataError: of another scale, several writers, no training seed, or not `n` samples of each question.
    """
    samples = read_table(path, Trajectory)
    origin = read_provenance(path)
    writers = samples["writer"].unique().sort().to_list()
    if origin.scale != scale:
        raise DataError(f"{path} belongs to scale {origin.scale!r}, expected {scale!r}; results do not mix")
    if origin.seed is None:
        raise DataError(f"{path} carries no training seed in its metadata; sample again")
    if len(writers) != 1:
        raise DataError(f"{path} must hold samples of one model, found {writers or 'none'}")
    counts = samples.group_by("question_id").agg(
        pl.len().cast(pl.Int32).alias("n"),
        pl.col("correct", "formatted", "finished").sum().cast(pl.Int32),
        pl.col("n_tokens").sum().cast(pl.Int64).alias("tokens"),
    )
    _check_complete(path, counts, benchmarks, n)
    questions = benchmarks.select("kind", pl.col("split").alias("benchmark"), pl.col("id").alias("question_id"))
    labels = [pl.lit(writers[0]).alias("model"), pl.lit(origin.seed, dtype=pl.Int64).alias("seed")]
    joined = questions.join(counts, on="question_id").with_columns(labels).rename({"correct": "c"})
    return Evaluation.cast(joined.select(Evaluation.column_names()))


def _check_complete(path: Path, counts: pl.DataFrame, benchmarks: pl.DataFrame, n: int) -> None:
    unknown = set(counts["question_id"]) - set(benchmarks["id"])
    missing = set(benchmarks["id"]) - set(counts["question_id"])
    if unknown or missing:
        problem, name = ("is no benchmark question", min(unknown)) if unknown else ("has no samples", min(missing))
        raise DataError(f"{path} does not fit the benchmarks: question {name!r} {problem}; sample again")
    wrong = counts.filter(pl.col("n") != n).sort("question_id")
    if not wrong.is_empty():
        name, found = wrong.select("question_id", "n").row(0)
        raise DataError(f"{path}: question {name!r} has {found} samples, evaluation.n asks for {n}; sample again")


if __name__ == "__main__":
    run(main, Settings, inputs=["benchmarks"], many=["samples"], outputs=["out"])
