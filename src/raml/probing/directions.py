"""Random directions in weight space that are as long, filter by filter, as the weights themselves (Li et al. 2018).

Moved are all weights but embeddings (of positions too) and the language-model head, whether or not the two are
tied (Algorithm 4). A *filter* is what feeds one output: a row of a linear layer's weight, a column of GPT-2's
`Conv1D`, whose weight is stored transposed, all inputs of one output channel of a convolution. Of other tensors
of two dimensions or more, such as stacked experts, it is a vector along the last one. A tensor of one dimension
(biases, the gains of norms) is one filter: Li et al. leave those out of their plots, Algorithm 4 does not.

A direction is drawn on the CPU in fp32, a tensor at a time, by a generator that is seeded with the seed, the
direction's and the tensor's name. So it depends neither on the device, nor on the number of threads, nor on
which other tensors there are; only on the architecture and, in the last bits, on the processor's instructions.
"""

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from raml.config import Normalisation
from raml.errors import InputError
from raml.questions.family import stable_seed

Axis = Literal["x", "y"]
AXES: Final[tuple[Axis, Axis]] = ("x", "y")


@dataclass(frozen=True)
class Weight:
    """A tensor that is moved. `filter_dims` are the dimensions over which the elements of one filter lie."""

    name: str
    parameter: nn.Parameter
    filter_dims: tuple[int, ...]


def moved_weights(model: PreTrainedModel) -> list[Weight]:
    """All weights of `model` but embeddings and head, each shared tensor once.

    Raises:
        InputError: a weight is quantised, or not in memory (offloaded).
    """
    seen = {id(parameter) for parameter in _embeddings_and_head(model)}
    weights = []
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            weight = Weight(f"{prefix}.{name}".lstrip("."), parameter, _filter_dims(module, parameter))
            if not parameter.is_floating_point() or parameter.dtype.itemsize < 2:
                raise InputError(
                    f"{weight.name} is quantised ({parameter.dtype}); load the model in bfloat16 or float32"
                )
            if parameter.is_meta:
                raise InputError(f"{weight.name} is offloaded; load the whole model on one device")
            weights.append(weight)
    if not weights:
        raise InputError(f"{type(model).__name__} has no weights but embeddings and head: there is nothing to move")
    return weights


def _embeddings_and_head(model: PreTrainedModel) -> list[nn.Parameter]:
    modules = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    named = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [parameter for module in [*modules, *named] if module is not None for parameter in module.parameters()]


def _filter_dims(module: nn.Module, parameter: Tensor) -> tuple[int, ...]:
    if parameter.ndim < 2:
        return tuple(range(parameter.ndim))
    if isinstance(module, Conv1D):
        return (0,)
    if isinstance(module, _ConvNd):
        return tuple(range(1, parameter.ndim))
    return (parameter.ndim - 1,)


def random_direction(weight: Weight, seed: int, axis: Axis) -> Tensor:
    """Standard normal numbers of the weight's shape, fp32 on the CPU, not yet scaled."""
    generator = torch.Generator().manual_seed(stable_seed("landscape", seed, axis, weight.name))
    return torch.randn(weight.parameter.shape, generator=generator, dtype=torch.float32)


def filter_scale(weight: Weight, direction: Tensor, normalisation: Normalisation) -> Tensor:
    """What to multiply `direction` by so that each of its filters is as long as the weight's own.

    Args:
        weight: whose filters are matched, as they are now.
        direction: the weight's shape, fp32 on the CPU.
        normalisation: `filter`, or `tensor`: the whole tensor is matched as one filter, as the paper's released
            code does.

    Returns:
        fp32 on the CPU, of a shape that broadcasts over `direction`; 0 where the weight's filter is 0.
    """
    dims = weight.filter_dims if normalisation == "filter" else tuple(range(direction.ndim))
    wanted, own = (_norm(tensor, dims) for tensor in (weight.parameter.detach().cpu().float(), direction))
    return torch.where(own > 0, wanted / own, 0.0).float()


def _norm(tensor: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The length over `dims`, which are kept.

    One dimension of a matrix at a time, since torch sums each result of such a step on one thread; what it may split
    between threads (a whole vector) is summed in fp64, so that the order is not seen in fp32.
    """
    norm: Tensor = tensor if dims else tensor.abs()
    for dim in reversed(dims):
        precise = norm.numel() == norm.shape[dim]
        norm = torch.linalg.vector_norm(norm, dim=dim, keepdim=True, dtype=torch.float64 if precise else None)
    return norm


def normalised_direction(weight: Weight, seed: int, axis: Axis, normalisation: Normalisation) -> Tensor:
    """The direction along `axis` in one tensor: the weight's shape, fp32 on the CPU."""
    direction = random_direction(weight, seed, axis)
    return direction.mul_(filter_scale(weight, direction, normalisation))
