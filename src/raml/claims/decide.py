"""Decide every claim of the registry from this scale's measurements; those without a test say why.

    python -m raml.claims.decide --scale S --config '<evaluation, figures, series, regimes, trajectories, published>' \
        --claims config/claims.yaml --reported config/reported.yaml --evaluations E \
        --curves results/S/probes/seed*/*/curves.parquet --roles .. --landscape .. --updates .. --blocks .. \
        --outer .. --answers .. --out results/S/claims.json
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import dataframely as dy
import polars as pl
from pydantic import Field

from raml.claims import (
    beats,
    best_or_level,
    cold_start,
    construction,
    curve_trend,
    downhill,
    kept_accuracy,
    landscape_descent,
    method_lead,
    mode_pair,
    not_dominated,
    outer_loss,
    role_change,
    same_output,
    trend,
)
from raml.claims.decision import Decision
from raml.claims.evidence import after_holm, holm
from raml.claims.paper import compare
from raml.claims.registry import Claim, Registry, load_registry
from raml.claims.result import ClaimResult
from raml.claims.sections import (
    Beats,
    BestOrLevel,
    ColdStart,
    Construction,
    CurveTrend,
    Downhill,
    KeptAccuracy,
    LandscapeDescent,
    MethodLead,
    ModePair,
    NotDominated,
    OuterLossFalls,
    RoleChange,
    SameOutput,
    Test,
    Trend,
)
from raml.config import Evaluation as Settings
from raml.config import Section
from raml.errors import ConfigError, DataError
from raml.evaluation.intervals import Bootstrap
from raml.runs import Regime, Series
from raml.schemas import (
    BlockResidual,
    Evaluation,
    ForcedAnswer,
    LandscapePoint,
    OuterLoss,
    ProbeCurve,
    TokenChange,
    WeightUpdate,
)
from raml.step import Step, run
from raml.storage import read_provenance, read_table, write_json

# What tests read: a table each, of several files (one a seed, or one a seed and model).
TABLES: Final[dict[str, type[dy.Schema]]] = {
    "evaluations": Evaluation,
    "curves": ProbeCurve,
    "roles": TokenChange,
    "landscape": LandscapePoint,
    "updates": WeightUpdate,
    "blocks": BlockResidual,
    "outer": OuterLoss,
    "answers": ForcedAnswer,
}


class Job(Section):
    """What deciding depends on."""

    evaluation: Settings
    figures: dict[str, str] = Field(description="the probed model that each curve figure of the scale follows")
    series: dict[str, Series] = Field(description="models of the sweeps by their dose")
    regimes: list[Regime] = Field(description="base models that GRPO starts from, with and without a cold start")
    trajectories: int = Field(gt=0, description="of a question in fig11: the k of its Avg@k and Pass@k")
    published: bool = Field(default=False, description="whether questions are the paper's, so that its numbers compare")


@dataclass(frozen=True)
class Measurements:
    """The tables of `TABLES` by name, what the sweeps varied, and the settings that all tests share."""

    tables: dict[str, pl.DataFrame]
    series: dict[str, Series]
    regimes: list[Regime]
    trajectories: int
    k: int
    bootstrap: Bootstrap


def main(step: Step[Job]) -> None:
    """Write `claims.json`, a list of `result.ClaimResult` in the registry's order."""
    evaluation = step.config.evaluation
    registry = load_registry(step.files["claims"], step.files["reported"])
    check_models(registry, step.config.figures, step.files["claims"])
    check_scales([path for name in TABLES for path in step.lists[name]], step.scale)
    measurements = Measurements(
        {name: pl.concat(read_table(path, schema) for path in step.lists[name]) for name, schema in TABLES.items()},
        step.config.series,
        step.config.regimes,
        step.config.trajectories,
        evaluation.k,
        Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence),
    )
    results: list[ClaimResult] = []
    corrected: list[float | None] = []
    for claim in registry.claims:
        read: list[str] = []
        decision = Decision("not_run", claim.not_run or "", None, "", {}, {})
        if claim.test is not None:
            decision, read = decide(claim.test, measurements)
        sources = [path for name in read for path in step.lists[name]]
        one = result(claim, registry, decision, sources, step.scale, evaluation.confidence)
        if step.config.published and decision.verdict != "not_run":
            found = compare(claim, registry, measurements.tables, measurements.bootstrap)
            one.against_reported = [asdict(comparison) for comparison in found] or None
        results.append(one)
        corrected.append(decision.evidence.corrected if decision.evidence else None)
    correct(results, corrected, evaluation.confidence)
    write_json([one.model_dump(mode="json") for one in results], step.files["out"])


def correct(results: Sequence[ClaimResult], corrected: Sequence[float | None], confidence: float) -> None:
    """Enter Holm's p-values and the verdicts that stand after them into `results`.

    Args:
        results: of all claims; those that are not `not_run` are the family.
        corrected: of each the p-value corrected for several conditions, None if it has none.
        confidence: of the verdicts.
    """
    family = [place for place, one in enumerate(results) if one.verdict != "not_run"]
    adjusted = holm([corrected[place] for place in family])
    for place, p in zip(family, adjusted, strict=True):
        one = results[place]
        one.p_holm, one.verdict_holm = p, after_holm(one.verdict, p, confidence)


def check_models(registry: Registry, figures: Mapping[str, str], path: Path) -> None:
    """Refuse claims about another model than the figure that shows them.

    Args:
        registry: all claims.
        figures: the model that each curve figure of the scale follows; claims of other figures are not looked at.
        path: the registry's file, for the message.

    Raises:
        ConfigError: there is one; the message names both models and both places.
    """
    for claim in registry.claims:
        if isinstance(claim.test, CurveTrend | ModePair) and claim.exhibit in figures:
            followed = figures[claim.exhibit]
            if claim.test.model != followed:
                raise ConfigError(
                    f"{path}: claim {claim.id!r}: test.model = {claim.test.model!r}, but by the order of "
                    f"probing.models {claim.exhibit} follows {followed!r}; change one of the two"
                )


def check_scales(paths: Sequence[Path], scale: str) -> None:
    """Refuse tables of another scale than the one whose claims are decided.

    Raises:
        DataError: there is one; the message names it, both scales and the command that makes the right one.
    """
    for path in paths:
        if path.is_file() and (other := read_provenance(path).scale) != scale:
            raise DataError(
                f"{path} is of scale {other!r}, and what is decided are the claims of {scale!r}; scales are not mixed: "
                f"make the table anew with `snakemake --cores 2 {path} --config scale={scale}`"
            )


def decide(test: Test, measurements: Measurements) -> tuple[Decision, list[str]]:
    """The decision of `test` and the names of the tables that it read."""
    tables, bootstrap = measurements.tables, measurements.bootstrap
    match test:
        case CurveTrend():
            return curve_trend.decide(test, tables["curves"], bootstrap), ["curves"]
        case ModePair():
            return mode_pair.decide(test, tables["curves"], bootstrap), ["curves"]
        case RoleChange():
            return role_change.decide(test, tables["roles"], bootstrap), ["roles"]
        case LandscapeDescent():
            decision = landscape_descent.decide(test, tables["curves"], tables["landscape"], bootstrap)
            return decision, ["curves", "landscape"]
        case SameOutput():
            return same_output.decide(test, tables["updates"], bootstrap), ["updates"]
        case Construction():
            return construction.decide(test, tables["blocks"], bootstrap), ["blocks"]
        case Downhill():
            return downhill.decide(test, tables["updates"], bootstrap), ["updates"]
        case OuterLossFalls():
            decision = outer_loss.decide(test, tables["outer"], tables["evaluations"], bootstrap)
            return decision, ["outer", "evaluations"]
        case MethodLead():
            return method_lead.decide(test, tables["answers"], measurements.trajectories, bootstrap), ["answers"]
        case KeptAccuracy():
            return kept_accuracy.decide(test, tables["answers"], measurements.trajectories, bootstrap), ["answers"]
    evaluations, k = tables["evaluations"], measurements.k
    match test:
        case BestOrLevel():
            decision = best_or_level.decide(test, evaluations, k, bootstrap)
        case NotDominated():
            decision = not_dominated.decide(test, evaluations, k, bootstrap)
        case Beats():
            decision = beats.decide(test, evaluations, k, bootstrap)
        case ColdStart():
            decision = cold_start.decide(test, evaluations, measurements.regimes, k, bootstrap)
        case Trend():
            decision = trend.decide(test, evaluations, measurements.series, k, bootstrap)
    return decision, ["evaluations"]


def result(
    claim: Claim, registry: Registry, decision: Decision, sources: list[Path], scale: str, confidence: float
) -> ClaimResult:
    """A decision with what the registry says of its claim; `sources` are the tables it was made from."""
    estimate, evidence, needed = decision.estimate, decision.evidence, decision.needed(confidence)
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
        reason=decision.full_reason(needed),
        details={"quantity": claim.measured, **decision.details},
        artifacts=[path.as_posix() for path in sources] + [path.replace("{scale}", scale) for path in claim.artifacts],
        command=claim.command.replace("{scale}", scale),
        line=evidence.line if evidence else None,
        claimed=evidence.claimed if evidence else None,
        p=evidence.p if evidence else None,
        needed=needed,
        needs=claim.needs,
        decidable_at=list(claim.decidable_at),
    )


if __name__ == "__main__":
    run(main, Job, inputs=["claims", "reported"], many=list(TABLES), outputs=["out"])
