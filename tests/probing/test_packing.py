"""The context is read once, seen as far as asked, and never written; passes stay within the budget."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import VOCABULARY, build, tiny
from transformers import PreTrainedModel

from raml.probing import packing
from raml.probing.budget import Budget
from raml.probing.context import Context
from raml.probing.tree import Probe, groups, probe_tree, tree_size

PROBES = [Probe((8,), (9, 10)), Probe((8,), (9, 11, 12)), Probe((13, 14), (9,))]


def read(model: PreTrainedModel, tokens: list[int], budget: int = 100) -> Context:
    context = Context(len(tokens))
    context.read(model, tokens, Budget(budget))
    return context


@pytest.mark.parametrize("architecture", ["gemma3", "llama"])
def test_context_serves_any_prefix_and_stays_as_it_is(architecture: str) -> None:
    model = tiny(architecture)
    tokens = [1, 2, 3, 4, 5, 6, 7]
    with packing.scoring(model):
        context = read(model, tokens)
        before = [(layer.keys.clone(), layer.values.clone()) for layer in context.layers]
        together = packing.packed_nll(model, context, [1, 2, 5, 7], PROBES, Budget(100))
        alone = [packing.packed_nll(model, context, [seen], PROBES, Budget(1)) for seen in (1, 2, 5, 7)]
        short = packing.packed_nll(model, read(model, tokens[:2]), [2], PROBES, Budget(100))
    assert together.shape == (4, 3)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)
    torch.testing.assert_close(together[1:2], short, atol=1e-5, rtol=0)
    assert context.length == 7
    for layer, (keys, values) in zip(context.layers, before, strict=True):
        assert torch.equal(layer.keys, keys)
        assert torch.equal(layer.values, values)


@pytest.mark.parametrize("architecture", ["gemma3", "gpt2", "llama", "mistral_sliding"])
def test_a_context_read_in_pieces_and_after_a_cut_is_the_same(architecture: str) -> None:
    model = tiny(architecture)
    tokens = list(range(3, 23))
    with packing.scoring(model):
        at_once, in_pieces = read(model, tokens), read(model, tokens, budget=3)
        second = Context(len(tokens))
        second.read(model, [*tokens[:8], 2, 2], Budget(100))
        second.cut(8)
        second.read(model, tokens[8:], Budget(100))
    for other in (in_pieces, second):
        assert other.length == len(tokens)
        for layer, expected in zip(other.layers, at_once.layers, strict=True):
            torch.testing.assert_close(layer.keys, expected.keys, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(layer.values, expected.values, atol=1e-4, rtol=1e-4)


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
        context = read(model, list(range(20)), budget)
        assert all(rows * width <= budget for rows, width in fed)
        assert sum(rows * width for rows, width in fed) == 20
        fed.clear()
        packing.packed_nll(model, context, sorted(list(range(1, 21)) * 10), [probe], Budget(budget))
    tokens = len(probe.fed)
    assert all(rows * width <= max(budget, tokens) for rows, width in fed)
    assert all(width <= packing.ROW_TOKENS for _, width in fed)
    assert 200 * tokens <= sum(rows * width for rows, width in fed) <= 230 * tokens


def test_rows_grow_with_the_context() -> None:
    assert packing._row_tokens(10) == packing.ROW_TOKENS
    assert 4 * packing._row_tokens(1000) == pytest.approx(packing._row_tokens(16_000), rel=0.01)


probe_lists = st.lists(
    st.builds(
        Probe,
        st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple),
        st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=6,
)


@given(probes=probe_lists)
def test_tree_holds_each_beginning_once_and_only_its_own(probes: list[Probe]) -> None:
    tree = probe_tree(probes, torch.device("cpu"))
    assert len(tree) == tree_size(probes)
    spelt = [tuple(tree.tokens[row].tolist()) for row in tree.sees]  # what each token sees, itself last
    assert set(spelt) == {probe.fed[:end] for probe in probes for end in range(1, len(probe.fed) + 1)}
    assert tree.depths.tolist() == [len(path) - 1 for path in spelt]
    predictions = iter(zip(tree.sources.tolist(), tree.targets.tolist(), strict=True))
    for probe in probes:
        for index, answer in enumerate(probe.answer_ids):
            source, target = next(predictions)
            assert spelt[tree.predicting[source]] == (*probe.marker_ids, *probe.answer_ids[:index])
            assert target == answer


@given(probes=probe_lists, tokens=st.integers(1, 20))
def test_groups_keep_order_and_size(probes: list[Probe], tokens: int) -> None:
    parts = groups(probes, tokens)
    assert [probe for part in parts for probe in part] == probes
    assert all(len(part) == 1 or tree_size(part) <= tokens for part in parts)


def test_answer_nll_is_a_mean_of_log_probabilities() -> None:
    tree = probe_tree(PROBES, torch.device("cpu"))
    logits = torch.randn(70, len(tree.predicting), VOCABULARY)
    nll = tree.answer_nll(logits)
    assert (nll.shape, nll.dtype) == ((70, 3), torch.float64)
    log_probs = logits.double().log_softmax(-1)
    # 8 | 8 9 | 8 9 11 | 13 14 predict; the second probe's answer is 9 11 12
    expected = -(log_probs[:, 0, 9] + log_probs[:, 1, 11] + log_probs[:, 2, 12]) / 3
    torch.testing.assert_close(nll[:, 1], expected, atol=1e-5, rtol=0)


def test_scoring_restores_the_modes_after_an_error() -> None:
    model = build("llama").train()
    with pytest.raises(ValueError, match="in the middle"), packing.scoring(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ValueError("in the middle")
    assert all(module.training for module in model.modules())
