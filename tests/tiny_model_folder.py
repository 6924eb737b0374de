"""A tiny random model with the tokenizer of the micro models, as a folder."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from raml.trajectories.tokenizer import build_tokenizer

CONTEXT = 64


def tiny_model(folder: Path, *, seed: int = 0, context: int = CONTEXT) -> LlamaForCausalLM:
    """Save the model and its tokenizer in `folder`."""
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context,
            initializer_range=0.4,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
