"""One block: the paper's construction and the exact one."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import build, tiny

from raml.errors import InputError
from raml.probing.implicit import model_block
from raml.probing.implicit.block import Attended, Block, RandomBlock, Weights, exact_weights, paper_weights, residuals
from raml.probing.implicit.layers import attention_layers
from raml.probing.implicit.model_block import block_residuals

PROMPT, TOKEN = [1, 5, 9, 12, 20, 2, 7], 30


def drawn(dimension: int, length: int, seed: int = 0) -> tuple[RandomBlock, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block = RandomBlock.draw(dimension, generator)
    embeddings = torch.randn(length + 1, dimension, generator=generator, dtype=torch.float64)
    return block, embeddings[:-1], embeddings[-1]


@settings(max_examples=40, deadline=None)
@given(dimension=st.integers(8, 40), length=st.integers(1, 60), seed=st.integers(0, 1000))
def test_exact_is_exact_and_the_papers_is_not(dimension: int, length: int, seed: int) -> None:
    block, prompt, token = drawn(dimension, length, seed)
    found = residuals(block, prompt, token)
    assert found["exact"].relative_error < 1e-10 and found["exact"].relative_norm > 0
    assert found["paper"].relative_error > 1e-4 and found["paper"].relative_norm > 0
    assert list(found) == ["none", "query", "paper", "exact"]
    assert found["none"].relative_norm == 0 < found["query"].relative_norm


def test_the_baselines_are_the_changed_query_alone_and_no_change() -> None:
    block, prompt, token = drawn(16, 9)
    found = residuals(block, prompt, token)
    expected = block.attend(block.weights, torch.cat([prompt, token[None]])).output

    def error(query: torch.Tensor) -> float:
        head = (query @ (prompt @ block.weights.key).T / 4).softmax(-1) @ prompt @ block.weights.value
        return float(((head @ block.up).relu() @ block.down - expected).norm() / expected.norm())

    assert found["none"].relative_error == pytest.approx(error(prompt[-1] @ block.weights.query))
    assert found["query"].relative_error == pytest.approx(error(token @ block.weights.query))


def test_only_a_changed_query_stands_at_the_further_tokens_position() -> None:
    stood: list[tuple[bool, bool]] = []

    class Recording(RandomBlock):
        def attend(self, weights: Weights, embeddings: torch.Tensor, *, as_further: bool = False) -> Attended:
            stood.append((weights.query is not self.weights.query, as_further))
            return super().attend(weights, embeddings, as_further=as_further)

    block, prompt, token = drawn(16, 9)
    residuals(Recording(block.weights, block.up, block.down), prompt, token)
    assert sum(changed for changed, _ in stood) == 2
    assert all(changed == as_further for changed, as_further in stood)


def test_exact_is_the_rank_one_formula() -> None:
    block, prompt, token = drawn(16, 9)
    with_token = block.attend(block.weights, torch.cat([prompt, token[None]]))
    alone = block.attend(block.weights, prompt)
    e = alone.weights[0] @ prompt
    expected = block.weights.value + torch.outer(e, with_token.heads[0] - e @ block.weights.value) / (e @ e)
    changed = exact_weights(block, prompt, with_token.heads)
    torch.testing.assert_close(changed.value, expected)
    assert changed.query is block.weights.query and changed.key is block.weights.key


def test_the_block_is_softmax_attention_of_the_last_token_and_an_mlp() -> None:
    block, prompt, _ = drawn(8, 5)
    w = block.weights
    scores = torch.tensor([float(prompt[-1] @ w.query @ w.key.T @ row) for row in prompt]).double() / 8**0.5
    attention = scores.exp() / scores.exp().sum()
    attended = block.attend(w, prompt)
    torch.testing.assert_close(attended.weights[0], attention, atol=1e-6, rtol=1e-6)
    output = (attention @ prompt @ w.value @ block.up).clamp(min=0) @ block.down
    torch.testing.assert_close(attended.output, output, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("dimension", "length"), [(24, 5), (24, 24)])
def test_the_papers_keys_and_values_are_exact_without_a_softmax(dimension: int, length: int) -> None:
    block, prompt, _ = drawn(dimension, length)
    token = (
        torch.randn(length, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) @ prompt
    )  # in their span
    before, changed = block.weights, paper_weights(block.weights, prompt, token)
    torch.testing.assert_close(prompt[-1] @ changed.query, token @ before.query)

    def linear(weights: Weights, embeddings: torch.Tensor) -> torch.Tensor:
        scores = (embeddings[-1] @ weights.query) @ (embeddings @ weights.key).T
        return scores @ (embeddings @ weights.value)

    expected = linear(before, torch.cat([prompt, token[None]]))
    torch.testing.assert_close(linear(changed, prompt), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_a_models_blocks(architecture: str) -> None:
    model = build(architecture, initializer_range=0.2)
    found = block_residuals(model, PROMPT, TOKEN)
    assert len(found) == 2
    for layer in found:
        assert layer["exact"].relative_error < 1e-5
        assert 1e-2 < layer["paper"].relative_error < 10
    assert model.config._attn_implementation == "sdpa" and model.dtype == torch.float32
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_models_block_is_the_layers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    seen: list[torch.Tensor] = []
    handle = attention_layers(model)[0].output.module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model(torch.tensor([[*PROMPT, TOKEN]]))
    handle.remove()
    attended: list[torch.Tensor] = []

    def keep(block: Block, prompt: torch.Tensor, token: torch.Tensor) -> None:
        attended.append(block.attend(block.weights, torch.cat([prompt, token[None]])).heads)

    monkeypatch.setattr(model_block, "residuals", keep)
    block_residuals(model, PROMPT, TOKEN)
    torch.testing.assert_close(attended[0].flatten().float(), seen[0][0, -1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_a_changed_query_attends_as_the_further_token_does(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(architecture, initializer_range=0.2)
    compared: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def keep(block: Block, prompt: torch.Tensor, token: torch.Tensor) -> None:
        query = replace(block.weights, query=paper_weights(block.weights, prompt, token).query)
        with_token = block.attend(block.weights, torch.cat([prompt, token[None]])).weights[:, :-1]
        expected = with_token / with_token.sum(-1, keepdim=True)
        moved = block.attend(query, prompt, as_further=True)
        assert moved.weights.shape == (4, len(prompt))
        compared.append((moved.weights, expected, block.attend(query, prompt).weights))

    monkeypatch.setattr(model_block, "residuals", keep)
    block_residuals(model, PROMPT, TOKEN)
    for moved, expected, in_place in compared:
        torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-5)
        assert (in_place - expected).abs().max() > 1e-3  # what the position by itself would add


def test_blocks_that_are_not_the_propositions_are_refused() -> None:
    with pytest.raises(InputError, match="blocks of 'gpt2' are not the proposition's; allowed: llama, qwen2, qwen3"):
        block_residuals(tiny("gpt2"), PROMPT, TOKEN)
    with pytest.raises(InputError, match="a layer with a sliding window"):
        block_residuals(tiny("qwen2_sliding"), PROMPT, TOKEN)
