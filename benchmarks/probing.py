"""How fast the packed method is, beside separate passes and beside plain forward passes, and how close."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks.timing import alternating, median, micro_model, one_thread, timed
from raml.probing.curves import Curve, answer_nll_curve, separate_answer_nll_curve
from raml.probing.forced import forced_probe
from raml.probing.packing import scoring
from raml.probing.prompts import question_ids
from raml.trajectories.pretrained import load_pretrained

VOCABULARY = 128
PROMPT, POSITIONS, MARKER, ANSWER = 40, 96, 1, 5  # tokens; the curve has POSITIONS points
REPETITIONS = 25
SLOPE_LENGTHS = (128, 256, 512, 1024, 2048)  # trajectory tokens
SLOPE_REPETITIONS = 3

QUESTION = (
    "A train leaves the station at 9:40 and arrives at 13:05. On the way it stops four times for six minutes each. It "
    "covers 246 kilometres. What is its mean speed, in kilometres per hour, while it moves? Round to a whole number."
)
GOLD = "82"
PRETRAINED_SLOPE_LENGTHS = (128, 2048)  # beside that of the long curve
SHORT, LONG = 96, 1000  # positions
SHORT_SEPARATE, LONG_SEPARATE = 24, 16  # of them probed by separate passes, evenly spread
SHORT_REPETITIONS = 3


@dataclass(frozen=True)
class Task:
    """A curve to compute: token ids of each part."""

    prompt: list[int]
    trajectory: list[int]
    marker: list[int]
    answer: list[int]

    @property
    def positions(self) -> int:
        """Points of the whole curve."""
        return len(self.trajectory) + 1

    @property
    def fed(self) -> int:
        """Tokens that the packed method feeds to the model, P + T + (T + 1)(M + A - 1)."""
        return len(self.prompt) + len(self.trajectory) + self.positions * (len(self.marker) + len(self.answer) - 1)

    @property
    def longest(self) -> int:
        """P + T + M + A."""
        return len(self.prompt) + len(self.trajectory) + len(self.marker) + len(self.answer)


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
        and the median seconds of each; `slope` of log seconds over log tokens fed for `SLOPE_LENGTHS`, the least
        of a few runs each (1: the cost grows as T(1 + A)).
    """
    rng = np.random.default_rng(0)
    model = micro_model(VOCABULARY, context=4096)

    def task(trajectory: int) -> Task:
        sizes = (PROMPT, trajectory, MARKER, ANSWER)
        return Task(*(rng.integers(3, VOCABULARY, size).tolist() for size in sizes))

    usual, of_length = task(POSITIONS - 1), [task(length) for length in SLOPE_LENGTHS]
    n_rows = -(-usual.fed // usual.longest)
    rows = torch.from_numpy(rng.integers(3, VOCABULARY, (n_rows, -(-usual.fed // n_rows))))

    with one_thread():
        _packed(model, usual)  # the first calls allocate memory
        seconds, curves = alternating(
            {
                "packed": partial(_packed, model, usual),
                "separate": partial(_separate, model, usual),
                "plain_rows": partial(_plain, model, rows),
                "plain_row": partial(_plain, model, rows.reshape(1, -1)),
            },
            REPETITIONS,
        )
        growth, _ = alternating({str(one.fed): partial(_packed, model, one) for one in of_length}, SLOPE_REPETITIONS)
    return {
        "separate_over_packed": median(seconds["separate"] / seconds["packed"]),
        "packed_over_plain_rows": median(seconds["packed"] / seconds["plain_rows"]),
        "packed_over_plain_row": median(seconds["packed"] / seconds["plain_row"]),
        "max_difference_nats": float(np.abs(curves["packed"][-1] - curves["separate"][-1]).max()),
        "positions": POSITIONS,
        "tokens_fed": usual.fed,
        "slope": _slope([one.fed for one in of_length], [float(growth[str(one.fed)].min()) for one in of_length]),
        **{f"{name}_seconds": float(np.median(values)) for name, values in seconds.items()},
    }


def pretrained_benchmark(folder: Path) -> dict[str, float]:
    """The same for a pretrained model (SmolLM2-135M) in fp32 on one thread, for 96 and for 1,000 positions.

    One question in the model's chat template (P tokens), random trajectories of 95 and 999 tokens, the usual marker and
    the answer `GOLD`. CPU seconds; the methods alternate, three rounds of the short curve and one of the long.

    *Separate* passes, which compute the answer's logits only, take minutes for the whole curve. They are timed on an
    evenly spread subset of positions, first and last included, and scaled to all: `..._estimated_from_..._positions`.
    *Plain* is uncached forward passes of rows of the usual sequence length P + T + M + A with causal
    attention, scaled to as many tokens as the packed method feeds: once as the model does them by default, with all
    logits, and once with only as many logits as the packed method needs (`plain_equal_logits`, the harder target).

    Args:
        folder: the model's.

    Returns:
        For `96` and for `1000` positions: `separate_over_packed_at_` (targets: at least 8 and 40),
        `packed_over_plain_at_` and `packed_over_plain_equal_logits_at_` (target: at most 1.25),
        `max_difference_nats_at_` (target: at most 1e-4), tokens fed, and median seconds of each; also `slope` of log
        seconds over log tokens fed for T = 128, 999 and 2,048 (1: the cost grows as T(1 + A)), and the tokens of
        `prompt`, `marker` and `answer`.
    """
    model, tokenizer = load_pretrained(folder)
    model = model.float().eval()
    probe = forced_probe(tokenizer, GOLD)
    prompt = list(question_ids(tokenizer, QUESTION))
    rng = np.random.default_rng(0)

    def task(trajectory: int) -> Task:
        ids = rng.integers(len(tokenizer) // 100, len(tokenizer), trajectory).tolist()  # no special tokens
        return Task(prompt, ids, list(probe.marker_ids), list(probe.answer_ids))

    short, long = task(SHORT - 1), task(LONG - 1)
    with one_thread():
        at_short = _compare(model, short, SHORT_SEPARATE, SHORT_REPETITIONS)
        at_long = _compare(model, long, LONG_SEPARATE, 1)
        seconds = {long.fed: at_long[f"packed_seconds_at_{LONG}"]}
        for length in PRETRAINED_SLOPE_LENGTHS:
            one = task(length)
            seconds[one.fed], _ = timed(partial(_packed, model, one))
    return {
        **at_short,
        **at_long,
        "slope": _slope(list(seconds), list(seconds.values())),
        "prompt_tokens": len(prompt),
        "marker_tokens": len(probe.marker_ids),
        "answer_tokens": len(probe.answer_ids),
    }


def _compare(model: PreTrainedModel, task: Task, separate: int, rounds: int) -> dict[str, float]:
    """The figures of one curve, with separate passes at `separate` positions; see `pretrained_benchmark`."""
    some = np.unique(np.linspace(0, task.positions - 1, separate).round().astype(int)).tolist()
    rows = torch.tensor([task.trajectory[:1] * task.longest] * 2)
    scale = task.fed / rows.numel()
    logits = round(rows.shape[1] * task.positions * len(task.answer) / task.fed)  # of each row
    _plain(model, rows[:, :64])  # the first call allocates memory
    seconds, curves = alternating(
        {
            "packed": partial(_packed, model, task),
            "separate": partial(_separate, model, task, some),
            "plain": partial(_plain, model, rows),
            "plain_equal_logits": partial(_plain, model, rows, logits),
        },
        rounds,
    )
    packed = seconds["packed"]
    seconds["separate"] *= task.positions / len(some)
    seconds["plain"] *= scale
    seconds["plain_equal_logits"] *= scale
    n = task.positions
    return {
        f"separate_over_packed_at_{n}": median(seconds["separate"] / packed),
        f"packed_over_plain_at_{n}": median(packed / seconds["plain"]),
        f"packed_over_plain_equal_logits_at_{n}": median(packed / seconds["plain_equal_logits"]),
        f"max_difference_nats_at_{n}": float(np.abs(curves["packed"][-1][some] - curves["separate"][-1]).max()),
        f"tokens_fed_at_{n}": task.fed,
        f"packed_seconds_at_{n}": median(packed),
        f"separate_seconds_at_{n}_estimated_from_{len(some)}_positions": median(seconds["separate"]),
        f"plain_seconds_at_{n}": median(seconds["plain"]),
        f"plain_equal_logits_seconds_at_{n}": median(seconds["plain_equal_logits"]),
    }


def _packed(model: PreTrainedModel, task: Task) -> Curve:
    return answer_nll_curve(model, task.prompt, task.trajectory, task.marker, task.answer)


def _separate(model: PreTrainedModel, task: Task, positions: Sequence[int] | None = None) -> Curve:
    return separate_answer_nll_curve(model, task.prompt, task.trajectory, task.marker, task.answer, positions=positions)


def _plain(model: PreTrainedModel, ids: torch.Tensor, logits: int = 0) -> None:
    """Plain passes over `ids`, with the last `logits` logits of each row, or all."""
    with scoring(model), torch.inference_mode():
        model(input_ids=ids, use_cache=False, logits_to_keep=logits)


def _slope(tokens: Sequence[int], seconds: Sequence[float]) -> float:
    """Of log seconds over log tokens, least squares."""
    return float(np.polyfit(np.log(tokens), np.log(seconds), 1)[0])
