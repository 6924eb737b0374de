"""The test `trend`: do Pass@k and mG-Pass@k rise with a dose, in every series of models that differ in it alone?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import page_trend_test

from raml.claims.decision import WORST_FIRST, Decision, as_json, in_words, interval_or_none, judge
from raml.claims.dose_ranks import Blocks, blocks, informative_cells, informative_questions, rank
from raml.claims.evidence import Condition, all_of
from raml.claims.leads import CEILING, FLOOR, METRICS, metric_names, not_evaluated
from raml.claims.result import Verdict
from raml.claims.sections import Trend
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.runs import Series

UNIT = "Spearman's rho"


@dataclass(frozen=True)
class _Benchmark:
    """Of one metric on one benchmark the mean rho, each dose's mean score and the share of constant blocks."""

    rho: Interval | None
    scores: list[float]
    constant: float
    questions: int
    decides: bool


@dataclass(frozen=True)
class _Rise:
    """One metric along one series.

    `table` has a row a block that decides, with its `rho` and `constant` (of `raml.claims.dose_ranks.Ranks`), `slope`
    (score per doubling of the dose) and, of the doses in turn, `score_0`, `score_1` .. and the ranks `rank_0` ..;
    `questions` are those with a block that is not constant.
    """

    series: str
    metric: str
    doses: list[float]
    table: pl.DataFrame
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
    the smallest rho. A block whose models all score alike says nothing of their order and is left out: the reason says
    how many do, and with too few questions that have another block the claim is inconclusive. It also names benchmarks
    at the floor or saturated at every dose, those on the other side of the line, and those that `test.left_out` keeps
    from deciding, which remain in the details.

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
    left_out = {name: _left_out(test, name, one) for name, one in found.items()}
    rises = {
        name: [_rise(test, name, series[name].doses, found[name], metric, k, bootstrap) for metric in metric_names(k)]
        for name in test.series
    }
    every = [rise for of_series in rises.values() for rise in of_series]
    shown = min(every, key=lambda rise: (WORST_FIRST.index(rise.verdict), rise.rho.estimate if rise.rho else 0.0))
    reasons = [clause for rise in every for clause in _in_words(rise, test.minimal_effect)]
    reasons += [
        f"{name} leaves out {', '.join(absent)}, which decides nothing" for name, absent in left_out.items() if absent
    ]
    n = {
        "questions": shown.questions,
        "samples": sum(_samples(table, series[name].models, left_out[name]) for name in test.series),
        "seeds": shown.table["seed"].n_unique(),
        "blocks": sum(of_series[0].table.height for of_series in rises.values()),
    }
    details: dict[str, object] = {
        "minimal_effect": test.minimal_effect,
        "series": {
            name: {
                "doses": series[name].doses,
                "models": series[name].models,
                "left_out": left_out[name],
                "incomplete_blocks": found[name].incomplete,
                **{rise.metric: _details(rise, test, bootstrap) for rise in rises[name]},
            }
            for name in test.series
        },
    }
    evidence = all_of(
        [
            Condition(rise.rho, rise.verdict, "above", test.minimal_effect, rise.questions, test.min_questions)
            for rise in every
        ]
    )
    unit = f"{UNIT}, {shown.series} {shown.metric}"
    return Decision(shown.verdict, "; ".join(reasons), shown.rho, unit, n, details, evidence)


def _left_out(test: Trend, name: str, of_series: Blocks) -> list[str]:
    """The benchmarks of a series that decide nothing, of those that it was evaluated on."""
    return sorted(set(test.left_out.get(name, [])) & set(of_series.keys["benchmark"]))


def _samples(table: pl.DataFrame, models: Sequence[str], left_out: Sequence[str]) -> int:
    """Of all models on the benchmarks that decide."""
    return int(table.filter(pl.col("model").is_in(models), ~pl.col("benchmark").is_in(left_out))["n"].sum())


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
        *(pl.Series(f"rank_{place}", ranks.ranks[:, place], dtype=pl.Float64) for place in range(len(doses))),
    )
    left_out = _left_out(test, name, of_series)
    benchmarks = {
        str(benchmark): _Benchmark(
            rho=_mean_rho(rows, bootstrap, "trend", name, metric, "benchmark", str(benchmark)),
            scores=[float(_by_seed(rows, place).mean()) for place in range(len(doses))],
            constant=_constant(rows),
            questions=informative_questions(rows),
            decides=benchmark not in left_out,
        )
        for (benchmark,), rows in table.sort("benchmark").group_by("benchmark", maintain_order=True)
    }
    deciding = table.filter(~pl.col("benchmark").is_in(left_out))
    rho, questions = _mean_rho(deciding, bootstrap, "trend", name, metric), informative_questions(deciding)
    verdict, reason = judge(rho, "above", test.minimal_effect, questions, test.min_questions)
    if rho is None or questions < test.min_questions:
        reason = (
            f"{questions} of {deciding['question_id'].n_unique()} questions on which models score unlike; the test "
            f"asks for at least {test.min_questions}"
        )
    return _Rise(name, metric, list(doses), deciding, rho, verdict, reason, questions, benchmarks)


def _mean_rho(rows: pl.DataFrame, bootstrap: Bootstrap, *labels: str) -> Interval | None:
    """Over the blocks that are not constant; None with fewer than two questions that have one."""
    rho = interval_or_none(informative_cells(rows), bootstrap, *labels)
    return rho and rho.within(-1, 1)


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
                "decides": one.decides,
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

    Constant blocks are left out here too. Over blocks it takes every question of every seed for independent, which
    overstates the evidence where trained models differ by chance. Over seeds each seed's mean scores are one block:
    few, but independent.
    """
    places = np.arange(len(rise.doses)) - (len(rise.doses) - 1) / 2
    unlike = rise.table.filter(pl.col("constant") < 1)
    if len(places) < 3 or unlike.height < 2:
        return None
    ranks = unlike.select(f"rank_{place}" for place in range(len(places))).to_numpy()
    ranks = ranks.clip(1, len(places))  # expectations may miss 1 and J by rounding
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
    clauses = [f"{name}: mean rho {rise.reason}, {_constant_in_words(rise)}"]
    for benchmark, one in rise.benchmarks.items():
        if not one.decides:
            continue
        if max(one.scores) < FLOOR:
            clauses.append(f"{name} is at the floor on {benchmark} at every dose (at most {max(one.scores):.1%})")
        elif min(one.scores) > CEILING:
            clauses.append(f"{name} is saturated on {benchmark} at every dose (at least {min(one.scores):.1%})")
        elif one.rho and rise.rho and _is_across(one.rho, rise.rho.estimate, line):
            clauses.append(f"{name} on {benchmark} by itself: mean rho {in_words(one.rho)}")
    return clauses


def _constant_in_words(rise: _Rise) -> str:
    """`60% of blocks constant and left out (50% at the floor, 2% saturated)`."""
    score = pl.mean_horizontal(f"score_{place}" for place in range(len(rise.doses)))
    ends = {"at the floor": score < FLOOR, "saturated": score > CEILING}
    height = max(rise.table.height, 1)
    shares = {name: float(rise.table.filter(which)["constant"].sum()) / height for name, which in ends.items()}
    at_ends = ", ".join(f"{share:.0%} {name}" for name, share in shares.items() if share > 0)
    return f"{_constant(rise.table):.0%} of blocks constant and left out" + (f" ({at_ends})" if at_ends else "")


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
