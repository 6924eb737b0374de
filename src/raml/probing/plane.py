"""A model whose weights lie on the plane weights + x d1 + y d2 while a context lasts.

The model's own tensors are never written: within the context its parameters point to a buffer of ours that
holds the moved weights, and afterwards they point back, whatever happened in between. So nothing drifts, unlike
in the released code, which adds the directions to bf16 weights and subtracts them again.

Moved along a row of the grid, weights + y d2 is kept in fp32, and each point costs one addition over all weights,
written in the weights' own precision. Everything lies in a few flat buffers, because hundreds of small
additions would take as long as the forward pass of a small model.

Memory beside the model, for n moved weights of b bytes each: n (2 b + 4) for the moved weights, d1 (both b) and
the row's start (fp32), and n b more if d2 is kept. Where that is more than `SHARE` of the free memory, d2 is drawn
anew for each row instead: 0.45 s for 10^8 weights on one CPU thread.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Final, Literal, Self

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.config import Normalisation
from raml.errors import RamlError
from raml.probing.budget import is_out_of_memory
from raml.probing.directions import AXES, Weight, filter_scale, moved_weights, random_direction

Directions = Literal["stored", "regenerated"]

SHARE: Final = 0.7  # of the free memory; the rest is for the forward passes
ALIGNMENT: Final = 64  # elements, so that each weight starts on a cache line
BLOCK: Final = 1 << 18  # elements added at once on the CPU: where precisions are mixed, copies stay in the cache


@dataclass(frozen=True)
class _Group:
    """The weights of one device and precision, and their flat buffers [n]; `second` is None if drawn anew."""

    weights: list[Weight]
    offsets: list[int]
    moved: Tensor
    start: Tensor
    first: Tensor
    second: Tensor | None
    second_scale: dict[str, Tensor]

    def parts(self, buffer: Tensor) -> list[Tensor]:
        """Each weight's part of `buffer`, in its shape."""
        pairs = zip(self.weights, self.offsets, strict=True)
        return [buffer[at : at + one.parameter.numel()].view(one.parameter.shape) for one, at in pairs]


class Plane:
    """The context: `with Plane(model, ...) as plane: plane.move(x, y); model(...)`.

    Moving along x is cheap, to another y costs one more pass over the weights.
    """

    def __init__(
        self, model: PreTrainedModel, seed: int, normalisation: Normalisation, directions: Directions | None = None
    ) -> None:
        """Nothing is allocated before the context is entered.

        Args:
            model: its parameters' data must be its own, not views that other code keeps.
            seed: of both directions.
            normalisation: see `raml.probing.directions.filter_scale`.
            directions: whether d2 is kept; by default as memory allows.

        Raises:
            InputError: as in `moved_weights`.
        """
        self._weights = moved_weights(model)
        self._own = {weight.name: weight.parameter.data for weight in self._weights}
        self._seed, self._normalisation = seed, normalisation
        self._groups: list[_Group] = []
        self._y: float | None = None
        self.directions: Directions = directions or _as_memory_allows(self._weights)

    @property
    def buffer_bytes(self) -> int:
        """What is held beside the model while the context lasts."""
        return _needed(self._weights, self.directions)

    def __enter__(self) -> Self:
        """Draw the directions.

        Raises:
            RamlError: there is not enough memory.
        """
        try:
            self._groups = [self._group(weights) for weights in _by_kind(self._weights)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._groups = []
            raise RamlError(
                f"out of memory: the directions take {self.buffer_bytes / 1e9:.1f} GB beside the model; load it in "
                "bfloat16, or take a larger machine"
            ) from None
        for group in self._groups:
            for weight, part in zip(group.weights, group.parts(group.moved), strict=True):
                weight.parameter.data = part
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Point the parameters back to the model's own tensors and let the buffers go."""
        for weight in self._weights:
            weight.parameter.data = self._own[weight.name]
        self._groups, self._y = [], None

    @torch.no_grad()
    def move(self, x: float, y: float) -> None:
        """Let the model's weights be own + x d1 + y d2, computed in fp32 and rounded to their precision."""
        for group in self._groups:
            if y != self._y:
                self._start_row(group, y)
            _add(group.start, group.first, x, group.moved)
        self._y = y

    def _start_row(self, group: _Group, y: float) -> None:
        parts = group.parts(group.start)
        kept = group.parts(group.second) if group.second is not None else None

        def start(index: int) -> None:
            weight = group.weights[index]
            if kept is not None:
                second = kept[index]
            else:
                drawn = random_direction(weight, self._seed, "y").mul_(group.second_scale[weight.name])
                second = drawn.to(group.moved)
            own = self._own[weight.name]
            parts[index].copy_(own).add_(second, alpha=y)  # in the buffer's fp32, whatever the weights' precision

        _each(start, len(parts))

    def _group(self, weights: list[Weight]) -> _Group:
        """Buffers for `weights`, directions drawn; in their weights' precision, so that both kinds are the same."""
        offsets, size = _layout(weights)
        like = weights[0].parameter

        def buffer(dtype: torch.dtype) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=like.device)

        group = _Group(
            weights,
            offsets,
            moved=buffer(like.dtype),
            start=buffer(_computed_in(like)),
            first=buffer(like.dtype),
            second=buffer(like.dtype) if self.directions == "stored" else None,
            second_scale={},
        )
        buffers = {"x": group.parts(group.first)}
        if group.second is not None:
            buffers["y"] = group.parts(group.second)

        def draw(index: int) -> None:
            for axis in AXES:
                direction = random_direction(weights[index], self._seed, axis)
                scale = filter_scale(weights[index], direction, self._normalisation)
                if axis in buffers:
                    buffers[axis][index].copy_(direction.mul_(scale))
                else:
                    group.second_scale[weights[index].name] = scale

        _each(draw, len(weights))
        return group


def _each(work: Callable[[int], None], n: int) -> None:
    """`work` of 0 to n - 1, on as many threads as torch uses: within a tensor, drawing takes one only."""
    threads = torch.get_num_threads()
    if threads == 1:
        for index in range(n):
            work(index)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(n)):
            pass


def _add(start: Tensor, direction: Tensor, scale: float, out: Tensor) -> None:
    step = BLOCK if out.device.type == "cpu" else len(out)
    for begin in range(0, len(out), step):
        block = slice(begin, begin + step)
        torch.add(start[block], direction[block], alpha=scale, out=out[block])


def _by_kind(weights: Sequence[Weight]) -> list[list[Weight]]:
    def kind(weight: Weight) -> tuple[str, str]:
        return str(weight.parameter.device), str(weight.parameter.dtype)

    return [list(group) for _, group in groupby(sorted(weights, key=kind), kind)]


def _layout(weights: Sequence[Weight]) -> tuple[list[int], int]:
    """Where each weight starts in a flat buffer, and the buffer's length."""
    offsets, size = [], 0
    for weight in weights:
        offsets.append(size)
        size += -(-weight.parameter.numel() // ALIGNMENT) * ALIGNMENT
    return offsets, size


def _needed(weights: Sequence[Weight], directions: Directions) -> int:
    """Bytes of the buffers, as `Plane` makes them."""
    copies = 3 if directions == "stored" else 2
    return sum(
        _layout(group)[1] * (copies * group[0].parameter.element_size() + _computed_in(group[0].parameter).itemsize)
        for group in _by_kind(weights)
    )


def _computed_in(weight: Tensor) -> torch.dtype:
    """fp32, or fp64 for weights of fp64."""
    return torch.promote_types(torch.float32, weight.dtype)


def _as_memory_allows(weights: Sequence[Weight]) -> Directions:
    device = weights[0].parameter.device
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + cached
    else:
        free = psutil.virtual_memory().available
    return "stored" if _needed(weights, "stored") <= SHARE * free else "regenerated"
