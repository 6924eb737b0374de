"""Changes of attention weights in factored form, and a model that carries them for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.implicit.layers import ProjectionName, attention_layers


class TooManyConditionsError(InputError):
    """More is asked of one projection than any change of it could meet."""


class NotFiniteError(RamlError):
    """Under a change numbers overflow."""


@dataclass(frozen=True)
class LayerChange:
    """The change of one projection, in G independent groups of rows, each of rank at most k; float64.

    `left` [G, k, out / G] and `right` [G, k, in]: group g of the rows changes by `left[g].T @ right[g]`.
    """

    left: Tensor
    right: Tensor

    def dense(self) -> Tensor:
        """The change as a matrix [out, in]."""
        return (self.left.transpose(-1, -2) @ self.right).flatten(0, 1)

    def norm(self) -> float:
        """Its Frobenius norm."""
        return float(self.dense().norm())


@dataclass(frozen=True)
class Update:
    """One change for each layer, first layer first, all of the same projection."""

    projection: ProjectionName
    changes: tuple[LayerChange, ...]

    def norms(self) -> list[float]:
        """Frobenius norm of each layer's change."""
        return [change.norm() for change in self.changes]


def least_norm_change(inputs: Tensor, missing: Tensor, precision: torch.dtype) -> LayerChange:
    """The smallest change dW of a linear map for which dW z = r, for k pairs at once.

    That is dW = r^T pinv(z)^T, of rank at most k; for k = 1 the rank-one r^T z / (z z^T). Where inputs
    repeat or depend on one another, up to `precision`, it is the least-squares solution.

    Args:
        inputs: [G, k, in], the z.
        missing: [G, k, out / G], the r: what the map lacks at each input.
        precision: of the numbers that the inputs were computed in; smaller singular values count as 0.

    Raises:
        NotFiniteError: what is given holds NaN or infinity.
    """
    inputs, missing = inputs.double(), missing.double()
    if not (bool(inputs.isfinite().all()) and bool(missing.isfinite().all())):
        raise NotFiniteError("a layer's inputs hold NaN or infinity: the changes of the layers before it are too large")
    tolerance = max(inputs.shape[-2:]) * torch.finfo(precision).eps
    inverse = torch.linalg.pinv(inputs, rtol=tolerance)
    return LayerChange(left=missing, right=inverse.transpose(-1, -2))


@contextmanager
def patched(model: PreTrainedModel, update: Update) -> Iterator[None]:
    """Within it the attention weights of `model` carry `update`; afterwards they are bit for bit as before.

    Sums are formed in float64 and rounded once to the model's own precision. In bf16 that rounding is
    larger than most updates: load the model in fp32 for equal logits.

    Raises:
        InputError: the update is of another model's shape.
    """
    projections = [layer.projection(update.projection) for layer in attention_layers(model)]
    expected = [(len(weight), weight.shape[1]) for weight in (projection.weight for projection in projections)]
    shapes = [(c.left.shape[0] * c.left.shape[2], c.right.shape[2]) for c in update.changes]
    if shapes != expected:
        raise InputError(
            f"the update is for {len(shapes)} {update.projection} projections of {_shown(shapes)}, the model has "
            f"{len(expected)} of {_shown(expected)}; derive it from this model"
        )
    before: list[tuple[Tensor, Tensor]] = []
    try:
        for projection, change in zip(projections, update.changes, strict=True):
            weight = projection.weight
            before.append((weight, weight.clone()))
            weight.copy_(weight.double() + change.dense().to(weight.device))
        yield
    finally:
        for weight, values in before:
            weight.copy_(values)


def _shown(shapes: list[tuple[int, int]]) -> str:
    return ", ".join(sorted({f"{rows} x {columns}" for rows, columns in shapes})) or "no shape"
