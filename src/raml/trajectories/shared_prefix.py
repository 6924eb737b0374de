"""A KV cache for many samples per prompt, and the attention over it, for stock Hugging Face models.

The keys and values of a prompt are kept once for all its samples; each sample has a preallocated
buffer of its own for what it generated, written in place. At micro scale decoding is bound by memory
traffic, so not reading a prompt's keys once per sample is worth more than any faster kernel.

Symbols: B rows (samples), P distinct prompts, M most rows of one prompt, Q query heads, H key-value
heads, G = Q / H, D head size, L longest prompt, t generated tokens so far.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, Cache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

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
        by_prompt = prompt_of_row.argsort(stable=True)
        places = torch.arange(len(by_prompt), device=by_prompt.device)
        first_places = sizes.cumsum(0) - sizes
        slots = torch.empty_like(by_prompt)
        slots[by_prompt] = prompt_of_row[by_prompt] * self.widest + places - first_places.repeat_interleave(sizes)
        self._slots = None if torch.equal(slots, places) and bool((sizes == self.widest).all()) else slots

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


class SharedPrefixLayer(CacheLayerMixin):
    """One attention layer's keys and values: prompts [P, H, L, D] and rows [B, H, capacity, D]."""

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, prompt_keys: Tensor, prompt_values: Tensor, rows: int, capacity: int) -> None:
        """Take a prefilled prompt cache; leave room for `capacity` tokens per row."""
        super().__init__()  # type: ignore[no-untyped-call]
        _, heads, _, size = prompt_keys.shape
        self.prompt_keys, self.prompt_values = prompt_keys.contiguous(), prompt_values.contiguous()
        self.keys = prompt_keys.new_empty(rows, heads, capacity, size)
        self.values = prompt_values.new_empty(rows, heads, capacity, prompt_values.shape[3])
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


class SharedPrefixCache(Cache):
    """The layers of a model, their rows by prompt, and the prompts' padding."""

    def __init__(self, prefilled: Cache, prompt_lengths: Tensor, prompt_of_row: Tensor, capacity: int) -> None:
        """Continue prompts that were prefilled right-padded.

        Args:
            prefilled: cache after a forward over P prompts padded to L tokens.
            prompt_lengths: shape [P], true lengths.
            prompt_of_row: shape [B], the prompt that each row continues.
            capacity: most tokens that a row can generate.

        Raises:
            InputError: the model has other layers than full attention.
        """
        if other := {type(layer).__name__ for layer in prefilled.layers if type(layer) is not DynamicLayer}:
            raise InputError(f"the torch sampler knows full attention only, not {', '.join(sorted(other))}; use vLLM")
        rows = len(prompt_of_row)
        states = [(layer.keys, layer.values) for layer in prefilled.layers if isinstance(layer, DynamicLayer)]
        self.attentions = [
            SharedPrefixLayer(keys, values, rows, capacity)
            for keys, values in states
            if keys is not None and values is not None
        ]
        super().__init__(layers=list(self.attentions))
        self.groups = RowGroups(prompt_of_row)
        longest = self.attentions[0].prompt_keys.shape[2]
        self._is_padding = torch.arange(longest, device=prompt_lengths.device) >= prompt_lengths[:, None]
        self._set_padding()

    def attend(self, layer: int, query: Tensor, scaling: float) -> Tensor:
        """Attention of one new token per row in `layer`: [B, Q, 1, D] to [B, 1, Q, D]."""
        return self.attentions[layer].attend(query, scaling, self.groups, self._padding)

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
        for layer in self.attentions:
            layer.move_rows(sources, targets, rows)
            if len(prompts) < self.groups.prompts:
                layer.select_prompts(prompts)
        self._is_padding = self._is_padding[prompts]
        self._set_padding()
        self.groups = RowGroups(prompt_of_row)
        return order

    def _set_padding(self) -> None:
        self._padding: Tensor | None = None
        if self._is_padding.any():
            zeros = self.attentions[0].prompt_keys.new_zeros(self._is_padding.shape)
            self._padding = zeros.masked_fill(self._is_padding, -torch.inf)[:, None, None]


def shared_prefix_attention(
    module: Any,
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
    """Within the block, `model` decodes with `SharedPrefixCache`, given as `past_key_values` and `shared_prefix`.

    Raises:
        InputError: the model's code has no exchangeable attention.
    """
    usual = model.config._attn_implementation
    model.set_attn_implementation(ATTENTION)
    if model.config._attn_implementation != ATTENTION:
        raise InputError(f"the torch sampler cannot change the attention of {type(model).__name__}; use vLLM")
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


AttentionInterface.register(ATTENTION, shared_prefix_attention)
