"""When memory runs out: half the budget, once said, and the same numbers."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_models import build
from transformers import PreTrainedModel

from raml.errors import RamlError
from raml.probing.budget import is_out_of_memory
from raml.probing.curves import Probe, answer_nll_curves, separate_answer_nll_curve

PROMPT, TRAJECTORY = [1, 5, 9], list(range(3, 33))
PROBES = [Probe((30, 31), (7, 3, 11)), Probe((9,), (4, 4))]  # 4 and 2 tokens
ERRORS = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate"),
    "windows": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    "python": MemoryError,
}


def small_machine(model: PreTrainedModel, tokens: int, error: Callable[[], Exception]) -> list[int]:
    """Let `model` fail on passes over more than `tokens` tokens; returns the sizes of the others, as they come."""
    forward, fitting = model.forward, []

    def limited(**inputs: torch.Tensor) -> object:
        size = inputs["input_ids"].numel()
        if size > tokens:
            raise error()
        fitting.append(size)
        return forward(**inputs)

    model.forward = limited
    return fitting


@pytest.mark.parametrize("error", sorted(ERRORS))
@pytest.mark.parametrize("tokens", [40, 13, 5, 4])
def test_halves_the_budget_and_says_so_once(tokens: int, error: str) -> None:
    model = build("llama")
    expected = [separate_answer_nll_curve(model, PROMPT, TRAJECTORY, p.marker_ids, p.answer_ids) for p in PROBES]
    done: list[int] = []
    fitting = small_machine(model, tokens, ERRORS[error])
    with pytest.warns(
        UserWarning, match="out of memory in a forward pass over .* going on with a token_budget"
    ) as said:
        curves = answer_nll_curves(model, PROMPT, [TRAJECTORY], PROBES, token_budget=100, progress=done.append)
    assert len(said) == 1
    np.testing.assert_allclose(curves[0], expected, atol=1e-4, rtol=0)
    assert sum(done) == curves[0].size
    assert max(fitting) > tokens / 3


@pytest.mark.parametrize("tokens", [3, 0])
def test_says_so_when_not_even_one_probe_fits(tokens: int) -> None:
    model = build("llama")
    small_machine(model, tokens, ERRORS["cuda"])
    with (
        pytest.warns(UserWarning, match="out of memory"),
        pytest.raises(RamlError, match=f"not even a forward pass over {'4 tokens' if tokens else '1 token'} fits"),
    ):
        answer_nll_curves(model, PROMPT, [TRAJECTORY], PROBES[:1], token_budget=100)


def test_separate_passes_cannot_be_halved() -> None:
    model = build("llama")
    small_machine(model, 20, ERRORS["cpu"])
    with pytest.raises(RamlError, match="not even a forward pass over 21 tokens fits"):
        separate_answer_nll_curve(model, PROMPT, TRAJECTORY, (30, 31), (7, 3, 11))


def test_other_errors_pass() -> None:
    model = build("llama")
    small_machine(model, 50, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="mat1 and mat2"):
        warnings.simplefilter("error")
        answer_nll_curves(model, PROMPT, [TRAJECTORY], PROBES, token_budget=100)


def test_knows_what_torch_raises_here() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**59)
    assert is_out_of_memory(raised.value)
    assert not is_out_of_memory(ValueError("not enough memory"))
