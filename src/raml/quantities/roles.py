"""Quantities of token roles: what tokens of a role, or single words, do to the answer NLL (Figure 6).

The relative change has a heavy tail, so that claims compare by order: the probability of superiority (AUC) that the
change at a token of the role is larger than at another token of the same trajectory.
"""

from typing import Final

import polars as pl

from raml.probing.roles import OTHER, SUMMARIES, TRAJECTORY, summaries
from raml.quantities.table import NO_QUESTION, by_question, empty

ALL: Final = "all tokens"
WORDS: Final = 6
"""Of each role, the most frequent ones."""


def role_quantities(changes: pl.DataFrame) -> pl.DataFrame:
    """Of all tokens, each role and its most frequent words (`superiority/reflection: Wait`).

    By question: superiority less one half (also by outcome), the relative change, and the signed change at the token
    and at the next one. By seed, all tokens pooled as in the paper: mean, median and trimmed mean of the relative and
    of the signed change.

    Args:
        changes: rows of `schemas.TokenChange`.
    """
    signed = pl.col("after") - pl.col("before")
    table = changes.sort(*TRAJECTORY, "position").with_columns(
        signed=signed, signed_next=signed.shift(-1).over(TRAJECTORY)
    )
    parts = [empty()]
    conditions = conditions_of(changes)
    for (model, seed), of_seed in table.group_by("model", "seed", maintain_order=True):
        pooled: list[dict[str, object]] = []
        for role, condition in conditions.items():
            tokens = of_seed.filter(condition)
            for quantity, column in (("pooled change", "relative_change"), ("pooled signed change", "signed")):
                values = tokens[column].drop_nulls().to_numpy()
                if values.size:
                    found = zip(SUMMARIES, summaries(values), strict=True)
                    pooled += [_pooled(f"{quantity}/{name}/{role}", value, values.size) for name, value in found]
        parts.append(
            pl.DataFrame(pooled).with_columns(model=pl.lit(model), seed=pl.lit(seed, pl.Int64)).select(empty().columns)
        )
    for role, condition in conditions.items():
        tokens = table.filter(condition)
        by_name = {"relative change": "relative_change", "signed change": "signed", "next change": "signed_next"}
        parts.append(by_question(tokens, {f"{name}/{role}": column for name, column in by_name.items()}))
        won = superiority(changes, condition)
        parts.append(by_question(won, {f"superiority/{role}": "superiority"}))
        for outcome in ("correct", "incorrect") if ":" not in role else ():
            rows = won.filter(pl.col("correct") == (outcome == "correct"))
            parts.append(by_question(rows, {f"superiority/{role}/{outcome}": "superiority"}))
    return pl.concat(parts)


def conditions_of(changes: pl.DataFrame) -> dict[str, pl.Expr]:
    """By name the tokens meant: all, those of each role, and those of each role's most frequent words."""
    role, token = pl.col("role"), pl.col("token")
    found = {ALL: pl.lit(True)} | {str(name): role == name for name in sorted(changes["role"].unique())}
    counts = (
        changes.filter(role != OTHER)
        .group_by("role", "token")
        .len()
        .sort("role", "len", "token", descending=[False, True, False])
    )
    words = counts.group_by("role", maintain_order=True).head(WORDS)
    return found | {f"{name}: {word}": (role == name) & (token == word) for name, word, _ in words.iter_rows()}


def superiority(changes: pl.DataFrame, is_role: pl.Expr) -> pl.DataFrame:
    """Probability of superiority of a role's tokens in each trajectory that has both them and others.

    Args:
        changes: rows of `schemas.TokenChange`; undefined relative changes are left out.
        is_role: a condition on these rows, true for the role's tokens.

    Returns:
        A row a trajectory: `seed`, `model`, `trajectory_id`, `question_id`, `benchmark`, `correct`, and `superiority`:
        the share of pairs of a role's token and another one in which the former's relative change is larger (ties
        count half), less one half.
    """
    ranked = changes.drop_nulls("relative_change").with_columns(
        is_role=is_role, rank=pl.col("relative_change").rank("average").over(TRAJECTORY)
    )
    own = pl.col("is_role").sum().cast(pl.Float64)
    others = pl.len() - own
    won = pl.col("rank").filter("is_role").sum() - own * (own + 1) / 2
    return (
        ranked.group_by(TRAJECTORY, maintain_order=True)
        .agg(
            pl.col("question_id", "benchmark", "correct").first(),
            pl.when((own > 0) & (others > 0)).then(won / (own * others) - 0.5).alias("superiority"),
        )
        .drop_nulls("superiority")
    )


def _pooled(quantity: str, value: float, n: int) -> dict[str, object]:
    where = {"benchmark": "", "question_id": NO_QUESTION}
    return {"quantity": quantity, "value": float(value), "n": n, "weight": 1.0, **where}
