"""Scores of the ways to answer that Figure 11 compares, by question: accuracy against tokens.

The ways are named as they are shown: `thinking`, `budget 32` and so on, `no_thinking`, `summary`, `control`.
"""

import polars as pl

from raml.evaluation.metrics import avg_at_k, pass_at_k

BUDGET = "budget "


def metric_names(k: int) -> tuple[str, str]:
    """The two metrics of Figure 11."""
    return f"Avg@{k}", f"Pass@{k}"


def way_scores(answers: pl.DataFrame, k: int) -> pl.DataFrame:
    """The scores of each way to answer each question.

    Args:
        answers: rows of `schemas.ForcedAnswer`.
        k: of Pass@k; Avg@k is the mean over all answers.

    Returns:
        A row for each model, seed, question and way with answers: `model`, `seed`, `benchmark`, `kind`, `question_id`,
        `way`, `n` answers, `c` right ones, `thinking_tokens` and `tokens` (means of an answer), and the columns of
        `metric_names`; Pass@k is null where leaks leave fewer than k answers.
    """
    way = pl.when(pl.col("method") == "budget").then(pl.format(BUDGET + "{}", "variant")).otherwise(pl.col("method"))
    keys = ["model", "seed", "benchmark", "kind", "question_id", "way"]
    table = (
        answers.filter(~pl.col("leaked"))
        .with_columns(way=way.cast(pl.String), tokens=pl.col("thinking_tokens") + pl.col("answer_tokens"))
        .group_by(keys)
        .agg(
            n=pl.len().cast(pl.Int32),
            c=pl.col("correct").sum().cast(pl.Int32),
            thinking_tokens=pl.col("thinking_tokens").mean(),
            tokens=pl.col("tokens").mean(),
        )
        .sort(keys)
    )
    n, c = table["n"].to_numpy(), table["c"].to_numpy()
    average, best = metric_names(k)
    enough = n >= k
    passed = pl.Series(best, pass_at_k(n.clip(min=k), c, k)) if table.height else pl.Series(best, [], pl.Float64)
    return table.with_columns(
        pl.Series(average, avg_at_k(n, c, n)), passed.zip_with(pl.Series(enough), pl.Series([None], dtype=pl.Float64))
    )
