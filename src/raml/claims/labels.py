"""Names for people: models, quantities, and effects of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from raml.claims.effects import EffectSpec
from raml.quantities.table import QUANTITIES, base_name

# The paper's rows of Table 2, in its order, after the model that all of them start from; then what it has not.
MODEL_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "base": "Base",
        "sft_short": "SFT short",
        "sft_long": "SFT long",
        "zero_grpo": "Zero-GRPO",
        "dpo": "DPO",
        "sft_grpo": "SFT+GRPO",
    }
)
VARIANTS: Final[Mapping[str, str]] = {
    "no_thinking": "no-thinking mode",
    "thinking": "whole thinking",
    "control": "last steps",
    "trajectory": "real trajectories",
    "shuffled": "shuffled trajectories",
    "random": "random trajectories",
}
PLAIN: Final[Mapping[str, str]] = {
    "no_thinking": "thinking mode",
    "shuffled": "real trajectories",
    "random": "real trajectories",
}
"""What a model without a variant is called beside a variant."""
SERIES: Final[Mapping[str, str]] = {
    "fig8_short": "SFT short by trajectories per question",
    "fig8_long": "SFT long by trajectories per question",
    "fig9_first": "GRPO by update trajectories, first step",
    "fig9_last": "GRPO by update trajectories, last step",
}
RESTRICTIONS: Final[Mapping[str, str]] = {
    "correct": "correct trajectories",
    "incorrect": "incorrect trajectories",
    "output": "output projections",
    "value": "value projections",
    "paper": "the paper's construction",
    "query": "changed query alone",
    "none": "unchanged weights",
    "oracle": "oracle trajectories",
    "own": "own trajectories",
    "reflection": "reflection tokens",
}


def model_label(model: str) -> str:
    """`SFT long` for `sft_long`; a variant in brackets, of further base models their share of long documents."""
    name, _, variant = model.partition("/")
    stem, _, share = name.partition("_p")
    label = MODEL_LABELS.get(name) or SERIES.get(name, name)
    if share and stem in MODEL_LABELS:
        label = f"{MODEL_LABELS[stem]} ({share.replace('_', '.')}% long)"
    return f"{label} ({VARIANTS.get(variant, variant)})" if variant else label


def quantity_label(quantity: str) -> str:
    """`Pass@8`, `rho of NLL and position (correct trajectories)`: with what it is restricted to."""
    name, *parts = quantity.split("/")
    if base_name(name) in ("Pass", "mG-Pass", "Avg"):
        return name
    text = QUANTITIES[base_name(name)].text
    return f"{text} ({', '.join(RESTRICTIONS.get(part, part) for part in parts)})" if parts else text


def pair_label(spec: EffectSpec) -> str:
    """`SFT long less SFT short`, `SFT long`; of variants of one model the model is named once."""
    if spec.baseline is None:
        return model_label(spec.model)
    (model, _, one), (base, _, two) = (name.partition("/") for name in (spec.model, spec.baseline))
    share = "" if spec.share == 1 else f"{spec.share:.0%} of "
    if model == base:
        ways = [VARIANTS.get(way, way) if way else PLAIN[one or two] for way in (one, two)]
        return f"{model_label(model)} ({ways[0]} less {share}{ways[1]})"
    return f"{model_label(spec.model)} less {share}{model_label(spec.baseline)}"
