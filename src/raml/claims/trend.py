"""The test `trend`: do Pass@k and mG-Pass@k rise with a dose, in every series of models that differ in it alone?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import page_trend_test

from raml.claims.decision import WORST_FIRST, Decision, as_json, in_words, interval_or_none, judge
from raml.claims.dose_ranks import Blocks, Ranks, blocks, rank
from raml.claims.leads import CEILING, FLOOR, METRICS, metric_names, not_evaluated
from raml.claims.registry import Trend
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.runs import Series
from raml.schemas import Verdict

UNIT = "Spearman's rho"


@dataclass(frozen=True)
class _Benchmark:
    """Of one metric on one benchmark the mean rho, each dose's mean score and the share of constant blocks."""

    rho: Interval | None
    scores: list[float]
    constant: float
    questions: int


@dataclass(frozen=True)
class _Rise:
    """One metric along one series.

    `table` has a row a block with its `rho`, `slope` (score per doubling of the dose), `constant` and, of the doses in
    turn, `score_0`, `score_1` and so on.
    """

    series: str
    metric: str
    doses: list[float]
    table: pl.DataFrame
    ranks: Ranks
    rho: Interval | None
    verdict: Verdict
    reason: str
    questions: int
    benchmarks: dict[str, _Benchmark]


def decide(
    test: Trend, evaluations: pl.DataFrame, series: Mapping[str, Series], k: int, bootstrap: Bootstrap
) -> Decision:
    """Decide by the mean over questions of Spearman's rho between the dose and the score within each block.

    A block is a question under the models of one training seed. Trained models differ by chance as well, all
    questions of a seed together: the interval has that from the seeds' spread, as everywhere. Models with more samples
    than others are compared as if they had as few (`raml.claims.dose_ranks`). Both metrics in every series must
    rise; one that is contradicted contradicts the claim, and shown is the one with the worst verdict, at equal verdicts
    the smallest rho. A block whose models all score alike counts 0, which pulls rho towards 0: the reason says how
    many do, and names benchmarks at the floor or saturated at every dose and those on the other side of the line.

    Args:
        test: which series, on which kinds of benchmarks, and where the line lies.
        evaluations: rows of `schemas.Evaluation`.
        series: by name the models of each dose, ascending.
        k: of both metrics.
        bootstrap: how intervals are made.
    """
    if missing := [name for name in test.series if name not in series or len(series[name].models) < 2]:
        reason = f"this scale has no series {' and '.join(missing)} of two or more doses"
        return Decision("not_run", reason, None, UNIT, {}, {})
    table = evaluations.filter(pl.col("kind").is_in(test.kinds))
    models = [model for name in test.series for model in series[name].models]
    if absent := not_evaluated(table, models, test.kinds, UNIT):
        return absent
    found = {name: blocks(table, series[name].models) for name in test.series}
    rises = {
        name: [_rise(test, name, series[name].doses, found[name], metric, k, bootstrap) for metric in metric_names(k)]
        for name in test.series
    }
    every = [rise for of_series in rises.values() for rise in of_series]
    shown = min(every, key=lambda rise: (WORST_FIRST.index(rise.verdict), rise.rho.estimate if rise.rho else 0.0))
    reasons = [clause for rise in every for clause in _in_words(rise, test.minimal_effect)]
    n = {
        "questions": min(rise.questions for rise in every),
        "samples": int(table.filter(pl.col("model").is_in(models))["n"].sum()),
        "seeds": min(rise.table["seed"].n_unique() for rise in every),
        "blocks": sum(one.keys.height for one in found.values()),
    }
    details: dict[str, object] = {
        "minimal_effect": test.minimal_effect,
        "series": {
            name: {
                "doses": series[name].doses,
                "models": series[name].models,
                "incomplete_blocks": found[name].incomplete,
                **{rise.metric: _details(rise, test, bootstrap) for rise in rises[name]},
            }
            for name in test.series
        },
    }
    return Decision(shown.verdict, "; ".join(reasons), shown.rho, f"{UNIT}, {shown.series} {shown.metric}", n, details)


def _rise(
    test: Trend, name: str, doses: Sequence[float], of_series: Blocks, metric: str, k: int, bootstrap: Bootstrap
) -> _Rise:
    score = partial(METRICS[metric_names(k).index(metric)], k=k)
    ranks = rank(of_series.n, of_series.c, score)
    scores = score(of_series.n, of_series.c)
    doublings = np.log2(np.asarray(doses, dtype=np.float64))
    doublings -= doublings.mean()
    table = of_series.keys.with_columns(
        pl.Series("rho", ranks.rho, dtype=pl.Float64),
        pl.Series("slope", scores @ doublings / (doublings**2).sum(), dtype=pl.Float64),
        pl.Series("constant", ranks.constant, dtype=pl.Float64),
        *(pl.Series(f"score_{place}", scores[:, place], dtype=pl.Float64) for place in range(len(doses))),
    )
    rho = interval_or_none(cells(table, "rho"), bootstrap, "trend", name, metric)
    questions = table["question_id"].n_unique()
    verdict, reason = judge(rho, "above", test.minimal_effect, questions, test.min_questions)
    benchmarks = {
        str(benchmark): _Benchmark(
            rho=interval_or_none(cells(rows, "rho"), bootstrap, "trend", name, metric, "benchmark", str(benchmark)),
            scores=[float(_by_seed(rows, place).mean()) for place in range(len(doses))],
            constant=_constant(rows),
            questions=rows["question_id"].n_unique(),
        )
        for (benchmark,), rows in table.sort("benchmark").group_by("benchmark", maintain_order=True)
    }
    return _Rise(name, metric, list(doses), table, ranks, rho, verdict, reason, questions, benchmarks)


def _details(rise: _Rise, test: Trend, bootstrap: Bootstrap) -> dict[str, object]:
    slope = interval_or_none(cells(rise.table, "slope"), bootstrap, "trend", rise.series, rise.metric, "slope")
    return {
        "verdict": rise.verdict,
        "rho": as_json(rise.rho),
        "slope_per_doubling": as_json(slope),
        "constant_blocks": _constant(rise.table),
        "page": _page(rise),
        "scores": _by_dose(rise, bootstrap),
        "benchmarks": {
            name: {
                "rho": as_json(one.rho),
                "questions": one.questions,
                "constant_blocks": one.constant,
                "scores": one.scores,
                "verdict": judge(one.rho, "above", test.minimal_effect, one.questions, test.min_questions)[0],
            }
            for name, one in rise.benchmarks.items()
        },
    }


def _page(rise: _Rise) -> dict[str, object] | None:
    """Page's trend test, one-sided; None with fewer than three doses, for which there is none.

    Over blocks it takes every question of every seed for independent, which overstates the evidence where trained
    models differ by chance. Over seeds each seed's mean scores are one block: few, but independent.
    """
    places = np.arange(len(rise.doses)) - (len(rise.doses) - 1) / 2
    if len(places) < 3 or rise.table.height < 2:
        return None
    ranks = rise.ranks.ranks.clip(1, len(places))  # expectations may miss 1 and J by rounding
    seeds = np.stack([_by_seed(rise.table, place) for place in range(len(places))], axis=1)
    return {
        "L_rescaled": float((ranks @ places).mean() / (places**2).sum()),
        "p_over_blocks": float(page_trend_test(ranks, ranked=True, method="asymptotic").pvalue),
        "p_over_seeds": float(page_trend_test(seeds).pvalue) if len(seeds) > 1 else None,
    }


def _by_dose(rise: _Rise, bootstrap: Bootstrap) -> list[dict[str, object]]:
    """The mean score of each dose and how far training seeds lie apart (standard deviation of their means)."""
    found: list[dict[str, object]] = []
    for place, dose in enumerate(rise.doses):
        labels = ("trend", rise.series, rise.metric, "dose", f"{dose:g}")
        score = interval_or_none(cells(rise.table, f"score_{place}"), bootstrap, *labels)
        seeds = _by_seed(rise.table, place)
        found.append(
            {
                "dose": dose,
                "score": as_json(score and score.within(0, 1)),
                "sd_between_seeds": float(seeds.std(ddof=1)) if len(seeds) > 1 else None,
            }
        )
    return found


def _in_words(rise: _Rise, line: float) -> list[str]:
    """The clauses of the reason that are about one metric along one series."""
    name = f"{rise.series} {rise.metric}"
    clauses = [f"{name}: mean rho {rise.reason}, {_constant(rise.table):.0%} of blocks constant"]
    for benchmark, one in rise.benchmarks.items():
        if max(one.scores) < FLOOR:
            clauses.append(f"{name} is at the floor on {benchmark} at every dose (at most {max(one.scores):.1%})")
        elif min(one.scores) > CEILING:
            clauses.append(f"{name} is saturated on {benchmark} at every dose (at least {min(one.scores):.1%})")
        elif one.rho and rise.rho and _is_across(one.rho, rise.rho.estimate, line):
            clauses.append(f"{name} on {benchmark} by itself: mean rho {in_words(one.rho)}")
    return clauses


def _is_across(one: Interval, pooled: float, line: float) -> bool:
    """Whether the whole interval lies on the other side of `line` than `pooled`."""
    return one.upper < line if pooled > line else one.lower > line


def _by_seed(rows: pl.DataFrame, place: int) -> NDArray[np.float64]:
    """The mean score of the dose at `place` in each seed, [seeds]."""
    means = rows.group_by("seed").agg(pl.col(f"score_{place}").mean()).sort("seed")
    return means[f"score_{place}"].to_numpy()


def _constant(rows: pl.DataFrame) -> float:
    """The share of blocks whose models all score alike; 0 without blocks."""
    return float(rows["constant"].to_numpy().mean()) if rows.height else 0.0
