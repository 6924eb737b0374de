"""Which models are probed by packing, which only with a cache, and which by plain passes; and why."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from raml.errors import InputError

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"

_ONE_MASK = frozenset({"gpt2", "llama", "mistral", "olmo2"})
_MASK_BY_LAYER_TYPE = frozenset({"gemma3_text", "qwen2", "qwen3", "smollm3"})
PACKED_ARCHITECTURES = _ONE_MASK | _MASK_BY_LAYER_TYPE
"""`model_type`s for which tests hold packed and separate passes equal."""

_CAUSAL_TOLERANCE = 1e-4  # of the largest logit, in fp32 and fp64
_HALF_CAUSAL_TOLERANCE = 0.02

_PACKED_ATTENTION = frozenset({"sdpa", "eager"})


@dataclass(frozen=True)
class Attention:
    """How far back each layer looks.

    layer_types: of each layer.
    windows: for each type how many tokens a token sees, itself included; None for all.
    one_mask: whether the model takes one mask for all layers rather than one for each type.
    """

    layer_types: tuple[str, ...]
    windows: dict[str, int | None]
    one_mask: bool


def attention_of(config: Any) -> Attention:
    """How the layers of a model of `PACKED_ARCHITECTURES` attend."""
    window = getattr(config, "sliding_window", None)
    if config.model_type in _ONE_MASK:
        only = SLIDING if window is not None else FULL
        return Attention((only,) * config.num_hidden_layers, {only: window}, one_mask=True)
    types = tuple(config.layer_types)
    return Attention(types, {kind: window if kind == SLIDING else None for kind in set(types)}, one_mask=False)


def why_not_packed(model: PreTrainedModel) -> str | None:
    """Why probes of `model` cannot be packed exactly; None if they can."""
    config = model.config
    if config.model_type not in PACKED_ARCHITECTURES:
        return f"architecture {config.model_type!r} is untested; tested: {', '.join(sorted(PACKED_ARCHITECTURES))}"
    if config.model_type in _ONE_MASK - {"mistral"} and getattr(config, "sliding_window", None) is not None:
        return f"a sliding window is unknown in architecture {config.model_type!r}"
    if others := sorted(set(getattr(config, "layer_types", None) or []) - {FULL, SLIDING}):
        return f"it has layers of {', '.join(others)}, which the mask does not describe"
    if reason := _unlike_a_causal_sequence(config):
        return reason
    if getattr(config, "add_cross_attention", False):
        return "it has cross-attention, which keeps a cache of another kind"
    if config._attn_implementation not in _PACKED_ATTENTION:
        return f"attention {config._attn_implementation!r} takes no such mask; load it with attn_implementation='sdpa'"
    return None


def why_not_cached(model: PreTrainedModel) -> str | None:
    """Why the keys and values of a prefix would not serve what follows it; None if that is not known to be so.

    Separate passes are the way then. What this does not know of is found by comparing: see `raml.probing.fallback`.
    """
    config = model.config.get_text_config()
    if getattr(model, "_is_stateful", False):
        return "its layers keep a running state, which cannot be cut back to a prefix"
    if others := sorted(set(getattr(config, "layer_types", None) or []) - {FULL, SLIDING, CHUNKED}):
        return f"it has layers of {', '.join(others)}, which keep more than keys and values"
    return _unlike_a_causal_sequence(config)


def check_causal(model: PreTrainedModel) -> None:
    """See that what `model` predicts at a token does not depend on what follows; call it within `scoring`.

    An encoder loads as a causal language model, but the answer's tokens would be read before they are predicted.

    Raises:
        InputError: it does depend.
    """
    if why_not_packed(model) is None:
        return
    ids = torch.arange(8, device=model.device) % model.config.get_text_config().vocab_size
    ends = torch.stack([ids, torch.cat([ids[:-1], ids[:1]])])
    one, other = (model(input_ids=row[None], use_cache=False).logits[0, :-1].float() for row in ends)
    tolerance = _CAUSAL_TOLERANCE if model.dtype.itemsize >= 4 else _HALF_CAUSAL_TOLERANCE
    if float((one - other).abs().max()) > tolerance * float(one.abs().max()):
        raise InputError(
            f"{type(model).__name__} ({model.config.model_type}) is no causal language model: what it predicts at a "
            "token depends on the tokens after it; load one that reads from left to right"
        )


def length_matters(model: PreTrainedModel) -> bool:
    """Whether padding on the right may change what the model computes for the tokens before it."""
    return _unlike_a_causal_sequence(model.config.get_text_config()) is not None


def _unlike_a_causal_sequence(config: Any) -> str | None:
    """Why what the model computes for a prefix would change with what follows it."""
    if getattr(config, "is_encoder_decoder", False):
        return "it is an encoder and a decoder"
    if getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True):
        return "its attention is not causal"
    for rope in _rope_types(config):
        if "dynamic" in rope or rope == "longrope":
            return f"its rotary embedding ({rope}) depends on the sequence's length"
    return None


def _rope_types(config: Any) -> set[str]:
    """The kinds of rotary embeddings, which some architectures have by layer type."""
    parameters = getattr(config, "rope_parameters", None) or {}
    by_type = [part for part in parameters.values() if isinstance(part, dict)]
    return {part.get("rope_type", "default") for part in by_type or [parameters]}
