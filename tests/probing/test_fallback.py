"""Models that packing does not serve: the numbers of separate passes all the same, and a warning that says why."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import CONTEXT, VOCABULARY, WINDOW, build, of_classes
from transformers import PreTrainedModel

from raml.errors import InputError
from raml.probing.curves import Probe, answer_nll_curve, answer_nll_curves, separate_answer_nll_curve
from raml.probing.support import why_not_cached, why_not_packed

PROMPT, TRAJECTORIES = [1, 5, 9], [list(range(3, 36)), [4, 8, 15]]
PROBES = [Probe((30, 31), (7, 3, 11)), Probe((9,), (4, 4))]
LAYERS = ["sliding_attention", "full_attention"]
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "factor": 6.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 16,
}
CACHED = {  # one each of plain rope, learnt positions, alibi, sinks and experts, windows by layer, chunks by layer
    "Phi3": {},
    "OPT": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "Bloom": {"n_layer": 2, "n_head": 4},
    "GptOss": {"sliding_window": WINDOW, "num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": LAYERS},
    "Gemma2": {"sliding_window": WINDOW, "layer_types": LAYERS},
    "Llama4": {
        "attention_chunk_size": 8,
        "num_local_experts": 2,
        "intermediate_size_mlp": 48,
        "layer_types": ["chunked_attention", "full_attention"],
        "no_rope_layers": [1, 0],
    },
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
PLAIN = {
    "Mamba": ({}, "keep a running state"),
    "Lfm2": ({"layer_types": ["conv", "full_attention"]}, "layers of conv, which keep more than keys and values"),
    "Phi3": ({"original_max_position_embeddings": 16, "rope_parameters": LONGROPE}, r"rotary embedding \(longrope\)"),
}


def other(name: str, changes: dict[str, Any]) -> PreTrainedModel:
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.4,
        "pad_token_id": 0,
        **changes,
    }
    config = f"{name}TextConfig" if name in ("Gemma3", "Llama4") else f"{name}Config"
    return of_classes(config, f"{name}ForCausalLM", settings)


def changed(**values: Any) -> PreTrainedModel:
    """A model of a tested architecture with unusual settings."""
    model = build("llama")
    for name, value in values.items():
        setattr(model.config, name, value)
    return model


def assert_equal_to_separate(model: PreTrainedModel, message: str, *, atol: float = 1e-4) -> None:
    with pytest.warns(UserWarning, match=message) as warned:
        curves = answer_nll_curves(model, PROMPT, TRAJECTORIES, PROBES, stride=2, token_budget=16)
    assert len([one for one in warned if issubclass(one.category, UserWarning)]) == 1
    assert warned[0].filename == __file__
    for trajectory, curve in zip(TRAJECTORIES, curves, strict=True):
        for probe, values in zip(PROBES, curve, strict=True):
            expected = separate_answer_nll_curve(
                model, PROMPT, trajectory, probe.marker_ids, probe.answer_ids, stride=2
            )
            np.testing.assert_allclose(values, expected, atol=atol, rtol=0)


UNTESTED = "is probed in separate .*architecture '.*' is untested.*; they share the context"
CASES: list[tuple[Callable[[], PreTrainedModel], str]] = [
    *((partial(other, name, changes), UNTESTED) for name, changes in CACHED.items()),
    *((partial(other, name, changes), reason) for name, (changes, reason) in PLAIN.items()),
    (partial(changed, sliding_window=8), "a sliding window is unknown in architecture 'llama'; they share"),
    (partial(changed, rope_parameters=DYNAMIC), r"embedding \(dynamic\)"),
    (partial(changed, layer_types=["full_attention", "linear_attention"]), "layers of linear_attention"),
]


@pytest.mark.parametrize(("model", "reason"), CASES)
def test_what_is_not_packed_has_the_numbers_of_separate_passes(
    model: Callable[[], PreTrainedModel], reason: str
) -> None:
    assert_equal_to_separate(model(), reason)


def test_attention_to_what_follows_is_refused() -> None:
    changes = {"use_bidirectional_attention": True, "layer_types": LAYERS, "sliding_window": WINDOW}
    with pytest.raises(InputError, match=r"Gemma3ForCausalLM .* is no causal language model"):
        answer_nll_curves(other("Gemma3", changes), PROMPT, TRAJECTORIES, PROBES)


def test_a_cache_that_gives_other_values_is_not_used() -> None:
    model = other("Phi3", {})
    model.model.embed_tokens.register_forward_hook(lambda module, inputs, output: output + 0.1 * output.shape[1])
    assert_equal_to_separate(model, "they do not share .*: with a cache its values are off by")


def test_code_that_cannot_go_on_from_a_cache_is_done_without() -> None:
    model = other("Phi3", {})
    forward = model.forward

    def without_cache(input_ids: torch.Tensor, use_cache: bool, past_key_values: object = None) -> object:
        if past_key_values is not None:
            raise NotImplementedError("one token at a time")
        return forward(input_ids=input_ids, use_cache=use_cache)

    model.forward = without_cache
    assert_equal_to_separate(model, r"it cannot go on from a cache \(NotImplementedError: one token at a time\)")


def test_half_precision_uses_the_cache() -> None:
    model = other("Phi3", {"initializer_range": 0.1}).to(torch.bfloat16)
    assert_equal_to_separate(model, "they share the context", atol=0.1)


def test_tested_architectures_do_not_warn_but_where_attention_takes_no_mask() -> None:
    model = build("gemma3")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer_nll_curve(model, PROMPT, TRAJECTORIES[1], [30], [7])
    model.config._attn_implementation = "flex_attention"
    assert (why_not_packed(model) or "").startswith("attention 'flex_attention' takes no such mask; load it with")
    assert why_not_cached(model) is None
