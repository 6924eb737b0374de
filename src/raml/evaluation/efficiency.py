"""Scores of the ways to answer that Figure 11 compares, by question: accuracy against tokens.

The ways are named as they are shown: `thinking`, `budget 32` and so on, `no_thinking`, `summary`, `control`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from raml.evaluation.metrics import avg_at_k, pass_at_k

TOKENS = "tokens"
BUDGET = "budget "


@dataclass(frozen=True)
class AtTokens:
    """A point of the line of budgets: `share` of the way from one budget to the next, named as ways are."""

    lower: str
    upper: str
    share: float


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


def budgets_of(scores: pl.DataFrame) -> list[str]:
    """The ways of `scores` (of `way_scores`) that are budgets, by rising budget."""
    found = [way for way in scores["way"].unique() if way.startswith(BUDGET)]
    return sorted(found, key=lambda way: int(way.removeprefix(BUDGET)))


def mean_tokens(scores: pl.DataFrame, way: str) -> float | None:
    """Tokens of an answer, the mean over questions of the mean over seeds; None if there is none."""
    means = scores.filter(pl.col("way") == way).group_by("question_id").agg(pl.col(TOKENS).mean()).sort("question_id")
    return float(means[TOKENS].to_numpy().mean()) if means.height else None


def budget_at(scores: pl.DataFrame, tokens: float) -> AtTokens | None:
    """Where the line of budgets has so many tokens on average; None if it begins with more or ends with fewer."""
    known = [(way, mean) for way in budgets_of(scores) if (mean := mean_tokens(scores, way)) is not None]
    for (lower, few), (upper, many) in pairwise(known):
        if few <= tokens <= many and few < many:
            return AtTokens(lower, upper, (tokens - few) / (many - few))
    return None


def on_the_line(scores: pl.DataFrame, at: AtTokens, metrics: Sequence[str]) -> pl.DataFrame:
    """`seed`, `question_id`, `benchmark` and `metrics` of each question at a point between two budgets."""
    keys = ["seed", "question_id", "benchmark"]
    lower, upper = (scores.filter(pl.col("way") == way).select(*keys, *metrics) for way in (at.lower, at.upper))
    both = lower.join(upper, on=keys, suffix="_upper")
    between = [((1 - at.share) * pl.col(name) + at.share * pl.col(f"{name}_upper")).alias(name) for name in metrics]
    return both.select(*keys, *between)
