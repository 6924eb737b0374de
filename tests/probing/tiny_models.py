"""Tiny random models of every packed architecture, with attention far from uniform, so that a wrong mask shows."""

from functools import cache
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

VOCABULARY = 37
CONTEXT = 96
WINDOW = 6  # shorter than most sequences of the tests

SLIDING_QWEN = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral_sliding": ("Mistral", {"sliding_window": WINDOW}),
    "olmo2": ("Olmo2", {}),
    "qwen2": ("Qwen2", {}),
    "qwen2_sliding": ("Qwen2", SLIDING_QWEN),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "qwen3_sliding": ("Qwen3", SLIDING_QWEN),
    "smollm3": ("SmolLM3", {"no_rope_layer_interval": 2}),
    "gemma3": ("Gemma3", {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}),
    "gpt2": ("GPT2", {}),
}


def build(architecture: str, *, dtype: torch.dtype = torch.float32, **changes: Any) -> PreTrainedModel:
    """A fresh model in eval mode, of 2 layers and 4 query heads, by default on 2 key-value heads."""
    name, own = ARCHITECTURES[architecture]
    if name == "GPT2":
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
    else:
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": CONTEXT,
        }
    config_name, model_name = {
        "GPT2": ("GPT2Config", "GPT2LMHeadModel"),
        "Gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM"),
    }.get(name, (f"{name}Config", f"{name}ForCausalLM"))
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    settings = {"vocab_size": VOCABULARY, "initializer_range": 0.4, **special, **sizes, **own, **changes}
    return of_classes(config_name, model_name, settings).to(dtype)


def of_classes(config_name: str, model_name: str, settings: dict[str, Any]) -> PreTrainedModel:
    """A fresh model of any class of transformers, in eval mode, with seeded weights."""
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, model_name)(getattr(transformers, config_name)(**settings))
    model.eval()
    return model


@cache
def tiny(architecture: str, attention: str = "sdpa", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The same model each time; not to be changed."""
    return build(architecture, dtype=dtype, attn_implementation=attention)
