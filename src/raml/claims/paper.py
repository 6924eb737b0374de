"""How far what was measured lies from what the paper reports: at published scales, whose questions are the paper's.

Intervals are those of the measured numbers, over questions and training seeds. The paper asked the same questions once,
so part of an interval's width does not concern the difference; whether it is within the tolerance is a matter of
the difference itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from raml.claims.decision import interval_or_none
from raml.claims.leads import METRICS
from raml.claims.registry import Claim, Registry, tolerance_of
from raml.evaluation.efficiency import metric_names, way_scores
from raml.evaluation.intervals import Bootstrap, Interval, cells

MODELS = {"sft_then_grpo": "sft_grpo"}  # of ours, where the paper's name is another
BENCHMARKS = {"LiveMathBench-Hard": "LiveMathBench-Hard-en"}
WAYS = {"thinking": "thinking", "summarised": "summary", "no_thinking": "no_thinking"}
SCORES = {"P8": ("Pass@8", METRICS[0]), "mG8": ("mG-Pass@8", METRICS[1])}
ANSWERS = {"Avg16": 0, "P16": 1}  # which of `efficiency.metric_names(16)`


@dataclass(frozen=True)
class Comparison:
    """One reported number beside ours, all in its unit; `interval` is that of `difference`, measured less reported."""

    key: str
    reported: float
    measured: float
    difference: float
    interval: tuple[float, float]
    tolerance: float
    within: bool


def compare(
    claim: Claim, registry: Registry, tables: Mapping[str, pl.DataFrame], bootstrap: Bootstrap
) -> list[Comparison]:
    """Every number that the paper reports for `claim` and this scale has measured, in the registry's order.

    Args:
        claim: of the registry.
        registry: for the reported numbers.
        tables: `evaluations`, `answers` and `roles` of a published scale, as `raml.claims.decide` reads them.
        bootstrap: how intervals are made.
    """
    model = getattr(claim.test, "model", None)
    found = []
    for key, reported in registry.numbers_of(claim).items():
        measured, tolerance = _measure(key, model, tables, bootstrap), tolerance_of(claim, key)
        if measured is not None and tolerance is not None:
            difference = measured.estimate - reported
            interval = (measured.lower - reported, measured.upper - reported)
            within = abs(difference) <= tolerance
            found.append(Comparison(key, reported, measured.estimate, difference, interval, tolerance, within))
    return found


def _measure(key: str, model: str | None, tables: Mapping[str, pl.DataFrame], bootstrap: Bootstrap) -> Interval | None:
    """Our number in the place of the reported one at `key`, in its unit; None where this scale has none."""
    match key.split("."):
        case ["table2" | "table3", technique, benchmark, metric]:
            where = BENCHMARKS.get(benchmark, benchmark)
            return _percent(_score(tables["evaluations"], MODELS.get(technique, technique), where, metric, bootstrap))
        case ["figure11", benchmark, metric, way] if model:
            answers = tables["answers"].filter(pl.col("model") == model, pl.col("benchmark") == benchmark)
            return _percent(_answered(answers, metric, WAYS[way], bootstrap))
        case ["figure6", word]:
            return _changed(tables["roles"], word, bootstrap)
    return None


def _score(table: pl.DataFrame, model: str, benchmark: str, metric: str, bootstrap: Bootstrap) -> Interval | None:
    """As in the metric table: Pass@8 or mG-Pass@8 of a model with at least 8 samples a question."""
    rows = table.filter(pl.col("model") == model, pl.col("benchmark") == benchmark)
    if rows.is_empty() or int(rows["n"].to_numpy().min()) < 8:
        return None
    name, score = SCORES[metric]
    values = score(rows["n"].to_numpy(), rows["c"].to_numpy(), 8)
    of_cells = cells(rows.with_columns(pl.Series(name, values)), name)
    return interval_or_none(of_cells, bootstrap, model, benchmark, name)


def _answered(answers: pl.DataFrame, metric: str, way: str, bootstrap: Bootstrap) -> Interval | None:
    """Avg@16 or Pass@16 of one way to answer; None without 16 answers to a question."""
    name = metric_names(16)[ANSWERS[metric]]
    scores = way_scores(answers, 16).filter(pl.col("way") == way, pl.col("n") >= 16)
    return interval_or_none(cells(scores, name), bootstrap, "against_reported", way, name) if scores.height else None


def _changed(changes: pl.DataFrame, word: str, bootstrap: Bootstrap) -> Interval | None:
    """Mean relative change at a word's tokens, `avg` at all: over a question's tokens, then over questions."""
    known = changes.drop_nulls("relative_change")
    rows = known if word == "avg" else known.filter(pl.col("token").str.strip_chars() == word)
    value = "relative_change"
    return interval_or_none(cells(rows, value), bootstrap, "against_reported", word) if rows.height else None


def _percent(share: Interval | None) -> Interval | None:
    """A share of 1, cut to what it can be, in percent."""
    if share is None:
        return None
    cut = share.within(0, 1)
    return Interval(100 * cut.estimate, 100 * cut.lower, 100 * cut.upper)
