"""Keys and values of a context (prompt and trajectory), read once and then shared by all probes.

One buffer a layer holds the longest context; trajectories of one question are written into it one after
the other behind the question's prompt, which stays.

Symbols: H key-value heads of size d, C capacity in tokens, L tokens stored, S <= L tokens that a pass sees.
"""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from raml.probing.budget import Budget


class _Layer(CacheLayerMixin):
    """What transformers asks of a layer without a window of its own; the masks carry the windows."""

    is_sliding = False

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length of a pass over `query_length` tokens, and the offset of the first key."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No maximum."""
        return -1


class _StoredLayer(_Layer):
    """Buffers [1, H, C, d] for keys and values, written in place."""

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity
        self.length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store keys and values, [1, H, n, d] each, behind the L there are; returns views [1, H, L + n, d] of all."""
        if self.keys is None or self.values is None:
            self.keys, self.values = (
                states.new_empty(*states.shape[:2], self.capacity, states.shape[-1])
                for states in (key_states, value_states)
            )
            self.is_initialized = True
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """L."""
        return self.length


class _ReadOnlyLayer(_Layer):
    """Hands out stored + new keys and values without keeping the new ones."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values = keys, values
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Stored and new keys, stored and new values: two tensors [R, H, S + w, d] from [R, H, w, d] each."""
        assert self.keys is not None and self.values is not None
        rows = key_states.shape[0]
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )

    def get_seq_length(self) -> int:
        """S."""
        assert self.keys is not None
        return int(self.keys.shape[-2])


class Context:
    """The context that is being probed; see the module."""

    def __init__(self, capacity: int) -> None:
        """Empty; `capacity` C tokens will do, with room for what the caller feeds through `cache` itself."""
        stored: Any = partial(_StoredLayer, capacity)
        self.cache = Cache(layer_class_to_replicate=stored)
        """What a forward pass writes to and reads from, always behind the tokens there are."""

    @property
    def layers(self) -> list[_StoredLayer]:
        """One for each layer of the model, once something was read."""
        return cast(list[_StoredLayer], self.cache.layers)

    @property
    def length(self) -> int:
        """L."""
        return self.layers[0].length if self.layers else 0

    def cut(self, length: int) -> None:
        """Forget all but the first `length` <= L tokens; nothing is copied or freed."""
        for layer in self.layers:
            layer.length = length

    def read(self, model: PreTrainedModel, ids: Sequence[int], budget: Budget) -> None:
        """Run `model` over `ids` behind the tokens there are, at most `budget` of them in a pass.

        Raises:
            RamlError: not even one token fits into memory.
        """
        start = 0
        while start < len(ids):
            chunk = list(ids[start : start + budget.tokens])
            length = self.length
            try:
                row = torch.tensor([chunk], device=model.device)
                model(input_ids=row, past_key_values=self.cache, use_cache=True, **last_logits(model, 1))
            except (RuntimeError, MemoryError) as error:
                self.cut(length)
                budget.halve(error, fed=len(chunk), least=1)
            else:
                start += len(chunk)

    def reader(self, firsts: Sequence[int], seen: int) -> Cache:
        """Tokens `firsts[layer]` to `seen` of each layer as a cache that a forward pass reads and leaves as it is."""
        layers: list[Any] = []
        for layer, first in zip(self.layers, firsts, strict=True):
            assert layer.keys is not None and layer.values is not None
            layers.append(_ReadOnlyLayer(layer.keys[:, :, first:seen], layer.values[:, :, first:seen]))
        return Cache(layers=layers)


def last_logits(model: PreTrainedModel, n: int) -> dict[str, int]:
    """The argument that makes a forward pass give the last `n` logits only, for models that have it."""
    return {"logits_to_keep": n} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
