"""The micro model: a Llama-style decoder with heads of 32, some of which start out able to copy.

At this size copying a term from the prompt, not arithmetic, is what training spends its time on. So
the first layer's heads start by looking 1, 2 and 3 tokens back (through the query and key biases
under RoPE) and write what they see into subspaces of their own; heads of the second layer start as
induction heads (Olsson et al. 2022), which look for the token that once followed the current token,
or the one 2 or 3 back. Everything stays trainable.
"""

import math

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention

from raml.config import Architecture

ROPE_THETA = 10_000.0
EMBEDDING_STD = 0.1  # of the tied embeddings; what planted heads write is of the same size
LOOK_BACK_SHARPNESS = 10.0
MATCH_SHARPNESS = 3.0
CARRY_GAIN = 2.0
COPY_GAIN = 0.3


def build_model(architecture: Architecture, seed: int, *, bos: int, eos: int, pad: int) -> LlamaForCausalLM:
    """A freshly initialised model in fp32; the same seed gives the same weights."""
    config = LlamaConfig(
        vocab_size=architecture.vocabulary,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads,
        max_position_embeddings=architecture.context,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        attention_bias=True,
        tie_word_embeddings=architecture.tied,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=pad,
        dtype=torch.float32,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    plant_copy_heads(model)
    return model


@torch.no_grad()
def plant_copy_heads(model: LlamaForCausalLM) -> None:
    """Initialise the first two layers' heads for copying, as the module's docstring says."""
    hidden, heads = model.config.hidden_size, model.config.num_attention_heads
    head_dim = hidden // heads
    first, second = (model.model.layers[index].self_attn for index in (0, 1))
    embedding = model.model.embed_tokens.weight
    embedding.normal_(std=EMBEDDING_STD)
    embedding[model.config.pad_token_id] = 0.0
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight *= 0.5
        layer.mlp.down_proj.weight *= 0.5

    basis = torch.linalg.qr(torch.randn(hidden, hidden))[0]
    content, *carried = (basis[start : start + head_dim] for start in range(0, hidden, head_dim))
    for head, subspace in zip(range(heads), carried, strict=False):
        rows = slice(head * head_dim, (head + 1) * head_dim)
        _look_back(first, head, head_dim, distance=1 + head % 3)
        first.v_proj.weight[rows] = content
        first.o_proj.weight[:, rows] = CARRY_GAIN * EMBEDDING_STD * subspace.T

    # Slow rotations barely turn within a prompt, so matching on them compares contents, not positions.
    slow = torch.tensor([*range(head_dim // 4, head_dim // 2), *range(3 * head_dim // 4, head_dim)])
    for head, sought in zip(range(heads), [content, *carried[1:]], strict=False):
        rows = slice(head * head_dim, (head + 1) * head_dim)
        for projection, directions in ((second.q_proj, sought), (second.k_proj, carried[0])):
            projection.weight[rows] *= 0.1
            projection.weight[head * head_dim + slow] = MATCH_SHARPNESS * directions[slow]
        second.v_proj.weight[rows] = content
        second.o_proj.weight[:, rows] = COPY_GAIN * content.T


def _look_back(attention: LlamaAttention, head: int, head_dim: int, distance: int) -> None:
    """Bias a head's queries and keys so that its scores peak `distance` tokens back.

    With constant query b and key b rotated by RoPE, the score at distance d is sum_f cos(w_f (d - distance)).
    """
    rows = slice(head * head_dim, (head + 1) * head_dim)
    frequencies = ROPE_THETA ** (-torch.arange(0, head_dim, 2) / head_dim)
    constant = torch.ones(head_dim // 2)
    attention.q_proj.weight[rows] *= 0.1
    attention.k_proj.weight[rows] *= 0.1
    scale = math.sqrt(LOOK_BACK_SHARPNESS)
    attention.q_proj.bias[rows] = scale * torch.cat([constant, torch.zeros(head_dim // 2)])
    attention.k_proj.bias[rows] = scale * _rotate(constant, frequencies * distance)


def _rotate(cosines: Tensor, angles: Tensor) -> Tensor:
    return torch.cat([cosines * torch.cos(angles), cosines * torch.sin(angles)])
