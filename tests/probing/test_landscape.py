"""The landscape is the one that is asked for, and the model comes out of it as it went in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from landscape_models import ARCHITECTURES, QUESTIONS, KnownLandscape, tiny
from tiny_models import CONTEXT, VOCABULARY
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertLMHeadModel, PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.curves import answer_nll_curve
from raml.probing.directions import AXES, moved_weights, normalised_direction
from raml.probing.landscape import ForcedAnswer, answer_nll_landscape
from raml.probing.plane import Directions, Plane

TOLERANCE = 1e-4  # nats, fp32


def one_by_one(model: PreTrainedModel, x: float, y: float, seed: int = 0) -> list[float]:
    """The NLL of each question under weights + x d1 + y d2 set by hand, each question by itself, without padding."""
    for weight in moved_weights(model):
        first, second = (normalised_direction(weight, seed, axis, "filter") for axis in AXES)
        weight.parameter.data = weight.parameter.data + x * first + y * second
    nll = []
    for question in QUESTIONS:
        ids = torch.tensor([[*question.prompt_ids, *question.marker_ids, *question.answer_ids]])
        answer = len(question.answer_ids)
        with torch.no_grad():
            logits = model(ids).logits[0, -answer - 1 : -1].double()
        nll.append(float(cross_entropy(logits, ids[0, -answer:])))
    return nll


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_padded_batch_equals_question_by_question(architecture: str) -> None:
    landscape = answer_nll_landscape(tiny(architecture), QUESTIONS, size=3, radius=0.5)
    assert landscape.nll.shape == (4, 3, 3) and landscape.nll.dtype == np.float64
    for row, column in ((0, 0), (0, 2), (1, 1), (2, 1)):
        expected = one_by_one(tiny(architecture), landscape.x[column], landscape.y[row])
        np.testing.assert_allclose(landscape.nll[:, row, column], expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(landscape.nll, axis=(1, 2)).min() > 0.1


@settings(max_examples=20, deadline=None)
@given(token_budget=st.integers(1, 60), order=st.permutations(range(4)))
def test_neither_the_budget_nor_the_order_of_questions_matters(token_budget: int, order: list[int]) -> None:
    model = tiny("llama")
    done: list[int] = []
    whole = answer_nll_landscape(model, QUESTIONS, size=3, radius=0.3, progress=done.append)
    assert sum(done) == 9  # grid points
    shuffled = answer_nll_landscape(model, [QUESTIONS[i] for i in order], size=3, radius=0.3, token_budget=token_budget)
    np.testing.assert_allclose(shuffled.nll, whole.nll[order], atol=TOLERANCE, rtol=0)


def test_rotary_embeddings_that_depend_on_the_length_are_not_padded() -> None:
    longrope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 8, "factor": 4.0}
    factors = {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0]}
    model = tiny("llama", rope_parameters={**longrope, **factors})
    together = answer_nll_landscape(model, QUESTIONS, size=3).nll
    for index, question in enumerate(QUESTIONS):
        alone = answer_nll_landscape(model, [question], size=3).nll[0]
        np.testing.assert_allclose(together[index], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("initializer_range", [0.02, 0.4])
def test_an_encoder_is_refused(initializer_range: float) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    encoder = BertLMHeadModel(BertConfig(**sizes, intermediate_size=48, initializer_range=initializer_range)).eval()
    with pytest.raises(InputError, match=r"BertLMHeadModel \(bert\) is no causal language model"):
        answer_nll_landscape(encoder, QUESTIONS, size=3)
    with pytest.raises(InputError, match="is no causal language model"):
        answer_nll_curve(encoder, [1, 2], [3, 4], [5], [6])


def test_values_stand_where_they_belong() -> None:
    """`nll[q, j, i]` is at x[i], y[j]: a transposed result, or swapped directions, would not fit the formula."""
    model = KnownLandscape()
    landscape = answer_nll_landscape(model, [ForcedAnswer([0], [0], [1])], size=5, radius=2.0)
    np.testing.assert_array_equal(landscape.x, [-2, -1, 0, 1, 2])
    np.testing.assert_array_equal(landscape.y, [-2, -1, 0, 1, 2])
    along = {
        axis: [float(normalised_direction(weight, 0, axis, "filter")[0]) for weight in moved_weights(model)]
        for axis in AXES
    }
    for j, y in enumerate(landscape.y):
        for i, x in enumerate(landscape.x):
            a, b = (own + x * along["x"][place] + y * along["y"][place] for place, own in enumerate((0.6, -0.5)))
            assert landscape.nll[0, j, i] == pytest.approx(np.log1p(np.exp(3 * a * a + b)), rel=1e-5)
    assert not np.allclose(landscape.nll[0], landscape.nll[0].T)


def snapshot(model: PreTrainedModel) -> dict[str, tuple[torch.Tensor, int]]:
    return {name: (value.detach().clone(), value.data_ptr()) for name, value in model.named_parameters()}


def assert_untouched(model: PreTrainedModel, before: dict[str, tuple[torch.Tensor, int]]) -> None:
    for name, value in model.named_parameters():
        old, place = before[name]
        assert value.data_ptr() == place and value.dtype == old.dtype, name
        assert torch.equal(value.view(torch.uint8), old.view(torch.uint8)), name


@pytest.mark.parametrize("directions", ["stored", "regenerated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_weights_are_bit_identical_afterwards(architecture: str, dtype: torch.dtype, directions: Directions) -> None:
    model = tiny(architecture, dtype=dtype)
    model.train()
    before = snapshot(model)
    landscape = answer_nll_landscape(model, QUESTIONS, size=3, directions=directions)
    assert landscape.directions == directions
    assert_untouched(model, before)
    assert model.training and not model.get_output_embeddings()._forward_pre_hooks


def test_weights_are_bit_identical_after_an_exception_in_the_middle() -> None:
    model = tiny("llama", dtype=torch.bfloat16)
    before = snapshot(model)
    seen = []

    def interrupt(done: int) -> None:
        seen.append(next(iter(moved_weights(model))).parameter.detach().clone())
        if len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_nll_landscape(model, QUESTIONS, size=3, progress=interrupt)
    assert not torch.equal(seen[0], seen[1])  # they had been moved
    assert_untouched(model, before)
    assert not model.get_output_embeddings()._forward_pre_hooks


def test_same_seed_same_landscape_and_kept_equals_drawn_anew() -> None:
    model = tiny("qwen2")
    stored = answer_nll_landscape(model, QUESTIONS, size=3, seed=1, directions="stored")
    torch.manual_seed(99)  # the global generator plays no part
    anew = answer_nll_landscape(model, QUESTIONS, size=3, seed=1, directions="regenerated")
    np.testing.assert_array_equal(stored.nll, anew.nll)
    assert anew.buffer_bytes < stored.buffer_bytes < stored.peak_bytes
    other = answer_nll_landscape(model, QUESTIONS, size=3, seed=2)
    assert np.abs(stored.nll - other.nll).max() > 0.1
    np.testing.assert_array_equal(stored.nll[:, 1, 1], other.nll[:, 1, 1])  # the weights themselves
    tensor = answer_nll_landscape(model, QUESTIONS, size=3, seed=1, normalisation="tensor")
    assert np.abs(stored.nll - tensor.nll).max() > 0.01


@pytest.mark.parametrize("directions", ["stored", "regenerated"])
def test_the_number_of_threads_does_not_matter(directions: Directions) -> None:
    moved = {}
    usual = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            model = tiny("gpt2")
            with Plane(model, 1, "tensor", directions) as plane:
                plane.move(0.5, -0.25)
                moved[threads] = [weight.parameter.detach().clone() for weight in moved_weights(model)]
    finally:
        torch.set_num_threads(usual)
    assert all(torch.equal(one, other) for one, other in zip(moved[1], moved[3], strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moved_weights_are_rounded_once(dtype: torch.dtype) -> None:
    model = tiny("llama", dtype=dtype)
    expected = {}
    for weight in moved_weights(model):
        first, second = (normalised_direction(weight, 3, axis, "filter").to(dtype).float() for axis in AXES)
        start = torch.add(weight.parameter.detach().float(), second, alpha=-0.25)
        expected[weight.name] = torch.add(start, first, alpha=0.75).to(dtype)
    left_out = model.get_input_embeddings().weight.detach().clone()
    with Plane(model, 3, "filter") as plane:
        plane.move(0.1, 0.7)
        plane.move(0.75, -0.25)
        for weight in moved_weights(model):
            torch.testing.assert_close(weight.parameter.detach(), expected[weight.name], rtol=2**-23, atol=0)
        assert torch.equal(model.get_input_embeddings().weight, left_out)


@pytest.mark.filterwarnings("error")
def test_when_memory_runs_out_the_budget_is_halved_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    whole = answer_nll_landscape(model, QUESTIONS, size=3, radius=0.3)
    forward = model.forward

    def short_of_memory(input_ids: torch.Tensor, **options: object) -> object:
        if input_ids.numel() > 12:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids=input_ids, **options)

    monkeypatch.setattr(model, "forward", short_of_memory)
    with pytest.warns(UserWarning, match="out of memory") as warned:
        smaller = answer_nll_landscape(model, QUESTIONS, size=3, radius=0.3)
    assert len(warned) == 1
    np.testing.assert_allclose(smaller.nll, whole.nll, atol=TOLERANCE, rtol=0)
    monkeypatch.setattr("raml.probing.plane.torch.zeros", lambda *a, **k: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(RamlError, match=r"the directions take .* GB beside the model"):
        Plane(model, 0, "filter").__enter__()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 4}, "size = 4: must be odd"),
        ({"size": 1}, "size = 1: must be odd, .* and at least 3"),
        ({"radius": 0.0}, "radius = 0.0: must be above 0"),
        ({"radius": float("inf")}, "radius = inf"),
        ({"token_budget": 0}, "token_budget = 0"),
        ({"questions": []}, "at least one question"),
        ({"questions": [QUESTIONS[0], ForcedAnswer([], [1], [2])]}, "the prompt of question 2 is empty"),
        ({"questions": [ForcedAnswer([1], [1], [])]}, "the answer of question 1 is empty"),
        ({"questions": [ForcedAnswer([1], [VOCABULARY], [2])]}, f"marker id {VOCABULARY} of question 1 is outside"),
        (
            {"questions": [ForcedAnswer([1] * CONTEXT, [1], [2])]},
            f"question 1: {CONTEXT + 2} tokens exceed the model's context of {CONTEXT}",
        ),
    ],
)
def test_bad_input_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        answer_nll_landscape(tiny("llama"), **{"questions": QUESTIONS, "size": 3, **changes})  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_nan_is_an_error_that_says_where() -> None:
    model = tiny("llama")
    with torch.no_grad():
        model.get_input_embeddings().weight[5] = float("nan")
    with pytest.raises(RamlError, match="the model's logits hold NaN or infinity; check its weights"):
        answer_nll_landscape(model, QUESTIONS, size=3)
    model = tiny("llama", tied=False)
    before = snapshot(model)
    with pytest.raises(RamlError, match=r"not finite at x = -1e\+30, y = -1e\+30: .* choose a smaller radius"):
        answer_nll_landscape(model, QUESTIONS, size=3, radius=1e30)
    assert_untouched(model, before)
