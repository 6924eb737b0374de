"""Many probes of one trajectory in one forward pass.

A probe forces the answer marker and the gold answer after the first i tokens of a context (prompt +
trajectory). The context is read once; its keys and values then serve every probe. Probes lie side by
side in rows, several rows in one pass, under a mask that shows each probe token the first i context
tokens and its own predecessors within the probe. Position ids go on from i.

Why rows of `ROW_TOKENS`: in one long row, attention between probes, all masked out, grows with the
square of the row; with one probe a row, each row copies the context's keys and values for a handful
of queries. Measured on the micro architecture, one CPU thread, 5 tokens fed per probe, as time over
that of a plain forward pass on as many tokens in rows of the usual length:

    trajectory tokens                      95     500
    all probes in one long row            1.57    3.02
    long rows of 256 tokens, one a pass   1.44    1.31
    one probe a row                       2.88    6.36  (2.72 in passes of 1,024 tokens)
    rows of 64 tokens, 1,024 a pass       1.24    1.18  (32 and 128: 1.31, 1.30; 1.26, 1.19)

An attention function of our own, in which all probes share the context without copies and the two
parts of the softmax are merged, was no faster than rows and would have to be swapped into the model's
configuration; it is the way to go where even one copy of a layer's keys and values is too much.

Symbols: L context tokens, N probes, a = marker + answer tokens - 1 fed per probe (the last answer
token is only predicted), g probes a row, R rows a pass, w = g a, S <= L context tokens that the
pass's longest probe sees, H key-value heads of size d, V vocabulary, A answer tokens.

Memory beyond the weights, with b bytes a number: 2 b layers H d L for the context's keys and values,
kept; and within a pass about 2 b R H d (S + w) for the rows' keys and values of one layer (times query
heads / H where SDPA repeats them), b R w (S + w) for the mask and 4 R g A V for the logits. R w is at
most the token budget, or a where the budget is below one probe; so the mask takes b budget (S + w),
and a smaller budget also means fewer copies R of a layer's keys and values. The context itself is
read in one pass without a mask.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

ROW_TOKENS = 64


@dataclass(frozen=True)
class Context:
    """Keys and values of a context that probes read from, never written again.

    `layers` holds per layer two tensors [1, H, L, d].
    """

    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def length(self) -> int:
        """L."""
        return self.layers[0][0].shape[-2]

    def cache(self, seen: int) -> Cache:
        """The first `seen` tokens as a cache that a forward pass reads and leaves as it is."""
        return Cache(layers=[_ReadOnlyLayer(keys[:, :, :seen], values[:, :, :seen]) for keys, values in self.layers])


class _ReadOnlyLayer(CacheLayerMixin):
    """Hands out stored + new keys and values without keeping the new ones, so that nothing has to be cropped."""

    is_sliding = False

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys = keys
        self.values = values
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the layer is created full."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Stored and new keys, stored and new values: two tensors [R, H, S + w, d] from [R, H, w, d] each."""
        assert self.keys is not None and self.values is not None
        rows = key_states.shape[0]
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length of a pass over `query_length` tokens, and the offset of the first key."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """S."""
        assert self.keys is not None
        return self.keys.shape[-2]

    def get_max_length(self) -> int:
        """No maximum."""
        return -1


@contextmanager
def scoring(model: PreTrainedModel) -> Iterator[None]:
    """Without gradients and dropout; afterwards each module is in the mode (train, eval) that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def read_context(model: PreTrainedModel, ids: Sequence[int]) -> Context:
    """Run `model` over `ids` (length L >= 1) once and keep the keys and values."""
    row = torch.tensor([list(ids)], device=model.device)
    cache = model(input_ids=row, use_cache=True, logits_to_keep=1).past_key_values
    return Context(tuple((layer.keys, layer.values) for layer in cache.layers))


def probe_nll(
    model: PreTrainedModel,
    context: Context,
    seen: Sequence[int],
    marker_ids: Sequence[int],
    answer_ids: Sequence[int],
    token_budget: int,
) -> Tensor:
    """Answer NLL of N probes on one context.

    Args:
        model: in eval mode and without gradients (see `scoring`).
        seen: for each probe the number of context tokens that it reads, 1 to L; ascending order is
            fastest, since a pass reads no further than its longest probe.
        marker_ids: at least one id; with `answer_ids` forced after the tokens read.
        answer_ids: at least one id.
        token_budget: probe tokens of one pass, at most; one probe is run even if it is longer.

    Returns:
        [N, A] in nats, fp32 on the CPU: the negative log-likelihood of each answer token.
    """
    probe = torch.tensor([*marker_ids, *answer_ids], device=model.device)
    answer = probe[len(marker_ids) :]
    per_row = _probes_per_row(len(probe) - 1)
    per_pass = max(1, token_budget // (len(probe) - 1))
    if per_pass > per_row:
        per_pass -= per_pass % per_row  # whole rows, so that filling up the last row stays within the budget
    ends = torch.tensor(list(seen), device=model.device)
    return torch.cat([_one_pass(model, context, chunk, probe[:-1], answer).cpu() for chunk in ends.split(per_pass)])


def _one_pass(model: PreTrainedModel, context: Context, ends: Tensor, fed: Tensor, answer: Tensor) -> Tensor:
    """NLL [n, A] of the probes that read `ends` [n] context tokens; `fed` [a] are the tokens fed for each."""
    n, a = len(ends), len(fed)
    rows = -(-n // _probes_per_row(a))
    per_row = -(-n // rows)
    padding = ends[-1:].expand(rows * per_row - n)  # repeats the last probe; dropped below
    ends = torch.cat([ends, padding]).view(rows, per_row)
    first = a - len(answer)
    predicting = torch.arange(per_row * a, device=ends.device).view(per_row, a)[:, first:].flatten()
    logits = model(
        input_ids=fed.repeat(rows, per_row),
        position_ids=(ends[..., None] + torch.arange(a, device=ends.device)).view(rows, per_row * a),
        attention_mask=_mask(ends, a, model.dtype),
        past_key_values=context.cache(int(ends.max())),
        use_cache=True,
        logits_to_keep=predicting,
    ).logits.view(rows * per_row, len(answer), -1)[:n]
    target = answer.expand(n, -1)
    return cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="none").view(n, len(answer))


def _probes_per_row(a: int) -> int:
    return max(1, ROW_TOKENS // a)


def _mask(ends: Tensor, a: int, dtype: torch.dtype) -> Tensor:
    """Additive mask [R, 1, w, S + w] for probes of `a` tokens that read `ends` [R, g] context tokens.

    Additive rather than boolean: eager attention adds it, SDPA takes either.
    """
    rows, per_row = ends.shape
    width = per_row * a
    column = torch.arange(width, device=ends.device)
    own = (column[:, None] // a == column // a) & (column[:, None] >= column)
    of_context = torch.arange(int(ends.max()), device=ends.device) < ends.repeat_interleave(a, dim=1)[..., None]
    allowed = torch.cat([of_context, own.expand(rows, -1, -1)], dim=-1)[:, None]
    return torch.zeros(allowed.shape, dtype=dtype, device=ends.device).masked_fill_(~allowed, float("-inf"))
