"""Packed curves against separate passes, and what is refused."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from raml.errors import InputError, RamlError
from raml.probing.curves import answer_nll_curve, separate_answer_nll_curve

VOCABULARY = 37
CONTEXT = 96
TOLERANCE = 1e-4  # nats, fp32
PROMPT, TRAJECTORY, MARKER, ANSWER = [1, 5, 9], [4, 8, 15, 16, 23], [30, 31], [7, 3, 11]

MODELS = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def build(architecture: str, **changes: object) -> PreTrainedModel:
    """A tiny random model whose attention is far from uniform, so that a wrong mask shows."""
    config_class, model_class = MODELS[architecture]
    torch.manual_seed(0)
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
        **changes,
    }
    model = model_class(config_class(**settings))
    model.eval()
    return model


@cache
def tiny(architecture: str, kv_heads: int, attention: str = "sdpa") -> PreTrainedModel:
    return build(architecture, num_key_value_heads=kv_heads, attn_implementation=attention)


def ids(n_min: int, n_max: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, VOCABULARY - 1), min_size=n_min, max_size=n_max)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([("qwen2", 4, "sdpa"), ("qwen2", 2, "eager"), ("llama", 1, "sdpa"), ("qwen3", 2, "sdpa")]),
    prompt=ids(1, 12),
    trajectory=ids(1, 40),
    marker=ids(1, 4),
    answer=ids(1, 6),
    stride=st.integers(1, 45),
    token_budget=st.integers(1, 300),
)
def test_packed_equals_separate_passes(
    kind: tuple[str, int, str],
    prompt: list[int],
    trajectory: list[int],
    marker: list[int],
    answer: list[int],
    stride: int,
    token_budget: int,
) -> None:
    model = tiny(*kind)
    packed = answer_nll_curve(model, prompt, trajectory, marker, answer, stride=stride, token_budget=token_budget)
    separate = separate_answer_nll_curve(model, prompt, trajectory, marker, answer, stride=stride)
    assert packed.dtype == np.float64
    assert packed.shape == (math.ceil((len(trajectory) + 1) / stride),)
    np.testing.assert_allclose(packed, separate, atol=TOLERANCE, rtol=0)


def test_separate_passes_are_the_definition() -> None:
    model = tiny("llama", 2)
    curve = separate_answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    start = len(PROMPT) + 2 + len(MARKER)
    row = torch.tensor([[*PROMPT, *TRAJECTORY[:2], *MARKER, *ANSWER]])
    with torch.no_grad():
        log_probs = model(row).logits[0].double().log_softmax(-1)
    by_hand = -np.mean([float(log_probs[start - 1 + index, token]) for index, token in enumerate(ANSWER)])
    assert curve[2] == pytest.approx(by_hand, abs=1e-5)


def test_curve_depends_on_what_it_should() -> None:
    model = tiny("qwen2", 2)
    curve = answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    other = answer_nll_curve(model, PROMPT, [*TRAJECTORY[:3], 2, 2, 6], MARKER, ANSWER)
    np.testing.assert_allclose(curve[:4], other[:4], atol=TOLERANCE, rtol=0)  # 0: none; 1-3: a shared prefix
    assert np.abs(curve[4:] - other[4:6]).min() > 10 * TOLERANCE
    assert np.ptp(curve) > 10 * TOLERANCE
    assert np.abs(curve - answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, [7, 3, 12])).min() > 10 * TOLERANCE


def test_accepts_the_full_context_and_no_more() -> None:
    model = tiny("qwen2", 2)
    longest = [2] * (CONTEXT - len(PROMPT) - len(MARKER) - len(ANSWER))
    packed = answer_nll_curve(model, PROMPT, longest, MARKER, ANSWER, stride=9)
    np.testing.assert_allclose(
        packed, separate_answer_nll_curve(model, PROMPT, longest, MARKER, ANSWER, stride=9), atol=TOLERANCE, rtol=0
    )
    with pytest.raises(InputError, match=f"trajectory {len(longest) + 1} .* exceed the model's context of {CONTEXT}"):
        answer_nll_curve(model, PROMPT, [*longest, 2], MARKER, ANSWER)


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(training: bool) -> None:
    model = build("qwen2", attention_dropout=0.5)
    expected = answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train(training)
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    np.testing.assert_array_equal(answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER), expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(InputError):
        answer_nll_curve(model, PROMPT, [], MARKER, ANSWER)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("curve", [answer_nll_curve, separate_answer_nll_curve])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trajectory_ids": []}, "the trajectory is empty"),
        ({"prompt_ids": []}, "the prompt is empty"),
        ({"answer_ids": []}, "the answer is empty"),
        ({"marker_ids": []}, "the marker is empty"),
        ({"trajectory_ids": [3, VOCABULARY]}, f"trajectory id {VOCABULARY} is outside the model's vocabulary, 0 to 36"),
        ({"answer_ids": [-1]}, "answer id -1 is outside"),
        ({"stride": 0}, "stride = 0: must be at least 1"),
    ],
)
def test_bad_input_is_refused(curve: object, changes: dict[str, object], message: str) -> None:
    arguments = {"prompt_ids": PROMPT, "trajectory_ids": TRAJECTORY, "marker_ids": MARKER, "answer_ids": ANSWER}
    with pytest.raises(InputError, match=message):
        curve(tiny("llama", 2), **{**arguments, **changes})  # type: ignore[operator]


def test_bad_budget_is_refused() -> None:
    with pytest.raises(InputError, match="token_budget = 0"):
        answer_nll_curve(tiny("llama", 2), PROMPT, TRAJECTORY, MARKER, ANSWER, token_budget=0)


def test_nan_logits_are_an_error() -> None:
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[TRAJECTORY[2]] = float("nan")
    for curve in (answer_nll_curve, separate_answer_nll_curve):
        with pytest.raises(RamlError, match="NLL is not finite: the model's logits hold NaN"):
            curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)


def test_sliding_window_is_refused_until_it_is_exact() -> None:
    model = build("qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1)
    with pytest.raises(InputError, match="layers of sliding_attention"):
        answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    assert separate_answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER).shape == (6,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "architecture 'mamba' is untested; tested: llama, qwen2, qwen3"),
        ({"sliding_window": 8}, "sliding window"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rotary embedding"),
        ({"_attn_implementation": "flash_attention_2"}, "attention 'flash_attention_2'"),
    ],
)
def test_what_packing_cannot_serve_is_refused(change: dict[str, object], message: str) -> None:
    model = build("llama")
    for name, value in change.items():
        setattr(model.config, name, value)
    with pytest.raises(InputError, match=message):
        answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
