"""How many different solutions the training questions have: what a number of trajectories in SFT can consist of."""

from collections.abc import Sequence

import polars as pl

from raml.claims.quantities.table import by_question
from raml.config import SFT


def solution_quantities(
    style: str, trajectories: pl.DataFrame, questions: pl.DataFrame, settings: SFT, numbers: Sequence[float]
) -> pl.DataFrame:
    """For each of `numbers` whether a question has so many different solutions, and how many of them SFT trains on.

    Counted are trajectories that SFT can take: correct, finished and within its limits. A question without any is in no
    training and has no rows.

    Args:
        style: of the trajectories; it stands for the model.
        trajectories: rows of `schemas.Trajectory`.
        questions: rows of `schemas.Question`, of which the families stand for benchmarks.
        settings: with the longest prompt and completion.
        numbers: of different trajectories that are asked for.
    """
    usable = trajectories.filter(
        pl.col("correct"),
        pl.col("finished"),
        pl.col("prompt_ids").list.len() <= settings.max_prompt_tokens,
        pl.col("n_tokens") <= settings.max_tokens,
    )
    counted = (
        usable.group_by("question_id")
        .agg(pl.col("token_ids").n_unique().alias("different"), pl.len().cast(pl.Int64).alias("all"))
        .join(questions.select(question_id="id", benchmark="family").unique(), on="question_id", how="left")
        .with_columns(pl.col("benchmark").fill_null("unknown"), model=pl.lit(style), seed=pl.lit(0, pl.Int64))
    )
    different = pl.col("different")
    values = {f"solutions@{number:g}": different >= number for number in numbers}
    values |= {f"seen@{number:g}": different.clip(upper_bound=int(number)) for number in numbers}
    return by_question(counted, values, n=pl.col("all"))
