"""Directions have the lengths of the weights' filters, leave embeddings and head alone and follow from the seed."""

import pytest
import torch
from landscape_models import ARCHITECTURES, tiny
from torch import nn

from raml.errors import InputError
from raml.probing.directions import moved_weights, normalised_direction


def norms(tensor: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return tensor.detach().double().square().sum(dim=dims).sqrt() if dims else tensor.detach().double().abs()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_filters_are_as_long_as_the_weights_own(architecture: str) -> None:
    for weight in moved_weights(tiny(architecture)):
        direction = normalised_direction(weight, 0, "x", "filter")
        assert direction.shape == weight.parameter.shape and direction.dtype == torch.float32
        torch.testing.assert_close(
            norms(direction, weight.filter_dims), norms(weight.parameter, weight.filter_dims), rtol=1e-5, atol=1e-12
        )


def test_a_filter_is_what_feeds_one_output() -> None:
    by_name = {weight.name: weight for weight in moved_weights(tiny("llama"))}
    gate = by_name["model.layers.0.mlp.gate_proj.weight"]
    assert gate.parameter.shape == (48, 32) and gate.filter_dims == (1,)
    assert by_name["model.norm.weight"].filter_dims == (0,)  # a vector is one filter
    transposed = {weight.name: weight for weight in moved_weights(tiny("gpt2"))}["transformer.h.0.mlp.c_fc.weight"]
    assert transposed.parameter.shape == (32, 128) and transposed.filter_dims == (0,)


def test_per_tensor_only_the_whole_has_the_weights_length() -> None:
    for weight in moved_weights(tiny("llama")):
        direction = normalised_direction(weight, 0, "y", "tensor")
        everything = tuple(range(direction.ndim))
        torch.testing.assert_close(norms(direction, everything), norms(weight.parameter, everything), rtol=1e-5, atol=0)
        if direction.ndim == 2:
            ratio = norms(direction, weight.filter_dims) / norms(weight.parameter, weight.filter_dims)
            assert ratio.max() / ratio.min() > 1.2


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_embeddings_and_head_are_left_out(architecture: str, tied: bool) -> None:
    model = tiny(architecture, tied=tied)
    moved = {id(weight.parameter) for weight in moved_weights(model)}
    named = dict(model.named_parameters())
    assert all(named[weight.name] is weight.parameter for weight in moved_weights(model))
    left = {name for name, parameter in model.named_parameters() if id(parameter) not in moved}
    expected = {"gpt2": {"transformer.wte.weight", "transformer.wpe.weight"}}.get(
        architecture, {"model.embed_tokens.weight"}
    )
    assert left == (expected if tied else {*expected, "lm_head.weight"})


def test_a_filter_of_zeros_stays() -> None:
    model = tiny("llama")
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[3] = 0.0
    weight = {weight.name: weight for weight in moved_weights(model)}["model.layers.0.mlp.up_proj.weight"]
    direction = normalised_direction(weight, 0, "x", "filter")
    assert direction[3].abs().sum() == 0 and direction[2].abs().sum() > 0


def test_weights_that_cannot_be_moved_are_named() -> None:
    model = tiny("llama")
    layer = model.model.layers[0].mlp.up_proj
    layer.weight = nn.Parameter(layer.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(InputError, match=r"model.layers.0.mlp.up_proj.weight is quantised \(torch.int8\)"):
        moved_weights(model)
    layer.weight = nn.Parameter(torch.empty(48, 32, device="meta"))
    with pytest.raises(InputError, match=r"up_proj\.weight is offloaded"):
        moved_weights(model)
