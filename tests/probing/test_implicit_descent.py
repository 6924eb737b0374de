"""Gradients without the trajectory, and how updates lie to them."""

import math

import pytest
import torch
from tiny_models import build, tiny

from raml.probing.implicit import (
    LayerChange,
    Update,
    answer_gradients,
    cosine,
    descent,
    implicit_update,
    patched,
)

PROMPT, TRAJECTORY, MARKER, ANSWER = [1, 5, 9, 12, 20, 2], [4, 8, 15], [30, 31], [7, 3]
PROJECTIONS = ["output", "value"]


def nll_without(model: torch.nn.Module) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([[*PROMPT, *MARKER, *ANSWER[:-1]]])).logits[0, -len(ANSWER) :]
    return float(torch.nn.functional.cross_entropy(logits.double(), torch.tensor(ANSWER)))


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_small_step_lowers_the_loss_by_what_descent_says(architecture: str, projection: str) -> None:
    model = build(architecture, initializer_range=0.2)
    gradients = answer_gradients(model, PROMPT, MARKER, ANSWER)[projection]  # type: ignore[index]
    generator = torch.Generator().manual_seed(1)
    changes = [
        LayerChange(
            3e-3 * torch.randn(1, 2, len(gradient), generator=generator, dtype=torch.float64),
            torch.randn(1, 2, gradient.shape[1], generator=generator, dtype=torch.float64),
        )
        for gradient in gradients
    ]
    ahead, back = (Update(projection, tuple(LayerChange(s * c.left, c.right) for c in changes)) for s in (1, -1))  # type: ignore[arg-type]
    with patched(model, ahead):
        after = nll_without(model)
    with patched(model, back):
        before = nll_without(model)
    assert (before - after) / 2 == pytest.approx(sum(descent(ahead, gradients)), rel=0.02, abs=2e-6)


def test_the_negative_gradient_itself_has_cosine_one() -> None:
    gradients = answer_gradients(tiny("llama"), PROMPT, MARKER, ANSWER)["output"]
    straight = Update("output", tuple(LayerChange(-g.T[None], torch.eye(len(g.T)).double()[None]) for g in gradients))
    assert [tuple(change.dense().shape) for change in straight.changes] == [tuple(g.shape) for g in gradients]
    assert cosine(straight, gradients) == pytest.approx(1)
    nothing = Update("output", tuple(LayerChange(0 * c.left, c.right) for c in straight.changes))
    assert cosine(nothing, gradients) == 0


def test_cosine_is_of_all_layers_as_one_vector() -> None:
    model = tiny("llama")
    update = implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    gradients = answer_gradients(model, PROMPT, MARKER, ANSWER)["output"]
    flat = torch.cat([change.dense().flatten() for change in update.changes])
    down = -torch.cat([gradient.flatten() for gradient in gradients])
    assert cosine(update, gradients) == pytest.approx(float(flat @ down / (flat.norm() * down.norm())))
    assert math.hypot(*update.norms()) == pytest.approx(float(flat.norm()))


def test_the_model_is_left_as_it_was() -> None:
    model = build("llama")
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    gradients = answer_gradients(model, PROMPT, MARKER, ANSWER)
    assert all(module.training for module in model.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
    torch.testing.assert_close(gradients["output"], answer_gradients(tiny("llama"), PROMPT, MARKER, ANSWER)["output"])
