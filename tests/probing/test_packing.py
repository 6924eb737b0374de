"""Passes stay within the budget; probes that begin alike share their beginnings."""

import pytest
import torch
from tiny_models import build

from raml.probing import packing
from raml.probing.budget import Budget
from raml.probing.context import Context
from raml.probing.tree import Probe


@pytest.mark.parametrize("budget", [1, 7, 24, 200, 1000])
def test_no_pass_exceeds_the_budget(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    model = build("llama")
    fed: list[tuple[int, int]] = []
    forward = model.forward

    def recording(**inputs: torch.Tensor) -> object:
        fed.append(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    probe = Probe((8,), (9, 10, 11))
    monkeypatch.setattr(model, "forward", recording)
    with packing.scoring(model):
        context = Context(20)
        context.read(model, list(range(20)), Budget(budget))
        assert all(rows * width <= budget for rows, width in fed)
        assert sum(rows * width for rows, width in fed) == 20
        fed.clear()
        packing.packed_nll(model, context, sorted(list(range(1, 21)) * 10), [probe], Budget(budget))
    tokens = len(probe.fed)
    assert all(rows * width <= max(budget, tokens) for rows, width in fed)
    assert all(width <= packing.ROW_TOKENS for _, width in fed)
    assert 200 * tokens <= sum(rows * width for rows, width in fed) <= 230 * tokens


def test_scoring_restores_the_modes_after_an_error() -> None:
    model = build("llama").train()
    with pytest.raises(ValueError, match="in the middle"), packing.scoring(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ValueError("in the middle")
    assert all(module.training for module in model.modules())
