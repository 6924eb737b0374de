"""Many probes of one trajectory in one forward pass.

The context (prompt + trajectory) is read once; its keys and values then serve every probe. The probes at
one position form a block of a tokens (`raml.probing.tree`). Blocks lie side by side in rows, several rows
in one pass, under a mask that shows each token the first i tokens of the context and its own predecessors
within its probe, and in layers with a sliding window only the nearest of these. Position ids go on from i.

Symbols: L context tokens, N positions, a tokens a block, g blocks a row, R rows a pass, w = g a, S <= L
context tokens that the pass's longest probe sees, V vocabulary.

How wide the rows are (`_row_tokens`): each row has a copy of the keys and values that it sees, so narrow
rows copy much for a handful of queries, R S in all; between the blocks of a row attention is computed and
masked out, so wide rows waste, R w^2 in all. For a given number of tokens R w the sum is smallest where w
grows with the root of S. Time over that of plain forward passes on as many tokens, in rows of the usual
length and with as many logits, by the row's width; one CPU thread, fp32, 1,024 tokens a pass, a = 5
for the micro architecture and 12 for SmolLM2-135M:

    trajectory tokens          64     128     256     512    4 sqrt(S), at least 64
    micro          95        1.06    1.14    1.21    1.40    1.08
                  500        1.17    1.16    1.25    1.42    1.16
                2,000        1.34    1.32    1.31    1.42    1.29
    SmolLM2        95        1.08    1.05    1.07    1.14    1.05
                  999        1.20    1.04    1.10    1.13    1.06
                4,000        1.58    1.24    1.12    1.05    1.08

An attention function of our own, which lets query heads share their keys without copies, saved 2% on
SmolLM2; merging the softmax over context and block, without any copies, was no faster on the micro
architecture. Neither is worth changing the model's configuration. On CUDA, where a mask sends SDPA to its
memory-efficient kernel, `_one_pass` is the place for block masks of FlexAttention.

What a pass takes of memory: `raml.probing.memory`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.probing.budget import Budget
from raml.probing.context import Context
from raml.probing.support import Attention, attention_of
from raml.probing.tree import Probe, ProbeTree, groups, probe_tree

ROW_TOKENS = 64
"""The narrowest row."""
_ROW_GROWTH = 4.0


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


def packed_nll(
    model: PreTrainedModel,
    context: Context,
    seen: Sequence[int],
    probes: Sequence[Probe],
    budget: Budget,
    progress: Callable[[int], object] | None = None,
) -> Tensor:
    """Mean answer NLL of every probe after every one of N prefixes of the context.

    Args:
        model: one that `why_not_packed` has nothing against, in eval mode and without gradients (see `scoring`).
        context: read by `model`.
        seen: for each prefix the number of context tokens in it, 1 to L, ascending.
        probes: at least one.
        budget: tokens of one pass, at most; one probe is run even if it is longer.
        progress: called after each pass with the number of values that it gave.

    Returns:
        [N, probes] in nats per token, fp64 on the CPU.

    Raises:
        RamlError: not even one probe fits into memory.
    """
    parts = groups(probes, budget.tokens)
    if len(parts) > 1:
        return torch.cat([packed_nll(model, context, seen, part, budget, progress) for part in parts], dim=1)
    tree = probe_tree(probes, model.device)
    attention = attention_of(model.config)
    values: list[Tensor] = []
    start = 0
    while start < len(seen):
        layout = next_pass(seen, start, len(tree), budget.tokens)
        ends = seen[start : start + layout.n]
        try:
            value = _one_pass(model, context, attention, tree, ends, layout)
        except (RuntimeError, MemoryError) as error:
            alone = len(probes) == 1  # of several, each by itself may still fit
            budget.halve(error, fed=layout.n * len(tree), least=len(tree) if alone else 1)
            value = None  # the next attempt is made outside, where the error no longer holds on to tensors
        if value is not None:
            values.append(value)
            start += layout.n
            if progress is not None:
                progress(layout.n * len(probes))
        elif len(groups(probes, budget.tokens)) > 1:
            values.append(packed_nll(model, context, seen[start:], probes, budget, progress))
            break
    return torch.cat(values)


def _row_tokens(seen: int) -> int:
    """About how many tokens a row has, for probes that see `seen` tokens of the context."""
    return max(ROW_TOKENS, round(_ROW_GROWTH * math.sqrt(seen)))


@dataclass(frozen=True)
class Pass:
    """Which positions go into one forward pass, and how they are laid out.

    n: positions.
    rows: R.
    per_row: g blocks a row; R g >= n, the last block fills up what is left over.
    """

    n: int
    rows: int
    per_row: int


def next_pass(seen: Sequence[int], start: int, a: int, tokens: int) -> Pass:
    """The pass over `seen[start:]` (context tokens seen, ascending), with blocks of `a` tokens and at most `tokens`."""
    most = max(1, tokens // a)
    n = min(most, len(seen) - start)
    per_row = max(1, _row_tokens(seen[start + n - 1]) // a)
    rows = -(-n // per_row)
    if rows * -(-n // rows) > most:  # filled up beyond `tokens`
        n, rows = n - n % per_row, rows - 1
    return Pass(n, rows, -(-n // rows))


def first_key(low: int, window: int | None) -> int:
    """The first token of the context that a block which sees `low` >= 1 tokens of it may attend to."""
    return max(0, low - window + 1) if window else 0


def _one_pass(
    model: PreTrainedModel,
    context: Context,
    attention: Attention,
    tree: ProbeTree,
    seen: Sequence[int],
    layout: Pass,
) -> Tensor:
    """Values [n, probes] of the blocks that see `seen` context tokens each."""
    n, a, rows, per_row = layout.n, len(tree), layout.rows, layout.per_row
    low, high = seen[0], seen[-1]
    filled = [*seen, *[high] * (rows * per_row - n)]
    ends = torch.tensor(filled, device=model.device).view(rows, per_row)

    firsts = {kind: first_key(low, window) for kind, window in attention.windows.items()}
    masks = {
        kind: _mask(ends, tree, range(firsts[kind], high), window, model.dtype)
        for kind, window in attention.windows.items()
    }
    logits = model(
        input_ids=tree.tokens.repeat(rows, per_row),
        position_ids=(ends[..., None] + tree.depths).flatten(1),
        attention_mask=masks[attention.layer_types[0]] if attention.one_mask else masks,
        past_key_values=context.reader([firsts[kind] for kind in attention.layer_types], high),
        use_cache=True,
        logits_to_keep=(torch.arange(per_row, device=ends.device)[:, None] * a + tree.predicting).flatten(),
    ).logits
    return tree.answer_nll(logits.view(rows * per_row, len(tree.predicting), -1)[:n])


def _mask(ends: Tensor, tree: ProbeTree, columns: range, window: int | None, dtype: torch.dtype) -> Tensor:
    """Additive mask [R, 1, w, len(columns) + w] for blocks that see `ends` [R, g] tokens of a context.

    Of the context the keys of tokens `columns` are there, and then those of the row itself. Additive rather
    than boolean: eager attention adds it, SDPA takes either.
    """
    rows, per_row = ends.shape
    width, seen = per_row * len(tree), len(columns)
    column = torch.arange(columns.start, columns.stop, device=ends.device)
    of_context = column < ends[..., None, None]  # [R, g, 1, S]
    within = tree.sees
    if window is not None:
        position = ends[..., None] + tree.depths  # [R, g, a]
        of_context = of_context & (column > position[..., None] - window)
        within = within & (tree.depths[:, None] - tree.depths < window)
    same_block = torch.eye(per_row, dtype=torch.bool, device=ends.device)
    own = (same_block[:, None, :, None] & within[:, None, :]).view(width, width)

    mask = torch.full((rows, 1, width, seen + width), -math.inf, dtype=dtype, device=ends.device)
    shape = (rows, per_row, len(tree), seen)
    mask[:, 0, :, :seen].unflatten(1, shape[1:3]).masked_fill_(of_context.expand(shape), 0.0)
    mask[:, 0, :, seen:].masked_fill_(own, 0.0)
    return mask
