"""Proposition 2.1 on one block: what the paper's own construction, an exact one and two baselines leave of the output.

The block is one attention layer and an MLP that works on each position by itself, without residual
connections. Rows are tokens: E_l [L, d] the prompt's embeddings, E_t [d] those of one further token, whose
query attends to all L + 1. Changed weights must give the same output from E_l alone, at its last position e.

*paper*: Appendix B's construction; the MLP is left as it is.

- Query: W_q' = P W_q. The text has E_t P = E_l,-1, but the query without the token is e W_q', so what is needed, and
  used here, is e P = E_t. P is not unique; the one nearest to the identity is taken: P = I + e^T (E_t - e) / (e e^T).
- Keys and values: W_k' = E_l^+ M^T E_l W_k and W_v' alike, with M = [I, C^T] and C = E_t E_l^+ the least-squares
  solution of E_t ~ C E_l, so that M^T E_l ~ [E_l; E_t]. As printed this is no matrix product: E_l^+ has L
  columns and M^T has L + 1 rows. What fits, and does what the formula is for, is the square root S of
  M M^T = I + C^T C in place of M^T: with S, L keys and values stand for L + 1, exactly so in attention without
  a softmax. (Reading M^T as its first L rows, the identity, changes nothing but the query.)
- Positions, where a block has them, are none of the proposition's: without the token the changed query would stand at
  position L - 1, and be turned otherwise than the token's at L. It is turned as at L, in *query* too, so that only
  what the proposition speaks of counts against it.

Two baselines say what that error is to be measured by. *query*: W_q' as above, keys and values as they are.
*none*: the weights as they are, that is, the block simply does not read the token.

*exact*: W_v alone changes. With attention weights p over the prompt at its last position and e_j = p_j E_l the mean
that query head j sees, the least-norm change that gives each head its result with the token: for a single head
W_v' = W_v + e^T (o - e W_v) / (e e^T), of rank one.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from raml.probing.implicit.change import least_norm_change

MLP_RATIO = 4


@dataclass(frozen=True)
class Weights:
    """What turns rows of embeddings into queries [d, H h], keys and values [d, G h], for H heads in G groups."""

    query: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class Attended:
    """A block at its last position: `heads` [H, h] results, `weights` [H, L] of the attention, `output` of the MLP."""

    heads: Tensor
    weights: Tensor
    output: Tensor


class Block(Protocol):
    """An attention layer with its MLP."""

    @property
    def weights(self) -> Weights:
        """As they are."""

    @property
    def groups(self) -> int:
        """G: heads of a group share keys and values."""

    def attend(self, weights: Weights, embeddings: Tensor, *, as_further: bool = False) -> Attended:
        """Run the block with `weights` over `embeddings` [L, d].

        `as_further`: the last one's query, but neither its key nor its value, stands one position further on.
        """


@dataclass(frozen=True)
class Residual:
    """How far the output is off, and how large the change is against the weights that change; shares of 1."""

    relative_error: float
    relative_norm: float


@dataclass(frozen=True)
class RandomBlock:
    """The proposition's block with random weights: one head as wide as the embeddings, softmax, ReLU, float64."""

    weights: Weights
    up: Tensor
    down: Tensor
    groups: int = 1

    @classmethod
    def draw(cls, dimension: int, generator: torch.Generator) -> "RandomBlock":
        """Gaussian weights of variance 1 / inputs."""

        def matrix(inputs: int, outputs: int) -> Tensor:
            drawn = torch.randn(inputs, outputs, generator=generator, dtype=torch.float64)
            return drawn / math.sqrt(inputs)

        d = dimension
        weights = Weights(matrix(d, d), matrix(d, d), matrix(d, d))
        return cls(weights, up=matrix(d, MLP_RATIO * d), down=matrix(MLP_RATIO * d, d))

    def attend(self, weights: Weights, embeddings: Tensor, *, as_further: bool = False) -> Attended:
        """Run the block; see `Block`. It knows no positions."""
        scores = (embeddings[-1] @ weights.query) @ (embeddings @ weights.key).T / math.sqrt(embeddings.shape[1])
        attention = scores.softmax(-1)
        head = attention @ (embeddings @ weights.value)
        return Attended(head[None], attention[None], (head @ self.up).relu() @ self.down)


def residuals(block: Block, prompt: Tensor, token: Tensor) -> dict[str, Residual]:
    """What each construction leaves, by its name: `none`, `query`, `paper`, `exact`.

    Args:
        block: with weights in float64.
        prompt: E_l [L, d], float64, L >= 1.
        token: E_t [d].
    """
    before = block.weights
    expected = block.attend(before, torch.cat([prompt, token[None]]))
    paper = paper_weights(before, prompt, token)
    changed = {
        "none": (before, False),
        "query": (replace(before, query=paper.query), True),
        "paper": (paper, True),
        "exact": (exact_weights(block, prompt, expected.heads), False),
    }
    return {
        name: Residual(
            relative_error=_ratio(
                block.attend(after, prompt, as_further=as_further).output - expected.output, expected.output
            ),
            relative_norm=_relative_change(before, after),
        )
        for name, (after, as_further) in changed.items()
    }


def paper_weights(weights: Weights, prompt: Tensor, token: Tensor) -> Weights:
    """The proof's weights, in the reading given above; arguments as in `residuals`."""
    last = prompt[-1]
    query_map = torch.eye(len(last), dtype=prompt.dtype, device=prompt.device) + torch.outer(last, token - last) / (
        last @ last
    )
    inverse = torch.linalg.pinv(prompt)
    mix = token @ inverse  # C
    square = mix @ mix
    stretch = (torch.sqrt(1 + square) - 1) / square if square > 0 else torch.zeros_like(square)
    folded = prompt + stretch * torch.outer(mix, mix @ prompt)  # S E_l
    fold = inverse @ folded
    return Weights(query_map @ weights.query, fold @ weights.key, fold @ weights.value)


def exact_weights(block: Block, prompt: Tensor, heads: Tensor) -> Weights:
    """The weights whose values alone change, by least norm, so that the heads give `heads` [H, h]."""
    before = block.weights
    alone = block.attend(before, prompt)
    seen = (alone.weights @ prompt).unflatten(0, (block.groups, -1))
    missing = (heads - alone.heads).unflatten(0, (block.groups, -1))
    change = least_norm_change(seen, missing, prompt.dtype)
    return Weights(before.query, before.key, before.value + change.dense().T)


def _relative_change(before: Weights, after: Weights) -> float:
    """Norm of the change of those weights that changed, against theirs."""
    pairs = [(getattr(before, name), getattr(after, name)) for name in ("query", "key", "value")]
    moved = [(old, new - old) for old, new in pairs if not torch.equal(old, new)]
    if not moved:
        return 0.0
    return _ratio(torch.cat([change.flatten() for _, change in moved]), torch.cat([old.flatten() for old, _ in moved]))


def _ratio(difference: Tensor, reference: Tensor) -> float:
    return float(difference.norm() / reference.norm())
