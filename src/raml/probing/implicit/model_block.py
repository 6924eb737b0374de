"""Blocks of a pretrained model as Proposition 2.1 sees them.

A block is the layer's own attention (all heads, biases and rotary positions as they are), its output
projection, and the norm and MLP that follow it. Residual connections are left out, as in the proposition: the
residual stream at the last position would be another token's without the further one. What is fed are the
normed hidden states that enter the attention when the model reads prompt and token. Where the query is changed
to be the further token's, it is turned as at that token's position (`block` says why). All is float64, but for the
attention's softmax (and norms of queries and keys), which the model's own code computes in float32.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from raml.errors import InputError
from raml.probing.implicit.block import Attended, Residual, Weights, residuals
from raml.probing.implicit.layers import attention_layers
from raml.probing.packing import scoring

ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})


@dataclass(frozen=True)
class ModelBlock:
    """One layer, in float64; `rotary` are the cosines and sines [1, L + 1, h] of the positions."""

    attention: Any
    norm: Any
    mlp: nn.Module
    rotary: tuple[Tensor, Tensor]
    groups: int

    @property
    def weights(self) -> Weights:
        """The layer's own."""
        attention = self.attention
        return Weights(attention.q_proj.weight.T, attention.k_proj.weight.T, attention.v_proj.weight.T)

    def attend(self, weights: Weights, embeddings: Tensor, *, as_further: bool = False) -> Attended:
        """Run the block; see `block.Block`."""
        seen: list[Tensor] = []
        handle = self.attention.o_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, -1]))
        matrices = {"q_proj": weights.query, "k_proj": weights.key, "v_proj": weights.value}
        read, mask = len(embeddings), None  # without a mask: only the last position, which sees all, is used
        if as_further:  # the last row once more, one position on, for the sake of its query alone
            embeddings = torch.cat([embeddings, embeddings[-1:]])
            mask = embeddings.new_zeros(1, 1, 1, read + 1)
            mask[..., -1] = float("-inf")
        try:
            output, attention = functional_call(
                self.attention,
                {f"{name}.weight": matrix.T for name, matrix in matrices.items()},
                kwargs={
                    "hidden_states": embeddings[None],
                    "position_embeddings": tuple(part[:, : len(embeddings)] for part in self.rotary),
                    "attention_mask": mask,
                },
            )
        finally:
            handle.remove()
        last = self.mlp(_rms_norm(output[0, -1], self.norm.weight, self.norm.variance_epsilon))
        heads = seen[0].unflatten(0, (-1, self.attention.head_dim))
        return Attended(heads, attention[0, :, -1, :read].double(), last)


def block_residuals(model: PreTrainedModel, prompt_ids: Sequence[int], token_id: int) -> list[dict[str, Residual]]:
    """`block.residuals` of each layer of `model`, first layer first, for a prompt and one further token.

    Raises:
        InputError: an architecture other than `ARCHITECTURES`, or a layer with a sliding window.
    """
    config = model.config
    if config.model_type not in ARCHITECTURES:
        allowed = ", ".join(sorted(ARCHITECTURES))
        raise InputError(f"blocks of {config.model_type!r} are not the proposition's; allowed: {allowed}")
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        raise InputError("a layer with a sliding window is not the proposition's block, which attends to all tokens")
    entering: list[tuple[Tensor, tuple[Tensor, Tensor]]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        cosines, sines = named["position_embeddings"]
        entering.append((named["hidden_states"][0].double(), (cosines.double(), sines.double())))

    layers = attention_layers(model)
    handles = [layer.attention.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers]
    found = []
    with scoring(model):
        try:
            model(input_ids=torch.tensor([[*prompt_ids, token_id]], device=model.device), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        for layer, (hidden, rotary) in zip(layers, entering, strict=True):
            copied: Any = copy.deepcopy(layer.block).double()
            copied.self_attn.config._attn_implementation = "eager"  # the copy's own configuration
            block = ModelBlock(
                copied.self_attn, copied.post_attention_layernorm, copied.mlp, rotary, layer.value.groups
            )
            found.append(residuals(block, hidden[:-1], hidden[-1]))
    return found


def _rms_norm(values: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """The architectures' norm, whose own code rounds to float32, which would hide small errors."""
    return weight * values * torch.rsqrt(values.square().mean() + epsilon)
