"""What the benchmarks share: CPU seconds, since a busy machine distorts wall time; turns; a model of micro size."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from raml.config import Architecture
from raml.training.model import build_model

T = TypeVar("T")

PAD, BOS, EOS = 0, 1, 2


def micro_model(vocabulary: int = 128, context: int = 256) -> LlamaForCausalLM:
    """Random weights of micro size."""
    micro = Architecture(
        hidden_size=128, layers=3, heads=4, kv_heads=4, intermediate_size=352, vocabulary=vocabulary, tied=True,
        context=context,
    )  # fmt: skip
    model = build_model(micro, seed=0, bos=BOS, eos=EOS, pad=PAD)
    model.eval()
    return model


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of this process, and what `call` returned."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def alternating(
    methods: Mapping[str, Callable[[], Any]], rounds: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, list[Any]]]:
    """CPU seconds and results of each method, one a round; the methods take turns."""
    turns = [{name: timed(method) for name, method in methods.items()} for _ in range(rounds)]
    seconds = {name: np.array([turn[name][0] for turn in turns]) for name in methods}
    return seconds, {name: [turn[name][1] for turn in turns] for name in methods}


def median(values: Any) -> float:
    """The median as a plain number."""
    return float(np.median(values))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, and on as many as before afterwards."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
