"""Values for models that packing does not serve: one pass for each probe and position.

With a cache, the context is read once and each pass feeds only the probe. The model builds its own causal
masks, so that sliding windows, chunks or sinks are its own affair; what must hold is that the keys
and values of a prefix stay the same whatever follows. `why_not_cached` knows of cases where they do
not. Since it cannot know all, the values at the first, the middle and the last position of
the longest trajectory are compared with plain passes, and only if they agree is the cache used.

Without a cache each pass feeds prompt, prefix and probe, O(T^2) tokens: the definition of the curve, and how the
paper's released code computes it.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raml.errors import RamlError
from raml.probing.budget import Budget, raise_if_out_of_memory
from raml.probing.context import Context, last_logits
from raml.probing.support import why_not_cached
from raml.probing.tree import Probe, at_least_float

Ids = Sequence[int]
Progress = Callable[[int], object]

TOLERANCE = 1e-3
"""Nats by which values with and without the cache may differ in fp32 or fp64."""
_HALF_TOLERANCE = 0.25  # rounding alone makes up to 0.1 in bf16


def separate_nll(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectory_ids: Ids,
    positions: Sequence[int],
    probes: Sequence[Probe],
    progress: Progress | None = None,
) -> Tensor:
    """Mean answer NLL of each probe at each position, [positions, probes] fp64 on the CPU, by plain passes.

    Raises:
        RamlError: out of memory.
    """
    values = torch.empty(len(positions), len(probes), dtype=torch.float64)
    for row, position in enumerate(positions):
        for column, probe in enumerate(probes):
            prefix = [*prompt_ids, *trajectory_ids[:position]]
            values[row, column] = _one_probe(model, probe, prefix)
        if progress is not None:
            progress(len(probes))
    return values


def cached_nll(
    model: PreTrainedModel,
    context: Context,
    seen: Sequence[int],
    probes: Sequence[Probe],
    progress: Progress | None = None,
) -> Tensor:
    """The same after the first `seen` tokens of `context`, ascending; what lies behind them is overwritten.

    Raises:
        RamlError: out of memory.
    """
    values = torch.empty(len(seen), len(probes), dtype=torch.float64)
    for row in reversed(range(len(seen))):  # the longest first: what a probe overwrites is no longer needed
        for column, probe in enumerate(probes):
            context.cut(seen[row])
            values[row, column] = _one_probe(model, probe, [], context)
        if progress is not None:
            progress(len(probes))
    return values


def why_cache_is_not_used(
    model: PreTrainedModel, prompt_ids: Ids, trajectory_ids: Ids, positions: Sequence[int], probes: Sequence[Probe]
) -> str | None:
    """Why `cached_nll` would not give what `separate_nll` gives; None if it does where it was compared."""
    if reason := why_not_cached(model):
        return reason
    compared = sorted({positions[0], positions[len(positions) // 2], positions[-1]})
    longest = max(probes, key=lambda probe: len(probe.fed))
    seen = [len(prompt_ids) + position for position in compared]
    context = Context(seen[-1] + len(longest.fed))
    try:
        context.read(model, [*prompt_ids, *trajectory_ids[: compared[-1]]], Budget(seen[-1]))
        if any(layer.length != seen[-1] for layer in context.layers) or not context.layers:
            return "it does not keep keys and values of every token in the cache that it is given"
        cached = cached_nll(model, context, seen, [longest])
    except RamlError:  # out of memory
        raise
    except Exception as error:  # code that we do not know, and can do without
        return f"it cannot go on from a cache ({' '.join(f'{type(error).__name__}: {error}'.split())[:100]})"
    separate = separate_nll(model, prompt_ids, trajectory_ids, compared, [longest])
    off = float((cached - separate).abs().max())
    allowed = TOLERANCE if model.dtype.itemsize >= 4 else _HALF_TOLERANCE
    if off > allowed:
        return f"with a cache its values are off by {off:.2g} nats"
    return None


def _one_probe(model: PreTrainedModel, probe: Probe, prefix: Ids, context: Context | None = None) -> float:
    """Mean NLL of the probe's answer after `context` (if there is one) and `prefix`."""
    answer = torch.tensor(probe.answer_ids, device=model.device)
    row = torch.tensor([[*prefix, *probe.fed]], device=model.device)
    arguments: dict[str, object] = {"use_cache": False}
    if context is not None:
        arguments = {"use_cache": True, "past_key_values": context.cache}
    arguments |= last_logits(model, len(answer))
    try:
        logits = model(input_ids=row, **arguments).logits[0, -len(answer) :]
    except (RuntimeError, MemoryError) as error:
        raise_if_out_of_memory(error, fed=row.shape[1])
        raise
    return float(cross_entropy(at_least_float(logits), answer, reduction="none").cpu().double().mean())
