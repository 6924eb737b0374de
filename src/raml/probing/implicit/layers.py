"""Where the attention weights of a pretrained model are: one view of them for all architectures."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from raml.errors import InputError

ProjectionName = Literal["output", "value"]

ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3", "gemma3_text", "gpt2"})
"""`model_type`s for which tests hold the changed model equal to the one that reads the trajectory."""
ABSOLUTE_POSITIONS = frozenset({"gpt2"})


@dataclass(frozen=True)
class Projection:
    """A linear map of an attention layer; `rows` are those of its outputs that belong to it.

    GPT-2 keeps queries, keys and values in one matrix and stores its matrices transposed; `weight` hides both.
    `groups` are the blocks of rows that change independently: key-value heads of a value projection.
    """

    module: nn.Linear | Conv1D
    rows: slice
    groups: int

    @property
    def parameter(self) -> nn.Parameter:
        """The tensor as the model stores it."""
        stored: nn.Parameter = self.module.weight  # type: ignore[assignment]  # Conv1D declares it as a tensor
        return stored

    def of(self, stored: Tensor) -> Tensor:
        """The part of `stored`, shaped like `parameter`, that is this projection: a view [out, in]."""
        return (stored.T if isinstance(self.module, Conv1D) else stored)[self.rows]

    @property
    def weight(self) -> Tensor:
        """The weights, a view [out, in] without gradient; writing to it changes the model."""
        return self.of(self.parameter.detach())

    @property
    def bias(self) -> Tensor | None:
        """The bias [out], if there is one."""
        bias: Tensor | None = self.module.bias
        return None if bias is None else bias.detach()[self.rows]


@dataclass(frozen=True)
class AttentionLayer:
    """One layer's attention, H query heads of size h in G key-value groups.

    `output` maps the heads' joined results [H h] to the residual stream, `value` the layer's normed inputs
    to [G h].
    """

    block: nn.Module
    attention: nn.Module
    output: Projection
    value: Projection
    head_dim: int

    def projection(self, name: ProjectionName) -> Projection:
        """`output` or `value`."""
        return self.output if name == "output" else self.value


def attention_layers(model: PreTrainedModel) -> list[AttentionLayer]:
    """The attention layers of `model`, first layer first.

    Raises:
        InputError: an architecture whose changed weights no test covers, or weights that are not plain matrices.
    """
    config = model.config
    decoder: Any = model.base_model
    if config.model_type not in ARCHITECTURES:
        tested = ", ".join(sorted(ARCHITECTURES))
        raise InputError(
            f"{type(model).__name__} ({config.model_type!r}) has no implicit update here; tested: {tested}"
        )
    if config.model_type == "gpt2":
        layers = [_fused(block, config.n_head, config.n_embd) for block in decoder.h]
    else:
        layers = [_separate(block, config.num_key_value_heads) for block in decoder.layers]
    for number, layer in enumerate(layers):
        for name in get_args(ProjectionName):
            module, parameter = layer.projection(name).module, layer.projection(name).parameter
            if type(module) not in (nn.Linear, Conv1D) or not torch.is_floating_point(parameter):
                kind = f"{type(module).__name__} of {parameter.dtype}"
                raise InputError(
                    f"layer {number}: the {name} projection is a {kind}; load the model neither quantised nor adapted"
                )
    return layers


def _separate(block: Any, groups: int) -> AttentionLayer:
    attention = block.self_attn
    everything = slice(None)
    return AttentionLayer(
        block=block,
        attention=attention,
        output=Projection(attention.o_proj, everything, 1),
        value=Projection(attention.v_proj, everything, groups),
        head_dim=attention.head_dim,
    )


def _fused(block: Any, heads: int, width: int) -> AttentionLayer:
    attention = block.attn
    return AttentionLayer(
        block=block,
        attention=attention,
        output=Projection(attention.c_proj, slice(None), 1),
        value=Projection(attention.c_attn, slice(2 * width, 3 * width), heads),
        head_dim=width // heads,
    )
