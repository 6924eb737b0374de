"""Packed curves against separate passes, for every architecture, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_models import ARCHITECTURES, CONTEXT, VOCABULARY, build, tiny
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing import curves as curves_module
from raml.probing import packing
from raml.probing.budget import Budget
from raml.probing.context import Context
from raml.probing.curves import (
    Probe,
    answer_nll_curve,
    answer_nll_curves,
    curve_positions,
    separate_answer_nll_curve,
)
from raml.probing.support import PACKED_ARCHITECTURES, why_not_packed

TOLERANCE = 1e-4  # nats, fp32
PROMPT, TRAJECTORY, MARKER, ANSWER = [1, 5, 9], [4, 8, 15, 16, 23], [30, 31], [7, 3, 11]
PROBE = Probe((30, 31), (7, 3, 11))


def ids(n_min: int, n_max: int, vocabulary: int = VOCABULARY) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, vocabulary - 1), min_size=n_min, max_size=n_max)


def probes() -> st.SearchStrategy[list[Probe]]:
    """Of four tokens only, so that they often begin alike."""
    one = st.builds(Probe, ids(1, 4, 4).map(tuple), ids(1, 5, 4).map(tuple))
    return st.lists(one, min_size=1, max_size=4)


def separate(
    model: Any, prompt: list[int], trajectories: list[list[int]], probes: list[Probe], **options: Any
) -> list[np.ndarray]:
    return [
        np.stack(
            [
                separate_answer_nll_curve(model, prompt, trajectory, probe.marker_ids, probe.answer_ids, **options)
                for probe in probes
            ]
        )
        for trajectory in trajectories
    ]


@settings(max_examples=150, deadline=None)
@given(
    architecture=st.sampled_from(sorted(ARCHITECTURES)),
    attention=st.sampled_from(["sdpa", "eager"]),
    prompt=ids(1, 12),
    trajectories=st.lists(ids(1, 30), min_size=1, max_size=3),
    probes=probes(),
    stride=st.integers(1, 35),
    token_budget=st.integers(1, 300),
)
def test_packed_equals_separate_passes(
    architecture: str,
    attention: str,
    prompt: list[int],
    trajectories: list[list[int]],
    probes: list[Probe],
    stride: int,
    token_budget: int,
) -> None:
    model = tiny(architecture, attention)
    assert why_not_packed(model) is None
    packed = answer_nll_curves(model, prompt, trajectories, probes, stride=stride, token_budget=token_budget)
    assert [curve.shape for curve in packed] == [
        (len(probes), math.ceil((len(trajectory) + 1) / stride)) for trajectory in trajectories
    ]
    for curve, expected in zip(packed, separate(model, prompt, trajectories, probes, stride=stride), strict=True):
        assert curve.dtype == np.float64
        np.testing.assert_allclose(curve, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_over_a_long_trajectory(architecture: str, attention: str) -> None:
    model = tiny(architecture, attention)
    trajectory = np.random.default_rng(0).integers(0, VOCABULARY, 60).tolist()
    other = Probe((30, 31, 2), (7, 5))
    packed = answer_nll_curves(model, PROMPT, [trajectory], [PROBE, other], token_budget=100)
    expected = separate(model, PROMPT, [trajectory], [PROBE, other])
    np.testing.assert_allclose(packed[0], expected[0], atol=TOLERANCE, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    architecture=st.sampled_from(["gemma3", "llama", "gpt2"]),
    positions=st.sets(st.integers(0, 20), min_size=1).map(sorted),
    token_budget=st.integers(1, 200),
)
@example(architecture="llama", positions=[20], token_budget=1)
def test_positions_are_points_of_the_whole_curve(architecture: str, positions: list[int], token_budget: int) -> None:
    model = tiny(architecture)
    trajectories = [list(range(20)), list(range(30, 5, -1))]
    whole = answer_nll_curves(model, PROMPT, trajectories, [PROBE])
    some = answer_nll_curves(model, PROMPT, trajectories, [PROBE], positions=positions, token_budget=token_budget)
    for curve, points in zip(whole, some, strict=True):
        np.testing.assert_allclose(points, curve[:, positions], atol=TOLERANCE, rtol=0)
    one = separate_answer_nll_curve(model, PROMPT, trajectories[0], MARKER, ANSWER, positions=positions)
    np.testing.assert_allclose(one, whole[0][0][positions], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("architecture", ["gemma3", "gpt2", "llama", "qwen2", "qwen3"])
def test_half_precision(architecture: str) -> None:
    model = build(architecture, dtype=torch.bfloat16, initializer_range=0.1)
    trajectory = list(range(2, 36))
    packed = answer_nll_curve(model, PROMPT, trajectory, MARKER, ANSWER, token_budget=64)
    separate = separate_answer_nll_curve(model, PROMPT, trajectory, MARKER, ANSWER)
    np.testing.assert_allclose(packed, separate, atol=0.1, rtol=0)
    exact = separate_answer_nll_curve(model.float(), PROMPT, trajectory, MARKER, ANSWER)
    np.testing.assert_allclose(packed, exact, atol=0.1, rtol=0)


def test_every_packed_architecture_is_tested() -> None:
    assert {tiny(architecture).config.model_type for architecture in ARCHITECTURES} == PACKED_ARCHITECTURES


def test_separate_passes_are_the_definition() -> None:
    model = tiny("llama")
    curve = separate_answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    start = len(PROMPT) + 2 + len(MARKER)
    row = torch.tensor([[*PROMPT, *TRAJECTORY[:2], *MARKER, *ANSWER]])
    with torch.no_grad():
        log_probs = model(row).logits[0].double().log_softmax(-1)
    by_hand = -np.mean([float(log_probs[start - 1 + index, token]) for index, token in enumerate(ANSWER)])
    assert curve[2] == pytest.approx(by_hand, abs=1e-5)


def test_points_of_exactly_zero_are_kept() -> None:
    model = build("llama", tie_word_embeddings=False)
    with torch.no_grad():  # the last norm's output is never 0, so token 7 gets a logit far above all others
        model.lm_head.weight.zero_()
        model.model.norm.weight.zero_()
        model.model.norm.register_forward_hook(lambda module, inputs, output: output + 1.0)
        model.lm_head.weight[7] = 100.0
    curve = answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, [7, 7])
    np.testing.assert_array_equal(curve, np.zeros(len(TRAJECTORY) + 1))


def test_progress_reports_every_point_once() -> None:
    done: list[int] = []
    trajectories = [TRAJECTORY, [2] * 11]
    probes = [PROBE, Probe((30,), (1,)), Probe((9, 9, 9), (4,) * 9)]
    for model in (tiny("llama"), tiny("gemma3")):
        done.clear()
        answer_nll_curves(model, PROMPT, trajectories, probes, stride=2, token_budget=12, progress=done.append)
        points = sum(len(curve_positions(len(ids), 2)) for ids in trajectories) * len(probes)
        assert (sum(done), min(done) > 0, len(done) > 4) == (points, True, True)


def test_accepts_the_full_context_and_no_more() -> None:
    model = tiny("qwen2")
    longest = [2] * (CONTEXT - len(PROMPT) - len(MARKER) - len(ANSWER))
    packed = answer_nll_curve(model, PROMPT, longest, MARKER, ANSWER, stride=8)
    np.testing.assert_allclose(
        packed, separate_answer_nll_curve(model, PROMPT, longest, MARKER, ANSWER, stride=8), atol=TOLERANCE, rtol=0
    )
    with pytest.raises(InputError, match=f"trajectory {len(longest) + 1} .* exceed the model's context of {CONTEXT}"):
        answer_nll_curve(model, PROMPT, [*longest, 2], MARKER, ANSWER)
    beyond = answer_nll_curves(model, PROMPT, [[*longest, 2]], [PROBE], positions=[len(longest)])
    assert beyond[0][0, 0] == pytest.approx(packed[-1], abs=TOLERANCE)


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(training: bool) -> None:
    model = build("qwen2", attention_dropout=0.5)
    expected = answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train(training)
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    np.testing.assert_array_equal(answer_nll_curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER), expected)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(InputError):
        answer_nll_curve(model, PROMPT, [], MARKER, ANSWER)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("curve", [answer_nll_curve, separate_answer_nll_curve])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trajectory_ids": []}, "the trajectory is empty"),
        ({"prompt_ids": []}, "the prompt is empty"),
        ({"answer_ids": []}, "the answer is empty"),
        ({"marker_ids": []}, "the marker is empty"),
        ({"trajectory_ids": [3, VOCABULARY]}, f"trajectory id {VOCABULARY} is outside the model's vocabulary, 0 to 36"),
        ({"answer_ids": [-1]}, "answer id -1 is outside"),
        ({"stride": 0}, "stride = 0: must be at least 1"),
    ],
)
def test_bad_input_is_refused(curve: Any, changes: dict[str, object], message: str) -> None:
    arguments = {"prompt_ids": PROMPT, "trajectory_ids": TRAJECTORY, "marker_ids": MARKER, "answer_ids": ANSWER}
    with pytest.raises(InputError, match=message):
        curve(tiny("llama"), **{**arguments, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_budget": 0}, "token_budget = 0: must be at least 1"),
        ({"trajectories": []}, "there are no trajectories"),
        ({"probes": []}, "there are no probes"),
        ({"trajectories": [[4], []]}, "the trajectory 1 is empty"),
        ({"probes": [PROBE, Probe((30,), ())]}, "the answer 1 is empty"),
        ({"positions": []}, "positions is empty"),
        ({"positions": [0, 6]}, "position 6 is outside the trajectory, 0 to 5"),
        (
            {"positions": [0, 4], "trajectories": [TRAJECTORY, [1, 2, 3]]},
            "position 4 is outside the trajectory, 0 to 3",
        ),
        ({"positions": [-1, 2]}, "position -1 is outside"),
        ({"positions": [3, 2]}, "positions must ascend"),
        ({"positions": [2, 2]}, "positions must ascend, each of them once"),
        ({"positions": [2], "stride": 2}, "stride = 2 and positions are both given"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments = {"prompt_ids": PROMPT, "trajectories": [TRAJECTORY], "probes": [PROBE]}
    with pytest.raises(InputError, match=message):
        answer_nll_curves(tiny("llama"), **{**arguments, **changes})


def test_nan_logits_are_an_error() -> None:
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[TRAJECTORY[2]] = float("nan")
    for curve in (answer_nll_curve, separate_answer_nll_curve):
        with pytest.raises(RamlError, match="NLL is not finite: the model's logits hold NaN"):
            curve(model, PROMPT, TRAJECTORY, MARKER, ANSWER)


def recorded(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that the model is fed with, as they come."""
    fed: list[tuple[int, ...]] = []
    forward = model.forward

    def recording(**inputs: torch.Tensor) -> object:
        fed.append(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", recording)
    return fed


def test_a_trajectory_is_read_once_and_no_further_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama")
    fed = recorded(model, monkeypatch)
    probes = [PROBE, Probe((30, 31), (7, 9)), Probe((12,), (7,))]  # 30 31 7 3 and 12: five distinct beginnings
    answer_nll_curves(model, PROMPT, [TRAJECTORY, TRAJECTORY[:3]], probes, positions=[0, 2])
    assert sum(map(math.prod, fed)) == len(PROMPT) + 2 + 2 + 2 * 2 * 5
    assert curves_module.TOKEN_BUDGET == 1024


@pytest.mark.parametrize("budget", [1, 7, 24, 200, 1000])
def test_no_pass_exceeds_the_budget(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    model = build("llama")
    fed = recorded(model, monkeypatch)
    with packing.scoring(model):
        context = Context(20)
        context.read(model, list(range(20)), Budget(budget))
        assert max(map(math.prod, fed)) <= budget and sum(map(math.prod, fed)) == 20
        fed.clear()
        packing.packed_nll(model, context, sorted(list(range(1, 21)) * 10), [PROBE], Budget(budget))
    tokens = len(PROBE.fed)
    assert max(map(math.prod, fed)) <= max(budget, tokens)
    assert all(width <= packing.ROW_TOKENS for _, width in fed)
    assert 200 * tokens <= sum(map(math.prod, fed)) <= 230 * tokens


def test_scoring_restores_the_modes_after_an_error() -> None:
    model = build("llama").train()
    with pytest.raises(ValueError, match="in the middle"), packing.scoring(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        raise ValueError("in the middle")
    assert all(module.training for module in model.modules())
