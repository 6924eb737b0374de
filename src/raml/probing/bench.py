"""How fast the packed method is on the micro architecture, and how close to separate passes."""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from raml.config import Architecture
from raml.probing.curves import answer_nll_curve, separate_answer_nll_curve
from raml.training.model import build_model
from raml.trajectories.bench import one_thread

VOCABULARY = 128
PROMPT, POSITIONS, MARKER, ANSWER = 40, 96, 1, 5  # tokens; the curve has POSITIONS points
REPETITIONS = 25


def probing_benchmark() -> dict[str, float]:
    """Packed curves against separate passes and against a plain forward pass, on one thread in fp32.

    A randomly initialised model of micro size; CPU seconds (a busy machine distorts wall time). The methods
    alternate for `REPETITIONS` rounds; a ratio is the median of the rounds' ratios.

    *Plain* is one uncached forward pass with causal attention and all logits over at least as many tokens
    (here exactly, 615) as the packed method feeds to the model, P + T + (T + 1)(M + A - 1), in two forms: as
    equal rows of at most the usual sequence length P + T + M + A (`plain_rows`, 5 x 123), and as one single
    row (`plain_row`), whose attention grows with its square.

    Returns:
        `separate_over_packed` (target: at least 8), `packed_over_plain_rows` and `packed_over_plain_row`
        (target: at most 1.3), `max_difference_nats` between packed and separate, `positions`, `tokens_fed`
        and the median seconds of each.
    """
    rng = np.random.default_rng(0)
    micro = Architecture(hidden_size=128, layers=3, heads=4, intermediate_size=352, context=1024)
    model = build_model(micro, VOCABULARY, seed=0, bos=1, eos=2, pad=0).eval()
    prompt, trajectory, marker, answer = (
        rng.integers(3, VOCABULARY, size).tolist() for size in (PROMPT, POSITIONS - 1, MARKER, ANSWER)
    )
    length = PROMPT + POSITIONS - 1 + MARKER + ANSWER
    fed = PROMPT + POSITIONS - 1 + POSITIONS * (MARKER + ANSWER - 1)
    n_rows = -(-fed // length)
    rows = torch.from_numpy(rng.integers(3, VOCABULARY, (n_rows, -(-fed // n_rows))))

    with one_thread():
        seconds = _alternating(
            {
                "packed": lambda: answer_nll_curve(model, prompt, trajectory, marker, answer),
                "separate": lambda: separate_answer_nll_curve(model, prompt, trajectory, marker, answer),
                "plain_rows": lambda: _plain(model, rows),
                "plain_row": lambda: _plain(model, rows.reshape(1, -1)),
            }
        )
        difference = answer_nll_curve(model, prompt, trajectory, marker, answer) - separate_answer_nll_curve(
            model, prompt, trajectory, marker, answer
        )
    return {
        "separate_over_packed": float(np.median(seconds["separate"] / seconds["packed"])),
        "packed_over_plain_rows": float(np.median(seconds["packed"] / seconds["plain_rows"])),
        "packed_over_plain_row": float(np.median(seconds["packed"] / seconds["plain_row"])),
        "max_difference_nats": float(np.abs(difference).max()),
        "positions": POSITIONS,
        "tokens_fed": fed,
        **{f"{name}_seconds": float(np.median(values)) for name, values in seconds.items()},
    }


@torch.no_grad()
def _plain(model: PreTrainedModel, ids: torch.Tensor) -> None:
    model(input_ids=ids, use_cache=False)


def _alternating(methods: dict[str, Callable[[], object]]) -> dict[str, NDArray[np.float64]]:
    """CPU seconds [REPETITIONS] of each method; one round of warm-up."""
    seconds = {name: np.zeros(1 + REPETITIONS) for name in methods}
    for repetition in range(1 + REPETITIONS):
        for name, method in methods.items():
            start = time.process_time()
            method()
            seconds[name][repetition] = time.process_time() - start
    return {name: values[1:] for name, values in seconds.items()}
