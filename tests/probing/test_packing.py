"""Passes stay within the budget; probes that begin alike share their beginnings."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import build

from raml.probing import packing
from raml.probing.budget import Budget
from raml.probing.context import Context
from raml.probing.tree import Probe, groups, probe_tree, tree_size


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


def test_scoring_restores_the_modes_after_an_error() -> None:
    model = build("llama").train()
    with pytest.raises(ValueError, match="in the middle"), packing.scoring(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ValueError("in the middle")
    assert all(module.training for module in model.modules())
