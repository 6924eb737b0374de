"""The memory formula against what a run holds, tensor by tensor."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from tiny_models import build
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import LlamaConfig, Qwen2Config

from raml.probing.curves import Probe, answer_nll_curves
from raml.probing.memory import peak_bytes, weights_bytes

PROBE = Probe((1,) * 9, (2,) * 4)
LONG = {"max_position_embeddings": 4096}
QWEN_7B = Qwen2Config(
    vocab_size=152_064,
    hidden_size=3584,
    intermediate_size=18_944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    tie_word_embeddings=False,
)


class Tally(TorchDispatchMode):
    """Bytes of the tensors that operations return, as long as these live; those in `known` do not count."""

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.sizes: dict[int, int] = {}
        self.live = self.peak = 0

    def __torch_dispatch__(
        self, operation: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        if id(storage) in self.sizes or storage.data_ptr() in self.known:
            return
        self.sizes[id(storage)] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self.forget, id(storage))

    def forget(self, key: int) -> None:
        self.live -= self.sizes.pop(key)


CASES = {  # architecture, changes, prompt, trajectory, budget, how far above the measured peak the formula may be
    "context": ("qwen2", {}, 300, 700, 64, 1.1),
    "attention": ("qwen2", {"num_attention_heads": 8, "head_dim": 16}, 100, 1000, 512, 1.1),
    "mlp": ("llama", {"intermediate_size": 2000}, 10, 90, 512, 1.1),
    "head": ("llama", {"vocab_size": 20_000}, 10, 90, 512, 1.1),
    "eager": ("llama", {"attn_implementation": "eager"}, 50, 400, 250, 1.1),
    "reading": ("llama", {"num_key_value_heads": 4, "intermediate_size": 512}, 50, 700, 2000, 1.1),
    "windows": ("gemma3", {}, 50, 600, 256, 1.2),
    "gpt2": ("gpt2", {}, 50, 600, 256, 1.1),
    "half": ("qwen3", {"dtype": torch.bfloat16}, 50, 600, 256, 1.1),
    "half head": ("qwen3", {"dtype": torch.bfloat16, "vocab_size": 10_000}, 50, 100, 256, 1.1),
    "half eager": ("qwen3", {"dtype": torch.bfloat16, "attn_implementation": "eager"}, 50, 400, 250, 1.1),
    "one probe": ("llama", {}, 10, 300, 1, 1.1),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_formula_is_an_upper_bound_and_close(case: str) -> None:
    architecture, changes, prompt, trajectory, budget, above = CASES[case]
    sizes = {"n_positions": 4096} if architecture == "gpt2" else LONG
    model = build(architecture, **{**sizes, **changes})
    probes = [PROBE, Probe(PROBE.marker_ids, (3,) * 4), Probe((4,) * 11, (2,))] if case == "context" else [PROBE]
    tally = Tally([*model.parameters(), *model.buffers()])
    with tally:
        answer_nll_curves(model, [1] * prompt, [[2] * trajectory], probes, token_budget=budget)
    formula = peak_bytes(model.config, prompt, trajectory, probes, budget, model.dtype.itemsize)
    assert 0.99 < formula / tally.peak < above


def test_nothing_stays() -> None:
    model = build("llama")
    tally = Tally([*model.parameters(), *model.buffers()])
    with tally:
        answer_nll_curves(model, [1] * 5, [[2] * 30], [PROBE])
    assert tally.live == 0


def test_7b_with_32k_tokens_fits_a_gpu_of_80_gb() -> None:
    assert weights_bytes(QWEN_7B) == pytest.approx(15.23e9, rel=1e-3)
    assert peak_bytes(QWEN_7B, 256, 32_000, [PROBE], 1024) == pytest.approx(2.51e9, rel=0.01)
    assert peak_bytes(QWEN_7B, 256, 32_000, [PROBE], 8192) == pytest.approx(8.75e9, rel=0.01)
    all_heads = LlamaConfig(
        hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32
    )
    assert weights_bytes(all_heads) + peak_bytes(all_heads, 256, 32_000, [PROBE] * 2, 8192) < 40e9
