"""Whole models: changed weights without the trajectory against the weights as they are with it."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CONTEXT, VOCABULARY, build, tiny
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.implicit import (
    LayerChange,
    NotFiniteError,
    TooManyConditionsError,
    Update,
    compare,
    implicit_update,
    implicit_updates,
    patched,
)
from raml.probing.implicit.change import least_norm_change
from raml.probing.implicit.layers import attention_layers

TOLERANCE = 1e-4  # logits, fp32
ARCHITECTURES = ["llama", "qwen2", "qwen3", "gemma3", "gpt2", "qwen2_sliding"]
PROMPT, TRAJECTORY, MARKER, ANSWER = [1, 5, 9, 12, 20, 2], [4, 8, 15, 16, 23, 31, 6], [30, 31], [7, 3, 11]


def biased(architecture: str, **changes: Any) -> PreTrainedModel:
    """A tiny model with biases that are not 0, where it has any."""
    model = build(architecture, **changes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)
    return model


def plain_logits(model: PreTrainedModel, ids: list[int], n: int) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([ids]), use_cache=False).logits
    return logits[0, -n:]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("answer", [ANSWER[:1], ANSWER, [7, 7, 7]])
def test_changed_output_projections_give_the_logits_of_the_trajectory(architecture: str, answer: list[int]) -> None:
    model = biased(architecture)
    update = implicit_update(model, PROMPT, TRAJECTORY, MARKER, answer)
    asked = [*MARKER, *answer[:-1]]
    expected = plain_logits(model, [*PROMPT, *TRAJECTORY, *asked], len(answer))
    assert (plain_logits(model, [*PROMPT, *asked], len(answer)) - expected).abs().max() > 100 * TOLERANCE
    with patched(model, update):
        changed = plain_logits(model, [*PROMPT, *asked], len(answer))
    torch.testing.assert_close(changed, expected, atol=TOLERANCE, rtol=0)
    compared = compare(model, update, PROMPT, TRAJECTORY, MARKER, answer)
    assert compared.logit_difference == pytest.approx(float((changed - expected).abs().max()), abs=1e-5)
    by_hand = -expected.double().log_softmax(-1)[range(len(answer)), answer].mean()
    assert compared.nll == pytest.approx(float(by_hand), abs=1e-5) and compared.nll_difference < TOLERANCE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("answer", [ANSWER[:1], ANSWER[:2]])
def test_changed_value_projections_give_the_logits_of_the_trajectory(architecture: str, answer: list[int]) -> None:
    model = biased(architecture, initializer_range=0.15)  # attention that is neither uniform nor on one token alone
    update = implicit_update(model, PROMPT, TRAJECTORY, MARKER, answer, projection="value")
    compared = compare(model, update, PROMPT, TRAJECTORY, MARKER, answer)
    assert compared.logit_difference < TOLERANCE
    nothing = compare(model, implicit_update(model, PROMPT, [], MARKER, answer), PROMPT, TRAJECTORY, MARKER, answer)
    assert nothing.logit_difference > 100 * TOLERANCE


@settings(max_examples=40, deadline=None)
@given(
    architecture=st.sampled_from(["llama", "qwen2", "qwen3", "gemma3", "gpt2"]),
    prompt=st.lists(st.integers(1, 29), min_size=3, max_size=12, unique=True),
    trajectories=st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=20), min_size=1, max_size=3),
    marker=st.lists(st.integers(30, VOCABULARY - 1), min_size=1, max_size=4, unique=True),
    answer=st.lists(st.integers(1, 29), min_size=1, max_size=3, unique=True),
)
def test_any_prefix_has_an_update_and_a_batch_finds_the_same_as_single_runs(
    architecture: str, prompt: list[int], trajectories: list[list[int]], marker: list[int], answer: list[int]
) -> None:
    model = tiny(architecture)
    updates = implicit_updates(model, prompt, trajectories, marker, answer)
    for trajectory, update in zip(trajectories, updates, strict=True):
        alone = implicit_update(model, prompt, trajectory, marker, answer)
        assert update.norms() == pytest.approx(alone.norms(), rel=1e-2, abs=1e-3)
        assert compare(model, alone, prompt, trajectory, marker, answer).logit_difference < 10 * TOLERANCE
        assert all(change.left.shape[1] == len(answer) for change in update.changes)


@pytest.mark.parametrize("projection", ["output", "value"])
@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
def test_an_empty_trajectory_needs_no_change(architecture: str, projection: Any) -> None:
    update = implicit_update(tiny(architecture), PROMPT, [], MARKER, ANSWER, projection=projection)
    assert max(update.norms()) < 1e-4


def test_positions_that_cannot_be_told_apart_have_a_finite_change_or_none() -> None:
    model = tiny("llama")
    shared = implicit_update(model, [5, 5], TRAJECTORY, [5], [5, 5, 5])
    assert all(0 < norm < 100 for norm in shared.norms()[:1])
    # Token 0 has the embedding 0, so without the trajectory every input is 0, and no update exists.
    update = implicit_update(model, [0], TRAJECTORY, [0], [7])
    assert update.norms()[0] == 0 and compare(model, update, [0], TRAJECTORY, [0], [7]).logit_difference > 0.1


def test_one_position_gives_the_rank_one_formula() -> None:
    model = biased("llama", attention_bias=True)
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    layer = attention_layers(model)[0]
    handle = layer.output.module.register_forward_hook(lambda _, inputs, output: kept.append((inputs[0], output)))
    for ids in ([*PROMPT, *TRAJECTORY, *MARKER], [*PROMPT, *MARKER]):
        plain_logits(model, ids, 1)
    handle.remove()
    (_, with_trajectory), (inputs, without) = kept
    z = inputs[0, -1]
    expected = torch.outer(with_trajectory[0, -1] - without[0, -1], z) / (z @ z)
    change = implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER[:1]).changes[0]
    torch.testing.assert_close(change.dense().float(), expected, atol=1e-5, rtol=1e-4)
    assert int(torch.linalg.matrix_rank(change.dense())) == 1
    assert change.norm() == pytest.approx(float(expected.norm()), rel=1e-4)


@pytest.mark.parametrize("projection", ["output", "value"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_weights_are_bit_identical_afterwards_even_after_an_exception(architecture: str, projection: Any) -> None:
    model = build(architecture)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attention = model.config._attn_implementation
    update = implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER[:2], projection=projection)
    with pytest.raises(ZeroDivisionError), patched(model, update):
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
        raise ZeroDivisionError
    assert len(changed) == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules()) and model.config._attn_implementation == attention
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_only_the_values_rows_of_a_fused_matrix_change() -> None:
    model = biased("gpt2", initializer_range=0.15)
    update = implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER[:1], projection="value")
    weight = model.transformer.h[0].attn.c_attn.weight
    before = weight.detach().clone()
    with patched(model, update):
        moved = (weight.detach() - before).norm(dim=0)
    assert moved[:64].max() == 0 < moved[64:].min()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt_ids": []}, "the prompt is empty"),
        ({"marker_ids": []}, "the marker is empty"),
        ({"answer_ids": []}, "the answer is empty"),
        ({"trajectories": []}, "no trajectory"),
        ({"trajectories": [[VOCABULARY]]}, f"trajectory id {VOCABULARY} is outside the model's vocabulary, 0 to 36"),
        ({"trajectories": [[3], [4] * CONTEXT]}, f"exceed the model's context of {CONTEXT}"),
        ({"answer_ids": [3] * 33}, "33 tokens asks 33 things of one output projection, which can meet at most 32"),
        ({"answer_ids": [3] * 9, "projection": "value"}, "9 tokens for each of the 2 heads of a group asks 18 things"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "prompt_ids": PROMPT, "trajectories": [TRAJECTORY], "marker_ids": MARKER, "answer_ids": ANSWER
    }  # fmt: skip
    with pytest.raises(InputError, match=message) as refused:
        implicit_updates(tiny("llama"), **{**arguments, **changes})
    assert isinstance(refused.value, TooManyConditionsError) == ("asks" in message)


def test_models_that_are_not_served_are_refused() -> None:
    with pytest.raises(InputError, match=r"'mistral'\) has no implicit update here; tested: gemma3_text"):
        implicit_update(tiny("mistral"), PROMPT, TRAJECTORY, MARKER, ANSWER)
    model = build("llama")
    model.model.layers[1].self_attn.o_proj = torch.nn.Sequential(torch.nn.Linear(32, 32))
    model.model.layers[1].self_attn.o_proj.weight = torch.zeros(32, 32)
    with pytest.raises(InputError, match="layer 1: the output projection is a Sequential"):
        implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER)


def test_an_update_of_another_model_is_refused() -> None:
    update = implicit_update(tiny("llama"), PROMPT, TRAJECTORY, MARKER, ANSWER)
    with (
        pytest.raises(InputError, match="for 1 output projections of 32 x 32, the model has 2"),
        patched(tiny("llama"), Update("output", update.changes[:1])),
    ):
        pass


def test_nan_weights_are_an_error() -> None:
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[TRAJECTORY[2]] = float("nan")
    with pytest.raises(RamlError, match="logits hold NaN or infinity; check its weights") as raised:
        implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    assert not isinstance(raised.value, NotFiniteError)


def test_a_change_that_overflows_is_named_and_not_the_models_weights() -> None:
    model = tiny("llama")
    update = implicit_update(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    huge = Update("output", tuple(LayerChange(1e60 * change.left, change.right) for change in update.changes))
    with pytest.raises(
        NotFiniteError, match="under the change of the output projections: it is too large for"
    ) as raised:
        compare(model, huge, PROMPT, TRAJECTORY, MARKER, ANSWER)
    assert "check its weights" not in str(raised.value)
    infinite = torch.full((1, 2, 4), float("inf"))
    with pytest.raises(NotFiniteError, match="the changes of the layers before it are too large"):
        least_norm_change(infinite, torch.ones(1, 2, 3), torch.float32)


def test_the_how_tos_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("docs/implicit.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["compared"].logit_difference < TOLERANCE and len(capsys.readouterr().out.splitlines()) == 4
