"""Floating-point operations of training and of writing, from the model's sizes and the sequences' lengths.

An addition and a multiplication are two operations. Counted are matrix products, the causal half of attention
included; the tests hold each part against PyTorch's own counter on small models, with and without checkpointing.
Nothing here imports torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from raml.config import Architecture, Lora
from raml.training.memory import linears, trained_parameters

# Matrix products of one forward pass that a backward pass makes; attention works its scores out once more.
BACKWARD, ATTENTION_BACKWARD = 2.0, 2.5


@dataclass(frozen=True)
class Load:
    """Sequences to be worked on, as far as the operations depend on them."""

    rows: int
    tokens: int  # in all
    squares: int  # sum of the squared lengths, for attention
    scored: int  # tokens that the head is applied to

    @classmethod
    def of(cls, lengths: Iterable[tuple[int, int]]) -> Self:
        """Of the lengths of prompts and completions."""
        pairs = [(prompt + completion, completion) for prompt, completion in lengths]
        return cls(
            rows=len(pairs),
            tokens=sum(length for length, _ in pairs),
            squares=sum(length**2 for length, _ in pairs),
            scored=sum(completion for _, completion in pairs),
        )

    def __add__(self, other: "Load") -> "Load":
        """These sequences and others."""
        return Load(
            self.rows + other.rows,
            self.tokens + other.tokens,
            self.squares + other.squares,
            self.scored + other.scored,
        )

    def __mul__(self, times: int) -> "Load":
        """The same sequences `times` over."""
        return Load(self.rows * times, self.tokens * times, self.squares * times, self.scored * times)


def forward_flops(shape: Architecture, load: Load) -> float:
    """Operations of one forward pass; also of writing the completions with a cache, token by token."""
    return _maps(shape, load.tokens) + _attention(shape, load.squares) + _head(shape, load.scored)


def training_flops(shape: Architecture, load: Load, *, lora: Lora | None = None, checkpointing: bool = False) -> float:
    """Operations of a forward and a backward pass.

    Under LoRA the backward pass makes no gradients of the weights but those of the adapters. Checkpointing repeats
    each layer's forward pass, without adapters only up to its last map, whose output nothing needs. TRL's fused head
    works its logits out twice.
    """
    maps, attention = _maps(shape, load.tokens), _attention(shape, load.squares)
    adapters = 2.0 * trained_parameters(shape, lora) * load.tokens if lora else 0.0
    passes = maps * (1 + (1 if lora else BACKWARD)) + 3 * adapters + attention * (1 + ATTENTION_BACKWARD)
    if checkpointing:
        passes += maps + attention + (adapters if lora else -_last_maps(shape, load.tokens))
    return passes + _head(shape, load.scored) * (3 if lora else 4)


def _maps(shape: Architecture, tokens: int) -> float:
    return 2.0 * tokens * shape.layers * sum(rows * columns for rows, columns in linears(shape))


def _last_maps(shape: Architecture, tokens: int) -> float:
    rows, columns = linears(shape)[-1]
    return 2.0 * tokens * shape.layers * rows * columns


def _attention(shape: Architecture, squares: int) -> float:
    return 2.0 * squares * shape.layers * shape.hidden_size


def _head(shape: Architecture, scored: int) -> float:
    return 2.0 * scored * shape.vocabulary * shape.hidden_size
