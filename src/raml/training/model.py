"""The micro model: a Qwen2-style decoder with heads of 32, some of which start out able to copy.

At this size copying a term from the prompt, not arithmetic, is what training spends its time on. So
the first layer's heads start by looking 1, 2 and 3 tokens back (through Qwen2's query and key biases
under RoPE), and two heads of the second layer start as induction heads: they look for the token
after an earlier occurrence of the current one (Olsson et al. 2022). Everything stays trainable.
"""

import math

import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention

from raml.config import Architecture

ROPE_THETA = 10_000.0
PREVIOUS_TOKEN_SHARPNESS = 6.0
MATCH_SHARPNESS = 3.0


def build_model(
    architecture: Architecture, vocabulary: int, seed: int, *, bos: int, eos: int, pad: int
) -> Qwen2ForCausalLM:
    """A freshly initialised model in fp32; the same seed gives the same weights."""
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.heads,
        max_position_embeddings=architecture.context,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=pad,
        dtype=torch.float32,
    )
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(config)
    plant_copy_heads(model)
    return model


@torch.no_grad()
def plant_copy_heads(model: Qwen2ForCausalLM) -> None:
    """Initialise the first two layers' heads for copying, as the module's docstring says."""
    hidden = model.config.hidden_size
    head_dim = hidden // model.config.num_attention_heads
    first, second = (model.model.layers[index].self_attn for index in (0, 1))
    for head in range(model.config.num_attention_heads):
        _look_back(first, head, head_dim, distance=1 + head % 3)

    # Slow rotations barely turn within a prompt, so matching on them compares contents, not positions.
    slow = [*range(head_dim // 4, head_dim // 2), *range(3 * head_dim // 4, head_dim)]
    basis = torch.linalg.qr(torch.randn(hidden, hidden))[0]
    read, carry = basis[:head_dim], basis[head_dim : 2 * head_dim]
    previous = slice(0, head_dim)
    first.v_proj.weight[previous] = read * math.sqrt(head_dim)
    first.o_proj.weight[:, previous] = carry.T
    for head in range(min(2, model.config.num_attention_heads)):
        rows = slice(head * head_dim, (head + 1) * head_dim)
        for projection, directions in ((second.q_proj, read), (second.k_proj, carry)):
            projection.weight[rows] *= 0.1
            projection.weight[head * head_dim + torch.tensor(slow)] = MATCH_SHARPNESS * directions[slow]
        second.v_proj.weight[rows] = read
        second.o_proj.weight[:, rows] = read.T


def _look_back(attention: Qwen2Attention, head: int, head_dim: int, distance: int) -> None:
    """Bias a head's queries and keys so that its scores peak `distance` tokens back.

    With constant query b and key b rotated by RoPE, the score at distance d is sum_f cos(w_f (d - distance)).
    """
    rows = slice(head * head_dim, (head + 1) * head_dim)
    frequencies = ROPE_THETA ** (-torch.arange(0, head_dim, 2) / head_dim)
    constant = torch.ones(head_dim // 2)
    attention.q_proj.weight[rows] *= 0.1
    attention.k_proj.weight[rows] *= 0.1
    scale = math.sqrt(PREVIOUS_TOKEN_SHARPNESS)
    attention.q_proj.bias[rows] = scale * torch.cat([constant, torch.zeros(head_dim // 2)])
    attention.k_proj.bias[rows] = scale * _rotate(constant, frequencies * distance)


def _rotate(cosines: Tensor, angles: Tensor) -> Tensor:
    return torch.cat([cosines * torch.cos(angles), cosines * torch.sin(angles)])
