"""A KV cache for many samples per prompt, and the attention over it, for stock Hugging Face models.

The keys and values of a prompt are kept once for all its samples; each sample has a preallocated
buffer of its own for what it generated, written in place. At micro scale decoding is bound by memory
traffic, so not reading a prompt's keys once per sample is worth more than any faster kernel.

Symbols: B rows (samples), P distinct prompts, M most rows of one prompt, Q query heads, H key-value
heads, G = Q / H, D head size, L longest prompt, t generated tokens so far.
"""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin

from raml.errors import InputError

ATTENTION = "raml_shared_prefix"
UNSUPPORTED = ("sliding_window", "softcap", "s_aux", "position_bias")  # arguments that change the attention itself


class RowGroups:
    """Which of P prompts each of B rows continues, and the padded layout [P, M] of rows by prompt."""

    def __init__(self, prompt_of_row: Tensor) -> None:
        """Lay rows out by prompt; `prompt_of_row` has shape [B], values in 0..P-1, each of them used."""
        self.prompt_of_row = prompt_of_row
        sizes = prompt_of_row.bincount()
        self.prompts, self.widest = len(sizes), int(sizes.max())
        order = prompt_of_row.argsort(stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        slots = prompt_of_row * self.widest + rank
        filled = len(slots) == self.prompts * self.widest and bool((order == torch.arange(len(order))).all())
        self._slots = None if filled else slots

    def gather(self, rows: Tensor) -> Tensor:
        """Rows [B, H, G, X] as [P, H, M * G, X], with zeros where a prompt has fewer than M rows."""
        _, heads, group, width = rows.shape
        if self._slots is not None:
            padded = rows.new_zeros(self.prompts * self.widest, heads, group, width)
            rows = padded.index_copy_(0, self._slots, rows)
        by_prompt = rows.view(self.prompts, self.widest, heads, group, width).transpose(1, 2)
        return by_prompt.reshape(self.prompts, heads, self.widest * group, width)

    def scatter(self, by_prompt: Tensor, group: int) -> Tensor:
        """The inverse of `gather`."""
        heads, width = by_prompt.shape[1], by_prompt.shape[3]
        rows = by_prompt.view(self.prompts, heads, self.widest, group, width).transpose(1, 2)
        rows = rows.reshape(self.prompts * self.widest, heads, group, width)
        return rows if self._slots is None else rows.index_select(0, self._slots)


class SharedPrefixLayer(CacheLayerMixin):  # type: ignore[misc]
    """One attention layer's keys and values: prompts [P, H, L, D] and rows [B, H, capacity, D]."""

    is_sliding = False

    def __init__(self, prompt_keys: Tensor, prompt_values: Tensor, rows: int, capacity: int) -> None:
        """Take a prefilled prompt cache; leave room for `capacity` tokens per row."""
        super().__init__()
        _, heads, _, size = prompt_keys.shape
        self.prompt_keys, self.prompt_values = prompt_keys.contiguous(), prompt_values.contiguous()
        self.keys = huge_page_buffer(prompt_keys, rows, heads, capacity, size)
        self.values = huge_page_buffer(prompt_values, rows, heads, capacity, prompt_values.shape[3])
        self.length = 0
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the buffers exist."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append one token per row, [B, H, 1, D]; `attend` reads the buffers, so nothing else need be returned."""
        self.keys[:, :, self.length] = key_states[:, :, 0]
        self.values[:, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return key_states, value_states

    def attend(self, query: Tensor, scaling: float, groups: RowGroups, padding: Tensor | None) -> Tensor:
        """Attention of one new token per row, [B, Q, 1, D], over its prompt and its own tokens; [B, 1, Q, D].

        `padding` [P, 1, 1, L] is added to the scores of prompt positions: -inf where a prompt is shorter.
        """
        rows, query_heads, _, size = query.shape
        heads, length = self.keys.shape[1], self.length
        group = query_heads // heads
        query = query.reshape(rows, heads, group, size) * scaling

        prompt_scores = groups.gather(query) @ self.prompt_keys.transpose(2, 3)
        if padding is not None:
            prompt_scores += padding
        keys = self.keys.flatten(0, 1)[:, :length]
        scores = torch.bmm(query.flatten(0, 1), keys.transpose(1, 2)).view(rows, heads, group, length)
        weights = torch.cat([groups.scatter(prompt_scores, group), scores], dim=-1).softmax(-1)

        prompt_weights, own_weights = weights.split([self.prompt_keys.shape[2], length], dim=-1)
        values = self.values.flatten(0, 1)[:, :length]
        output = torch.bmm(own_weights.flatten(0, 1), values).view(rows, heads, group, -1)
        output += groups.scatter(groups.gather(prompt_weights) @ self.prompt_values, group)
        return output.reshape(rows, 1, query_heads, -1)

    def move_rows(self, sources: Tensor, targets: Tensor, rows: int) -> None:
        """Copy rows `sources` over rows `targets`, then keep the first `rows` rows."""
        for name in ("keys", "values"):
            buffer = getattr(self, name)
            buffer[targets, :, : self.length] = buffer[sources, :, : self.length]
            setattr(self, name, buffer[:rows])

    def select_prompts(self, prompts: Tensor) -> None:
        """Keep only the prompts with these indices."""
        self.prompt_keys, self.prompt_values = self.prompt_keys[prompts], self.prompt_values[prompts]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset that a mask would have; this attention needs none."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Longest prompt plus generated tokens."""
        return self.prompt_keys.shape[2] + self.length

    def get_max_length(self) -> int:
        """Longest prompt plus capacity."""
        return self.prompt_keys.shape[2] + self.keys.shape[2]


class SharedPrefixCache(Cache):  # type: ignore[misc]
    """The layers of a model, their rows by prompt, and the prompts' padding."""

    def __init__(self, prefilled: Cache, prompt_lengths: Tensor, prompt_of_row: Tensor, capacity: int) -> None:
        """Continue prompts that were prefilled right-padded.

        Args:
            prefilled: cache after a forward over P prompts padded to L tokens.
            prompt_lengths: shape [P], true lengths.
            prompt_of_row: shape [B], the prompt that each row continues.
            capacity: most tokens that a row can generate.
        """
        rows = len(prompt_of_row)
        super().__init__(
            layers=[SharedPrefixLayer(layer.keys, layer.values, rows, capacity) for layer in prefilled.layers]
        )
        self.groups = RowGroups(prompt_of_row)
        longest = prefilled.layers[0].keys.shape[2]
        self._is_padding = torch.arange(longest, device=prompt_lengths.device) >= prompt_lengths[:, None]
        self._set_padding(prefilled.layers[0].keys.dtype)

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Attention of one new token per row in `layer`: [B, Q, 1, D] to [B, 1, Q, D]."""
        attention: SharedPrefixLayer = self.layers[layer]
        return attention.attend(query, scaling, self.groups, self._padding)

    def drop_rows(self, finished: Tensor) -> Tensor:
        """Drop rows, [B] bool, and prompts without rows; returns the old indices of the rows now held.

        Rows from the end move into the gaps, so that as little as possible is copied.
        """
        alive = (~finished).nonzero()[:, 0]
        rows = len(alive)
        targets = finished[:rows].nonzero()[:, 0]
        sources = alive[rows - len(targets) :]
        order = torch.arange(rows, device=finished.device)
        order[targets] = sources
        prompts, prompt_of_row = self.groups.prompt_of_row[order].unique(return_inverse=True)
        for layer in self.layers:
            layer.move_rows(sources, targets, rows)
            if len(prompts) < self.groups.prompts:
                layer.select_prompts(prompts)
        self._is_padding = self._is_padding[prompts]
        self._set_padding(self.layers[0].keys.dtype)
        self.groups = RowGroups(prompt_of_row)
        return order

    def _set_padding(self, dtype: torch.dtype) -> None:
        self._padding: Tensor | None = None
        if self._is_padding.any():
            zeros = torch.zeros(self._is_padding.shape, dtype=dtype, device=self._is_padding.device)
            self._padding = zeros.masked_fill(self._is_padding, -torch.inf)[:, None, None]


def shared_prefix_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    shared_prefix: SharedPrefixCache,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function that a model calls during decoding; the cache comes as a keyword of its forward.

    Raises:
        InputError: the layer's attention is more than scaled dot products over all earlier tokens.
    """
    if extra := [name for name in UNSUPPORTED if kwargs.get(name) is not None]:
        raise InputError(f"the torch sampler has no attention with {', '.join(extra)}; use vLLM for this model")
    return shared_prefix.attend(module.layer_idx, query, scaling), None


@contextmanager
def shared_prefix_decoding(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, `model` decodes with `SharedPrefixCache`, given as `past_key_values` and `shared_prefix`."""
    usual = model.config._attn_implementation
    model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def huge_page_buffer(like: Tensor, *shape: int) -> Tensor:
    """An empty tensor of `like`'s type, on a CPU in huge pages where Linux grants them: every step reads all of it."""
    if like.device.type != "cpu" or not hasattr(mmap, "MADV_HUGEPAGE"):
        return like.new_empty(shape)
    memory = mmap.mmap(-1, math.prod(shape) * like.element_size())
    with suppress(OSError):  # a kernel without transparent huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=like.dtype).view(shape)


AttentionInterface.register(ATTENTION, shared_prefix_attention)
