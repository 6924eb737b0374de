"""How an implicit update lies to the direction that lowers the answer's loss: -grad L_q(theta).

L_q(theta) is the answer's mean NLL *without* the trajectory, which is what a gradient step on the question
would lower; the gradient is taken with respect to the same weights as the update changes.
"""

import math
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raml.probing.implicit.change import Update
from raml.probing.implicit.layers import ProjectionName, attention_layers


def answer_gradients(
    model: PreTrainedModel, prompt_ids: Sequence[int], marker_ids: Sequence[int], answer_ids: Sequence[int]
) -> dict[ProjectionName, list[Tensor]]:
    """Gradients of the answer NLL without a trajectory, one backward pass for all.

    The model's parameters, their `.grad` and the modules' modes are left as they were.

    Returns:
        For `output` and `value` the gradient [out, in] of each layer's projection, float64.
    """
    layers = attention_layers(model)
    projections = {name: [layer.projection(name) for layer in layers] for name in get_args(ProjectionName)}
    parameters = {
        id(projection.parameter): projection.parameter for chosen in projections.values() for projection in chosen
    }
    frozen = [parameter for parameter in parameters.values() if not parameter.requires_grad]
    training = [module for module in model.modules() if module.training]
    ids = torch.tensor([[*prompt_ids, *marker_ids, *answer_ids[:-1]]], device=model.device)
    answer = torch.tensor(list(answer_ids), device=model.device)
    model.eval()
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer)).logits[0]
            loss = cross_entropy(logits.float(), answer)
            gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        for module in training:
            module.training = True
    return {
        name: [projection.of(gradients[id(projection.parameter)]).double() for projection in chosen]
        for name, chosen in projections.items()
    }


def descent(update: Update, gradients: Sequence[Tensor]) -> list[float]:
    """Each layer's inner product of the update with the negative gradient: what it saves, to first order, in nats."""
    return [
        -float((change.dense() * gradient).sum()) for change, gradient in zip(update.changes, gradients, strict=True)
    ]


def cosine(update: Update, gradients: Sequence[Tensor]) -> float:
    """Cosine between the update and the negative gradient, all layers as one vector; 0 if either is 0."""
    norm = math.hypot(*update.norms()) * math.hypot(*(float(gradient.norm()) for gradient in gradients))
    return math.fsum(descent(update, gradients)) / norm if norm > 0 else 0.0
