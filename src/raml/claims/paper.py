"""How far what was measured lies from what the paper reports: at published scales, whose questions are the paper's.

Intervals are those of the measured numbers, over questions and training seeds. The paper asked the same questions once,
so part of an interval's width does not concern the difference; whether it is within the tolerance is a matter of
the difference itself.
"""

from typing import Final

from raml.claims.effects import EffectSpec, Quantities
from raml.claims.registry import Claim, Registry, tolerance_of

MODELS: Final = {"sft_then_grpo": "sft_grpo"}  # of ours, where the paper's name is another
BENCHMARKS: Final = {"LiveMathBench-Hard": "LiveMathBench-Hard-en"}
WAYS: Final = {"thinking": "thinking", "summarised": "summary", "no_thinking": "no_thinking"}
METRICS: Final = {"P8": "Pass@8", "mG8": "mG-Pass@8", "Avg16": "Avg@16", "P16": "Pass@16"}


def compare(claim: Claim, registry: Registry, quantities: Quantities) -> list[dict[str, object]]:
    """Every number that the paper reports for `claim` and this scale has measured, in the registry's order.

    Returns:
        What `ClaimResult.against_reported` holds.
    """
    model = next((model for entry in claim.entries if isinstance(model := entry.model, str)), "").partition("/")[0]
    found: list[dict[str, object]] = []
    for key, reported in registry.numbers_of(claim).items():
        spec, factor = spec_of(key, model, quantities)
        effect = quantities.effect(spec) if spec else None
        tolerance = tolerance_of(claim, key)
        if effect is None or effect.interval is None or tolerance is None:
            continue
        measured = factor * effect.interval.estimate
        difference = measured - reported
        found.append(
            {
                "key": key,
                "reported": reported,
                "measured": measured,
                "difference": difference,
                "interval": [factor * end - reported for end in (effect.interval.lower, effect.interval.upper)],
                "tolerance": tolerance,
                "within": abs(difference) <= tolerance,
            }
        )
    return found


def spec_of(key: str, model: str, quantities: Quantities) -> tuple[EffectSpec | None, float]:
    """Our effect in the place of the reported number at `key`, and its unit in ours; None where there is none."""
    match key.split("."):
        case ["table2" | "table3", technique, benchmark, metric]:
            where = BENCHMARKS.get(benchmark, benchmark)
            return EffectSpec(quantity=METRICS[metric], model=MODELS.get(technique, technique), over=where), 100
        case ["figure11", benchmark, metric, way] if model:
            return EffectSpec(quantity=METRICS[metric], model=f"{model}/{WAYS[way]}", over=benchmark), 100
        case ["figure6", word]:
            role = "all tokens" if word == "avg" else word
            names = [name for name in quantities.names if name.startswith("relative change/")]
            found = [name for name in sorted(names) if name.partition("/")[2].split(": ")[-1] == role]
            return (EffectSpec(quantity=found[0], model=quantities.models(found[0])[0]) if found else None), 1
    return None, 1
