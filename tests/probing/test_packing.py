"""The context is read once, seen as far as asked, and never written."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from raml.probing import packing


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=29,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    model = LlamaForCausalLM(config)
    model.eval()
    return model


def test_context_serves_any_prefix_in_any_order_and_stays_as_it_is(model: LlamaForCausalLM) -> None:
    tokens = [1, 2, 3, 4, 5, 6, 7]
    with packing.scoring(model):
        context = packing.read_context(model, tokens)
        before = [(keys.clone(), values.clone()) for keys, values in context.layers]
        together = packing.probe_nll(model, context, [7, 2, 5, 1], [8], [9, 10], token_budget=100)
        alone = [packing.probe_nll(model, context, [seen], [8], [9, 10], token_budget=1) for seen in (7, 2, 5, 1)]
        short = packing.probe_nll(model, packing.read_context(model, tokens[:2]), [2], [8], [9, 10], token_budget=100)
    assert together.shape == (4, 2)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    torch.testing.assert_close(together[1:2], short, atol=1e-5, rtol=0)
    assert context.length == 7
    for (keys, values), (keys_before, values_before) in zip(context.layers, before, strict=True):
        assert torch.equal(keys, keys_before)
        assert torch.equal(values, values_before)


@pytest.mark.parametrize("budget", [1, 7, 24, 200, 1000])
def test_no_pass_exceeds_the_budget(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    fed: list[tuple[int, int]] = []
    forward = model.forward

    def recording(**inputs: torch.Tensor) -> object:
        fed.append(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    with packing.scoring(model):
        context = packing.read_context(model, list(range(20)))
        monkeypatch.setattr(model, "forward", recording)
        packing.probe_nll(model, context, list(range(1, 21)) * 10, [8], [9, 10, 11], token_budget=budget)
    probe_tokens = 3  # marker + answer - 1
    assert all(rows * width <= max(budget, probe_tokens) for rows, width in fed)
    assert all(width <= packing.ROW_TOKENS for _, width in fed)
    assert sum(rows * width for rows, width in fed) >= 200 * probe_tokens


def test_scoring_restores_the_modes_after_an_error(model: LlamaForCausalLM) -> None:
    model.train()
    with pytest.raises(ValueError, match="in the middle"), packing.scoring(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ValueError("in the middle")
    assert all(module.training for module in model.modules())
    model.eval()
