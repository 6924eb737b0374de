"""Quantities of answers: scores of models, their rank trends along a sweep, and scores of the ways to answer."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import polars as pl

from raml.evaluation.efficiency import metric_names, way_scores
from raml.evaluation.metrics import avg_at_n, mg_pass_at_k, pass_at_k
from raml.quantities.ranks import blocks, rank
from raml.quantities.table import by_question, empty
from raml.runs import Series


def score_quantities(evaluations: pl.DataFrame, k: int, n: int) -> pl.DataFrame:
    """Pass@k, mG-Pass@k, Avg@n and the share of samples that were cut off.

    Args:
        evaluations: rows of `schemas.Evaluation`.
        k: of the first two.
        n: samples of the main models, in the name of the third.
    """
    samples, correct = evaluations["n"].to_numpy(), evaluations["c"].to_numpy()
    scores = {
        f"Pass@{k}": pass_at_k(samples, correct, k),
        f"mG-Pass@{k}": mg_pass_at_k(samples, correct, k),
        f"Avg@{n}": avg_at_n(samples, correct),
    }
    table = evaluations.with_columns(pl.Series(name, values) for name, values in scores.items())
    cut_off = 1 - pl.col("finished") / pl.col("n")
    return by_question(table, {**{name: name for name in scores}, "cut off": cut_off}, n=pl.col("n").cast(pl.Int64))


def trend_quantities(evaluations: pl.DataFrame, series: Mapping[str, Series], k: int) -> pl.DataFrame:
    """Along each series of models, its name in place of the model's: the rank trend and the slope per doubling.

    The trend of a seed's question is Spearman's rho of the score and the value that the series varies, given that its
    models do not all score alike; its weight is the probability of that (`raml.quantities.ranks`).

    Args:
        evaluations: rows of `schemas.Evaluation`.
        series: by name the models of each value, ascending; those with fewer than two models, or with one that was not
            evaluated, have no rows.
        k: of Pass@k and mG-Pass@k.
    """
    known = set(evaluations["model"])
    parts = [empty()]
    for name, one in series.items():
        if len(one.models) < 2 or not known.issuperset(one.models):
            continue
        found = blocks(evaluations, one.models)
        keys = found.keys.with_columns(pl.lit(name).alias("model"), n=pl.Series(found.n.sum(axis=1)))
        doublings = np.log2(np.asarray(one.doses, dtype=np.float64))
        doublings -= doublings.mean()
        for metric, score in (("Pass", pass_at_k), ("mG-Pass", mg_pass_at_k)):
            ranks = rank(found.n, found.c, partial(score, k=k))
            weight = 1 - ranks.constant
            rho = np.divide(ranks.rho, weight, out=np.zeros(len(weight)), where=weight > 0)
            slope = score(found.n, found.c, k) @ doublings / (doublings**2).sum()
            trend = keys.with_columns(
                value=pl.Series(rho), weight=pl.Series(weight), quantity=pl.lit(f"trend/{metric}@{k}")
            )
            parts += [
                trend.select(empty().columns),
                by_question(keys.with_columns(value=pl.Series(slope)), {f"slope/{metric}@{k}": "value"}, n=pl.col("n")),
            ]
    return pl.concat(parts)


def answer_quantities(answers: pl.DataFrame, n: int) -> pl.DataFrame:
    """Avg@n, Pass@n, tokens and leaks of each way to answer: `sft_long/summary`, `sft_long/budget 32`.

    Args:
        answers: rows of `schemas.ForcedAnswer`.
        n: answers to a question; Pass@n has no row where leaks leave fewer.
    """
    scores = way_scores(answers, n).with_columns(model=pl.format("{}/{}", "model", "way"))
    columns = {name: name for name in (*metric_names(n), "tokens")} | {"thinking tokens": "thinking_tokens"}
    leaks = answers.filter(pl.col("method").is_in(["summary", "control"])).with_columns(
        model=pl.format("{}/{}", "model", pl.col("method").cast(pl.String))
    )
    return pl.concat(
        [by_question(scores, columns, n=pl.col("n").cast(pl.Int64)), by_question(leaks, {"leaked": "leaked"})]
    )
