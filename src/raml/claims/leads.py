"""Leads of one model over another in Pass@k and mG-Pass@k, paired by seed and question, pooled and by benchmark.

What the tests `best_or_level`, `beats`, `cold_start` and `not_dominated` share. Each question counts once, whatever
benchmark it is of.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from raml.claims.decision import Decision, as_json, difference_or_none, in_words, interval_or_none, judge
from raml.claims.evidence import Condition
from raml.claims.result import Side, Verdict
from raml.evaluation.intervals import Bootstrap, Interval, cells, paired_cells
from raml.evaluation.metrics import mg_pass_at_k, pass_at_k

FLOOR = 0.02  # score of a baseline below which beating it shows little, and no loss can show
CEILING = 1 - FLOOR  # above which nothing can beat it by much


METRICS = (pass_at_k, mg_pass_at_k)  # as `metric_names` has them


@dataclass(frozen=True)
class BenchmarkLead:
    """One metric on one benchmark: both models' scores by name, and their difference; None with too few questions."""

    scores: dict[str, Interval | None]
    difference: Interval | None
    questions: int

    def as_details(self) -> dict[str, object]:
        """Scores, difference and questions as a mapping."""
        scores = {name: as_json(score) for name, score in self.scores.items()}
        return {**scores, "difference": as_json(self.difference), "questions": self.questions}


@dataclass(frozen=True)
class Lead:
    """`model` less `baseline` in one metric over `questions` that both have, in `seeds` seeds; `scores` are means."""

    model: str
    baseline: str
    metric: str
    difference: Interval | None
    questions: int
    seeds: int
    scores: tuple[float, float]
    benchmarks: dict[str, BenchmarkLead]

    def condition(self, verdict: Verdict, claimed: Side, line: float, min_questions: int) -> Condition:
        """The lead as one of the conditions of a claim."""
        return Condition(self.difference, verdict, claimed, line, self.questions, min_questions)

    def benchmark_details(self, line: float, min_questions: int) -> dict[str, object]:
        """Each benchmark with the verdict on "the difference lies above `line`" of that benchmark alone.

        If a lead of 0 passes (`line` < 0), two models at the floor, or saturated, are inconclusive as in `judge_level`.
        """
        details: dict[str, object] = {}
        for name, row in self.benchmarks.items():
            verdict, _ = judge(row.difference, "above", line, row.questions, min_questions)
            known = [score.estimate for score in row.scores.values() if score]
            if line < 0 and known and _end(known):
                verdict = "inconclusive"
            details[name] = row.as_details() | {"verdict": verdict}
        return details


def metric_names(k: int) -> tuple[str, str]:
    """The two metrics that every test of scores reads."""
    return f"Pass@{k}", f"mG-Pass@{k}"


def with_metrics(evaluations: pl.DataFrame, kinds: Sequence[str], k: int) -> pl.DataFrame:
    """The rows (`schemas.Evaluation`) on benchmarks of `kinds`, each with a column for each of `metric_names(k)`."""
    table = evaluations.filter(pl.col("kind").is_in(kinds))
    n, c = table["n"].to_numpy(), table["c"].to_numpy()
    metrics = zip(metric_names(k), METRICS, strict=True)
    return table.with_columns(pl.Series(name, metric(n, c, k)) for name, metric in metrics)


def not_evaluated(table: pl.DataFrame, models: Iterable[str], kinds: Sequence[str], unit: str) -> Decision | None:
    """The decision if one of `models` has no row in `table` (of `with_metrics`), which then names it; else None."""
    present = set(table["model"].unique())
    absent = [name for name in dict.fromkeys(models) if name not in present]
    if not absent:
        return None
    reason = f"this scale has no evaluations of {' and '.join(absent)} on benchmarks of kind {list(kinds)}"
    return Decision("not_run", reason, None, unit, {}, {})


def lead(
    table: pl.DataFrame,
    model: str,
    baseline: str,
    metric: str,
    bootstrap: Bootstrap,
    *labels: str,
    between: Callable[..., Interval | None] = difference_or_none,
) -> Lead:
    """The lead of `model` over `baseline`, all questions pooled, and on each benchmark that both have.

    Args:
        table: rows of `with_metrics`.
        model: whose lead.
        baseline: over whom.
        metric: one of `metric_names`.
        bootstrap: how intervals are made.
        labels: what seeds those of differences, before the metric; scores are seeded as in the metric table.
        between: makes those of differences: `difference_or_none`, or `interval_or_none` as `best_or_level` has it,
            whose line lies far from 0 compared with what goes wrong there.
    """
    own, other = (table.filter(pl.col("model") == name) for name in (model, baseline))
    both = own.join(other, on=["seed", "question_id"], how="semi")
    benchmarks: dict[str, BenchmarkLead] = {}
    for benchmark in sorted(set(own["benchmark"]) & set(other["benchmark"])):
        on_it = {
            name: rows.filter(pl.col("benchmark") == benchmark) for name, rows in ((model, own), (baseline, other))
        }
        scores: dict[str, Interval | None] = {}
        for name, rows in on_it.items():
            score = interval_or_none(cells(rows, metric), bootstrap, name, benchmark, metric)
            scores[name] = score and score.within(0, 1)
        paired = paired_cells(on_it[model], on_it[baseline], metric)
        difference = between(paired, bootstrap, *labels, "difference", benchmark, metric)
        benchmarks[benchmark] = BenchmarkLead(scores, difference and difference.within(-1, 1), paired.shape[1])
    pooled = between(paired_cells(own, other, metric), bootstrap, *labels, metric)
    return Lead(
        model=model,
        baseline=baseline,
        metric=metric,
        difference=pooled and pooled.within(-1, 1),
        questions=both["question_id"].n_unique(),
        seeds=both["seed"].n_unique(),
        scores=(_mean(both, metric), _mean(other.join(own, on=["seed", "question_id"], how="semi"), metric)),
        benchmarks=benchmarks,
    )


def judge_level(one: Lead, claimed: Side, line: float, min_questions: int) -> tuple[Verdict, str]:
    """As `decision.judge`, for tests that a lead of 0 passes: inconclusive with both models at the floor or saturated.

    There they are level for lack of information, whatever they are worth.
    """
    verdict, reason = judge(one.difference, claimed, line, one.questions, min_questions)
    if one.difference is not None and (end := _end(one.scores)):
        scores = " and ".join(f"{score:.1%}" for score in one.scores)
        return "inconclusive", f"{reason}, but both models are {end} ({scores}), where level shows nothing"
    return verdict, reason


def _end(scores: Iterable[float]) -> str:
    """Where all of `scores` lie, if that is an end of the scale."""
    scores = list(scores)
    if max(scores) < FLOOR:
        return "at the floor"
    return "saturated" if min(scores) > CEILING else ""


def pooled_scores(
    table: pl.DataFrame, models: Iterable[str], k: int, bootstrap: Bootstrap
) -> dict[str, dict[str, dict[str, float] | None]]:
    """Each model's score over all questions of `table` (of `with_metrics`) in both metrics; None where it has none."""
    found: dict[str, dict[str, dict[str, float] | None]] = {}
    for model in models:
        rows = table.filter(pl.col("model") == model)
        scores = {
            name: interval_or_none(cells(rows, name), bootstrap, model, "pooled", name) for name in metric_names(k)
        }
        found[model] = {name: as_json(score and score.within(0, 1)) for name, score in scores.items()}
    return found


def counts(table: pl.DataFrame, leads: Sequence[Lead]) -> dict[str, int]:
    """`n` of a decision on `leads`: the fewest questions and seeds of any, and the samples of all their models."""
    models = {name for one in leads for name in (one.model, one.baseline)}
    return {
        "questions": min(one.questions for one in leads),
        "samples": int(table.filter(pl.col("model").is_in(models))["n"].sum()),
        "seeds": min(one.seeds for one in leads),
    }


def hidden(one: Lead, line: float) -> list[str]:
    """A clause for each benchmark whose own interval lies below `line` though that of all questions does not."""
    if one.difference is None or one.difference.upper < line:
        return []
    return [
        f"{name} by itself: {one.model} {one.metric} {in_words(difference)} lies below {line:+g}"
        for name, row in one.benchmarks.items()
        if (difference := row.difference) and difference.upper < line
    ]


def at_the_floor(one: Lead) -> list[str]:
    """A clause that names the benchmarks on which the baseline's score is below `FLOOR`, if there are any."""
    low = _named(one, lambda score: score < FLOOR)
    return [f"{one.baseline} is at the floor on {low}, where a comparison shows little"] if low else []


def at_the_ceiling(one: Lead) -> list[str]:
    """A clause that names the benchmarks on which the baseline's score is above `CEILING`, if there are any."""
    high = _named(one, lambda score: score > CEILING)
    return [f"{one.baseline} is saturated on {high}, where nothing can lead by much"] if high else []


def limits(leads: Iterable[Lead]) -> list[str]:
    """The clauses of `at_the_floor` and `at_the_ceiling` of `leads`, each once."""
    clauses = [clause for one in leads for clause in (*at_the_floor(one), *at_the_ceiling(one))]
    return list(dict.fromkeys(clauses))


def _mean(rows: pl.DataFrame, metric: str) -> float:
    """Over questions of the mean over seeds; 0 without rows."""
    means = rows.group_by("question_id").agg(pl.col(metric).mean()).sort("question_id")[metric].to_numpy()
    return float(means.mean()) if means.size else 0.0


def _named(one: Lead, is_meant: Callable[[float], bool]) -> str:
    """`rows (Pass@8 0.0%), path (..)`: the benchmarks on which the baseline's score is meant."""
    scores = {name: row.scores[one.baseline] for name, row in one.benchmarks.items()}
    return ", ".join(
        f"{name} ({one.metric} {score.estimate:.1%})"
        for name, score in scores.items()
        if score and is_meant(score.estimate)
    )
