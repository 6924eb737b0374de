"""Hooks that find the changes of `exact` while the model runs, one layer after the other.

Symbols: B rows, S tokens a row, n query positions, G key-value groups, H query heads of size h.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from raml.probing.implicit.change import LayerChange, least_norm_change
from raml.probing.implicit.layers import ABSOLUTE_POSITIONS, AttentionLayer, Projection, ProjectionName


@dataclass
class Targets:
    """What the run with the trajectory leaves at the query positions, float64.

    `values` holds for each layer the output projection's outputs [B, n, out], or for changes of the value
    projection its inputs [B, n, H h], the heads' results. `embeddings` [B, n, width] are what enters the
    first layer, of models that add positions to it.
    """

    projection: ProjectionName
    values: list[Tensor] = field(default_factory=list)
    embeddings: Tensor | None = None


@contextmanager
def recorded_targets(
    model: PreTrainedModel, layers: Sequence[AttentionLayer], queries: Tensor, projection: ProjectionName
) -> Iterator[Targets]:
    """Run the model with the trajectory within it: fills in the targets at `queries` [B, n]."""
    targets = Targets(projection)

    def keep_embeddings(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        targets.embeddings = _at(inputs[0], queries)

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        targets.values.append(_at(output if projection == "output" else inputs[0], queries))

    with _hooks() as hook, _attention_for(model, projection):
        if model.config.model_type in ABSOLUTE_POSITIONS:
            hook(layers[0].block.register_forward_pre_hook(keep_embeddings))
        for layer in layers:
            hook(layer.output.module.register_forward_hook(keep))
        yield targets


@contextmanager
def found_changes(
    model: PreTrainedModel, layers: Sequence[AttentionLayer], queries: Tensor, targets: Targets
) -> Iterator[list[LayerChange]]:
    """Run the model without the trajectory within it: each layer's change is found, kept and applied at once.

    Each row has changes of its own; `left` and `right` have a leading dimension B.
    """
    changes: list[LayerChange] = []

    def add_shift(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """The first layer's attention has to make up for what the embeddings lack."""
        assert targets.embeddings is not None
        lacking = targets.embeddings - _at(inputs[0], queries)
        if targets.projection == "value":  # as results of the heads that the output projection maps to it
            lacking = lacking @ torch.linalg.pinv(layers[0].output.weight.double()).T
        targets.values[0] = targets.values[0] + lacking

    with _hooks() as hook, _attention_for(model, targets.projection):
        if targets.embeddings is not None:
            hook(layers[0].block.register_forward_pre_hook(add_shift))
        for number, layer in enumerate(layers):
            if targets.projection == "output":
                outputs = _OutputSearch(layer.output, queries, targets, number, changes)
                hook(layer.output.module.register_forward_hook(outputs))
            else:
                values = _ValueSearch(layer, queries, targets, number, changes)
                hook(layer.attention.register_forward_pre_hook(values.find, with_kwargs=True))
                hook(layer.value.module.register_forward_hook(values.apply))
        yield changes


@contextmanager
def _attention_for(model: PreTrainedModel, projection: ProjectionName) -> Iterator[None]:
    """Eager attention where its weights are needed: no other returns them. In both runs, for equal rounding."""
    before = model.config._attn_implementation
    if projection == "value":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if projection == "value":
            model.set_attn_implementation(before)


@dataclass(frozen=True)
class _OutputSearch:
    """A forward hook of one output projection."""

    projection: Projection
    queries: Tensor
    targets: Targets
    number: int
    changes: list[LayerChange]

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        missing = self.targets.values[self.number] - _at(output, self.queries)
        seen = _at(inputs[0], self.queries)
        change = least_norm_change(seen[:, None], missing[:, None], output.dtype)
        self.changes.append(change)
        return _through_changed(self.projection, change, inputs[0])


@dataclass
class _ValueSearch:
    """Hooks of one attention: `find` before it, `apply` after its value projection.

    Attention weights do not depend on the values, so the attention is run twice: by `find` as it is, for its
    weights and its heads' results, and then with the change that follows from them.
    """

    layer: AttentionLayer
    queries: Tensor
    targets: Targets
    number: int
    changes: list[LayerChange]
    change: LayerChange | None = None

    def find(self, attention: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        heads: list[Tensor] = []
        with _hooks() as hook:
            hook(self.layer.output.module.register_forward_pre_hook(lambda _, given: heads.append(given[0])))
            weights = attention.forward(*inputs, **named)[1]
        hidden = inputs[0] if inputs else named["hidden_states"]
        of_queries = _at(weights.transpose(1, 2).flatten(2), self.queries).unflatten(-1, weights.shape[1:4:2])
        means = of_queries @ hidden.double()[:, None]  # [B, n, H, in]
        missing = self.targets.values[self.number] - _at(heads[0], self.queries)
        missing = missing.unflatten(-1, (-1, self.layer.head_dim))
        self.change = least_norm_change(self._by_group(means), self._by_group(missing), hidden.dtype)
        self.changes.append(self.change)

    def apply(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self.change is None:
            return output
        values = _through_changed(self.layer.value, self.change, inputs[0])
        start, stop, _step = self.layer.value.rows.indices(output.shape[-1])
        return torch.cat([output[..., :start], values, output[..., stop:]], dim=-1)

    def _by_group(self, values: Tensor) -> Tensor:
        """[B, n, H, x] as [B, G, n H / G, x]: the heads of a group are neighbours."""
        grouped: Tensor = values.unflatten(2, (self.layer.value.groups, -1))
        return grouped.transpose(1, 2).flatten(2, 3)


def _through_changed(projection: Projection, change: LayerChange, inputs: Tensor) -> Tensor:
    """`inputs` [B, S, in] through the projection, each row with its own change, as `patched` would form the weights."""
    weights = (projection.weight.double() + (change.left.transpose(-1, -2) @ change.right).flatten(1, 2)).to(
        inputs.dtype
    )
    return torch.stack([linear(row, weight, projection.bias) for row, weight in zip(inputs, weights, strict=True)])


def _at(values: Tensor, positions: Tensor) -> Tensor:
    """`values` [B, S, x] at `positions` [B, n], float64."""
    chosen: Tensor = values.gather(1, positions[..., None].expand(-1, -1, values.shape[-1]))
    return chosen.double()


@contextmanager
def _hooks() -> Iterator[Any]:
    """Yields what takes a hook's handle; all of them are removed at the end."""
    with ExitStack() as stack:

        def add(handle: RemovableHandle) -> None:
            stack.callback(handle.remove)

        yield add
