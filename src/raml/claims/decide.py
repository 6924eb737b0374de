"""Decide every claim of the registry from this scale's measurements; those without a test say why.

    python -m raml.claims.decide --scale S --config '<evaluation>' --claims config/claims.yaml \
        --reported config/reported.yaml --evaluations E --curves results/S/probes/seed*/curves.parquet \
        --out results/S/claims.json
"""

from pathlib import Path

import polars as pl

from raml.claims import best_or_level, curve_trend
from raml.claims.decision import Decision
from raml.claims.registry import Claim, CurveTrend, Registry, load_registry
from raml.config import Evaluation as Settings
from raml.evaluation.intervals import Bootstrap
from raml.schemas import ClaimResult, Evaluation, ProbeCurve
from raml.step import Step, run
from raml.storage import read_table, write_json


def main(step: Step[Settings]) -> None:
    """Write `claims.json`, a list of `schemas.ClaimResult` in the registry's order."""
    registry = load_registry(step.files["claims"], step.files["reported"])
    evaluations = read_table(step.files["evaluations"], Evaluation)
    curves = pl.concat([read_table(path, ProbeCurve) for path in step.lists["curves"]])
    bootstrap = Bootstrap(step.seed, step.config.bootstrap_resamples, step.config.confidence)
    results: list[ClaimResult] = []
    for claim in registry.claims:
        sources: list[Path] = []
        if claim.test is None:
            decision = Decision("not_run", claim.not_run or "", None, "", {}, {})
        elif isinstance(claim.test, CurveTrend):
            decision, sources = curve_trend.decide(claim.test, curves, bootstrap), step.lists["curves"]
        else:
            decision = best_or_level.decide(claim.test, evaluations, step.config.k, bootstrap)
            sources = [step.files["evaluations"]]
        results.append(result(claim, registry, decision, sources, step.scale))
    write_json([one.model_dump(mode="json") for one in results], step.files["out"])


def result(claim: Claim, registry: Registry, decision: Decision, sources: list[Path], scale: str) -> ClaimResult:
    """A decision with what the registry says of its claim; `sources` are the tables it was made from."""
    estimate = decision.estimate
    return ClaimResult(
        id=claim.id,
        exhibit=claim.exhibit,
        statement=claim.statement,
        paper=claim.paper,
        reported=registry.reported_of(claim),
        measured=estimate.estimate if estimate else None,
        unit=decision.unit or None,
        interval=(estimate.lower, estimate.upper) if estimate else None,
        n=decision.n or None,
        verdict=decision.verdict,
        reason=decision.full_reason(),
        details={"quantity": claim.measured, **decision.details},
        artifacts=[path.as_posix() for path in sources] + [path.replace("{scale}", scale) for path in claim.artifacts],
        command=claim.command.replace("{scale}", scale),
    )


if __name__ == "__main__":
    run(main, Settings, inputs=["claims", "reported", "evaluations"], many=["curves"], outputs=["out"])
