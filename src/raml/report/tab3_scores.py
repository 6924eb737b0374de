"""What Table 3 compares: the models of each base, their scores, and the lead of the cold start."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import polars as pl

from raml.claims.leads import Lead, lead
from raml.config import BenchmarkKind
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap, Interval
from raml.report.scores import KINDS, Measured, Reported, bounded, pooled_score, reported_scores
from raml.report.scores_figure import Dots, Line
from raml.report.style import MODEL_COLOURS, MODEL_MARKERS
from raml.runs import Regime

ZERO: Final = "zero_grpo"
COLD: Final = "sft_grpo"
REPORTED: Final = {ZERO: "zero_grpo", COLD: "sft_then_grpo"}
"""What the paper's table calls them."""
# Roles of a regime's models with their labels and the main model whose colour and marker they have.
ROLES: Final = {
    "base": ("Base", "base"),
    "sft": ("SFT", "sft_long"),
    "zero_grpo": ("Zero-GRPO", ZERO),
    "sft_grpo": ("SFT+GRPO", COLD),
}


@dataclass(frozen=True)
class Inputs:
    """The main models' metrics, and the evaluations of them and of all regimes, on the trained families."""

    measured: Measured
    evaluations: pl.DataFrame
    regimes: list[Regime]
    metrics: list[str]
    bootstrap: Bootstrap
    path: str

    @property
    def seeds(self) -> int:
        """Training seeds."""
        return self.evaluations["seed"].n_unique()

    @property
    def main(self) -> dict[str, str]:
        """The main models by role; which one was fine-tuned is known from a regime alone."""
        found = [members(regime) for regime in self.regimes if regime.zero_grpo == ZERO]
        return found[0] if found else {"base": "base", "zero_grpo": ZERO, "sft_grpo": COLD}

    @cached_property
    def pooled(self) -> list[str]:
        """The benchmarks that all models of the regimes answered, so that the same questions are compared.

        Raises:
            DataError: models of the regimes were evaluated, but on no benchmark all of them.
        """
        models = [name for regime in self.regimes for name in members(regime).values()]
        of_regimes = self.evaluations.filter(pl.col("model").is_in(models))
        found = [set(names) for names in of_regimes.group_by("model").agg("benchmark")["benchmark"].to_list()]
        common = [name for name in self.measured.benchmarks if all(name in names for names in found)] if found else []
        if found and not common:
            raise DataError(f"{self.path} has no benchmark of the trained families that all models of tab3 answered")
        return common

    def lines(self) -> list[Line]:
        """A row for each benchmark, and after several of them one for all together."""
        questions, kinds = self.measured.questions, self.measured.kinds
        rows = [Line(name, _small(questions[name], kinds[name])) for name in self.measured.benchmarks]
        total = sum(questions[name] for name in self.measured.benchmarks)
        together = Line(f"all {len(rows)} together", f"{total:,} questions")
        return [*rows, together] if len(rows) > 1 else rows

    def on(self, benchmarks: Sequence[str]) -> pl.DataFrame:
        """The evaluations on some benchmarks."""
        return self.evaluations.filter(pl.col("benchmark").is_in(list(benchmarks)))


@dataclass(frozen=True)
class Scores:
    """One metric, shares of 1: for each role an entry a row (or long share), and the cold start's leads."""

    metric: str
    roles: list[Dots]
    leads: list[Interval | None]


def members(regime: Regime) -> dict[str, str]:
    """The models of a regime by their role, in the order of the tables."""
    return {role: str(getattr(regime, role)) for role in ROLES}


def scores_by_benchmark(given: Inputs) -> list[Scores]:
    """For each metric the main models on each row of `given.lines`; scores on one benchmark are the metric table's."""
    names = given.measured.benchmarks
    pool = given.on(names)
    several = len(names) > 1

    def scores(model: str, metric: str) -> list[Interval | None]:
        single = given.measured.of(model, metric)
        return [*single, pooled_score(pool, model, metric, given.bootstrap, "pooled")] if several else single

    def leads(metric: str) -> list[Interval | None]:
        found = cold_lead(pool, ZERO, COLD, metric, given.bootstrap)
        single = [bounded(found.benchmarks[name].difference) if name in found.benchmarks else None for name in names]
        return [*single, bounded(found.difference)] if several else single

    return [
        Scores(metric, [_dots(role, scores(model, metric)) for role, model in given.main.items()], leads(metric))
        for metric in given.metrics
    ]


def with_reported(scores: Sequence[Scores], reported: Reported) -> list[Scores]:
    """Scores with the paper's below; its lead is the plain difference of its numbers."""
    found = []
    for one in scores:
        theirs = {role: reported_scores(reported, REPORTED.get(role), one.metric) for role in ROLES}
        leads = [
            Interval(plain := cold.estimate - zero.estimate, plain, plain) if cold and zero else None
            for cold, zero in zip(theirs[COLD], theirs[ZERO], strict=True)
        ]
        roles = [replace(dots, intervals=[*dots.intervals, *theirs[dots.name]]) for dots in one.roles]
        found.append(Scores(one.metric, roles, [*one.leads, *leads]))
    return found


def scores_by_share(given: Inputs) -> list[Scores]:
    """For each metric the models of every regime on the benchmarks of `given.pooled` together."""
    pool = given.on(given.pooled)
    bootstrap = given.bootstrap
    models = {role: [members(regime)[role] for regime in given.regimes] for role in ROLES}
    return [
        Scores(
            metric,
            [
                _dots(role, [pooled_score(pool, model, metric, bootstrap, "pooled") for model in models[role]])
                for role in ROLES
            ],
            [
                bounded(cold_lead(pool, one.zero_grpo, one.sft_grpo, metric, bootstrap).difference)
                for one in given.regimes
            ],
        )
        for metric in given.metrics
    ]


def cold_lead(pool: pl.DataFrame, zero: str, cold: str, metric: str, bootstrap: Bootstrap) -> Lead:
    """The lead of GRPO from a cold start over GRPO from the base, seeded as in the claim."""
    return lead(pool, cold, zero, metric, bootstrap, "cold_start", cold)


def share_label(share: float | None) -> str:
    """A long share in per cent: `3%`; of a published base nobody knows it."""
    return "unknown" if share is None else f"{100 * share:g}%"


def _dots(role: str, intervals: Sequence[Interval | None]) -> Dots:
    label, like = ROLES[role]
    return Dots(role, label, MODEL_COLOURS[like], MODEL_MARKERS[like], intervals)


def _small(questions: int, kind: BenchmarkKind) -> str:
    return f"{KINDS[kind]}, {questions:,} questions"
