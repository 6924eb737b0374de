"""Effects, claims and the metrics that git keeps, from a scale's quantities.

    python -m raml.claims.decide --scale S --config '<the scale>' --quantities results/S/tables/quantities.parquet \
        --claims config/claims.yaml --reported config/reported.yaml --effects .. --out results/S/claims.json \
        --metrics tables/metrics.parquet --metrics-json tables/metrics.json --verdicts tables/claims.json

`metrics.json` is `{model: {benchmark: {metric: value}}}` and `tables/claims.json` `{claim: {verdict, ..}}`, for
`dvc metrics show` and `dvc metrics diff`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from raml.claims.dvc_metrics import metric_rows, nested, numbers
from raml.claims.effects import EffectSpec, EffectTable, Quantities, effect_table, every, pairs
from raml.claims.judge import Names, judge_all, specs_of_claim
from raml.claims.labels import MODEL_LABELS
from raml.claims.paper import compare
from raml.claims.registry import Registry, load_registry
from raml.claims.result import ClaimResult
from raml.config import Scale
from raml.evaluation.intervals import Bootstrap
from raml.quantities.measure import check_scales, paths_of
from raml.quantities.table import QuantityTable, tables_of
from raml.runs import regimes
from raml.schemas import MetricTable
from raml.step import Step, run
from raml.storage import read_table, write_json, write_table

INPUTS: Final = ["quantities", "claims", "reported"]
OUTPUTS: Final = ["effects", "out", "metrics", "metrics_json", "verdicts"]
PROBED: Final = ("a first probed model", "a second probed model", "a third probed model")
"""What stands for a probed model that a scale lacks, so that claims about it are not run."""


def main(step: Step[Scale]) -> None:
    """Write all outputs.

    Raises:
        ConfigError: the registry is broken, or one of its effects is one that nobody makes.
        DataError: the quantities cannot be read, or are of another scale.
    """
    files, scale = step.files, step.config
    registry = load_registry(files["claims"], files["reported"])
    quantities = read_quantities(files["quantities"], scale, step.seed)
    results = decide(registry, quantities, scale)
    names = names_of(scale)
    further = [(one["sft_grpo"], one["zero_grpo"]) for one in names.regimes]
    specs = [*every(quantities), *pairs(quantities, list(MODEL_LABELS), further), *claimed(registry, names)]
    table = effect_table(map(quantities.effect, specs))
    metrics = metric_rows(table, read_table(files["quantities"], QuantityTable))
    write_table(table, EffectTable, files["effects"], step.provenance())
    write_table(metrics, MetricTable, files["metrics"], step.provenance())
    write_json(nested(metrics), files["metrics_json"])
    write_json({one.id: numbers(one) for one in results}, files["verdicts"])
    write_json([one.model_dump(mode="json") for one in results], files["out"])


def decide(registry: Registry, quantities: Quantities, scale: Scale) -> list[ClaimResult]:
    """The result of every claim, in the registry's order; at published scales beside the paper's numbers."""
    results = judge_all(registry, quantities, names_of(scale), scale.scale)
    for one in results:
        one.artifacts = [path.as_posix() for path in measurements_of(one, scale)] + one.artifacts
    if scale.published is not None:
        for one, claim in zip(results, registry.claims, strict=True):
            if one.verdict != "not_run":
                one.against_reported = compare(claim, registry, quantities) or None
    return results


def measurements_of(result: ClaimResult, scale: Scale) -> list[Path]:
    """The measurement tables that a claim's effects come from."""
    tables = dict.fromkeys(table for effect in result.effects for table in tables_of(effect.quantity, effect.model))
    return [path for table in tables for path in paths_of(table, scale)]


def read_quantities(path: Path, scale: Scale, seed: int, confidence: float | None = None) -> Quantities:
    """The quantities of a scale at its confidence, or another one.

    Raises:
        DataError: the file is missing, truncated, of another schema, or of another scale.
    """
    table = read_table(path, QuantityTable)
    check_scales([path], scale.scale)
    settings = scale.evaluation
    return Quantities(table, Bootstrap(seed, settings.bootstrap_resamples, confidence or settings.confidence))


def names_of(scale: Scale) -> Names:
    """What the placeholders of `config/claims.yaml` stand for at a scale."""
    values: Mapping[str, object] = {
        "k": scale.evaluation.k,
        "n": scale.evaluation.n,
        "answers": scale.efficiency.n,
        **{f"probed{place}": model for place, model in enumerate(PROBED)},
        **{f"probed{place}": model for place, model in enumerate(scale.probing.models)},
    }
    return Names(values, [one.model_dump(exclude={"long_share"}) for one in regimes(scale)])


def claimed(registry: Registry, names: Names) -> list[EffectSpec]:
    """The effects of all claims.

    Raises:
        ConfigError: one holds a placeholder that the scale lacks.
    """
    return [spec for claim in registry.claims for _, spec in specs_of_claim(claim, registry, names)]


if __name__ == "__main__":
    run(main, Scale, inputs=INPUTS, outputs=OUTPUTS)
