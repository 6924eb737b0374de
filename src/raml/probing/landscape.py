"""The answer NLL over two random directions in weight space (Algorithm 4, Figure 2).

At each point of the grid [-radius, radius]^2 the model's weights are weights + x d1 + y d2, and the mean
negative log-likelihood of the gold answer's tokens, in nats per token, is taken when question and instruction,
answer marker and gold answer are forced: no trajectory. What the directions are: `raml.probing.directions`; how
the weights get there and back: `raml.probing.plane`.

All questions of a grid point go through the model in one batch (`raml.probing.batched`).

Unlike in the released code, a value is stored at [y, x], so that a contour plot is not transposed.
"""

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from raml.config import Normalisation
from raml.errors import InputError, RamlError
from raml.probing.batched import ForcedAnswer, Scorer, at_answers, check_questions, make_batches
from raml.probing.packing import scoring
from raml.probing.plane import Directions, Plane
from raml.probing.support import check_causal

__all__ = ["TOKEN_BUDGET", "ForcedAnswer", "Landscape", "answer_nll_landscape", "check_grid", "make_batches"]

TOKEN_BUDGET: Final = 8192

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Landscape:
    """`nll[q, j, i]`, in nats per answer token, of question q at weights + `x[i]` d1 + `y[j]` d2.

    `x` and `y` [size] ascend from -radius to radius, with 0 in the middle. `directions` says whether d2 was kept
    or drawn anew for each row, `buffer_bytes` what was held beside the model and its activations, `peak_bytes` the most
    that all tensors took on the GPU, or on the CPU the most that the whole process had taken by the end.
    """

    x: Array
    y: Array
    nll: Array
    seed: int
    normalisation: Normalisation
    directions: Directions
    buffer_bytes: int
    peak_bytes: int


def answer_nll_landscape(
    model: PreTrainedModel,
    questions: Sequence[ForcedAnswer],
    *,
    size: int = 21,
    radius: float = 1.0,
    seed: int = 0,
    normalisation: Normalisation = "filter",
    token_budget: int = TOKEN_BUDGET,
    directions: Directions | None = None,
    progress: Callable[[int], object] | None = None,
) -> Landscape:
    """The landscape of each of `questions`, all over the same two directions (Algorithm 4).

    Afterwards the weights are the ones that they were, bit for bit, also after an exception. Where memory runs out in
    a forward pass, the token budget is halved, with one warning.

    Args:
        model: any causal LM whose weights are in memory and not quantised.
        questions: at least one.
        size: grid points along each direction; odd, so that the weights themselves are one.
        radius: the directions are as long as the weights, so at 1 the weights are changed by 100%.
        seed: of the directions; the same one gives the same directions on every device.
        normalisation: `filter` (Li et al.), or `tensor` (the released code).
        token_budget: padded tokens of one forward pass, at most (but at least one question).
        directions: whether the second direction is kept; by default as memory allows.
        progress: called with the number of grid points done since the last call.

    Raises:
        InputError: no question, an empty part, an id outside the vocabulary, a question longer than the model's
            context, a size, radius or budget out of range, weights that cannot be moved, or a model that is not causal.
        RamlError: an NLL is not finite, or the directions do not fit the memory. A landscape with holes is not
            returned: everything that reads one relies on its levels.
    """
    check_grid(size, radius, token_budget)
    check_questions(model, questions)
    half = size // 2
    steps: Array = radius * np.arange(-half, half + 1) / half
    nll = np.empty((len(questions), size, size))
    scorer = Scorer(model, questions, token_budget)
    plane = Plane(model, seed, normalisation, directions)
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    with scoring(model):
        check_causal(model)
    with scoring(model), at_answers(model, scorer):
        scorer.finite_nll()
        with plane:
            for row, y in enumerate(steps):
                points = []
                for x in steps:
                    plane.move(float(x), float(y))
                    points.append(scorer.nll())
                    if progress:
                        progress(1)
                nll[:, row] = torch.stack(points, dim=-1).cpu().numpy()
                _check_finite(nll[:, row], steps, y)
    return Landscape(
        x=steps,
        y=steps.copy(),
        nll=nll,
        seed=seed,
        normalisation=normalisation,
        directions=plane.directions,
        buffer_bytes=plane.buffer_bytes,
        peak_bytes=_peak_bytes(model.device),
    )


def _check_finite(nll: Array, x: Array, y: float) -> None:
    """Of one row of the grid, `nll` [questions, size].

    Raises:
        RamlError: a value is NaN or infinite.
    """
    bad = ~np.isfinite(nll).all(axis=0)
    if bad.any():
        raise RamlError(
            f"the answer's NLL is not finite at x = {x[bad][0]:g}, y = {y:g}: the moved weights overflow there; "
            "choose a smaller radius, or load the model in float32"
        )


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def check_grid(size: int, radius: float, token_budget: int) -> None:
    """Look before a model is loaded.

    Raises:
        InputError: the grid cannot be laid.
    """
    if size < 3 or size % 2 == 0:
        raise InputError(f"size = {size}: must be odd, so that the weights themselves are a grid point, and at least 3")
    if not (radius > 0 and np.isfinite(radius)):
        raise InputError(f"radius = {radius}: must be above 0 and finite")
    if token_budget < 1:
        raise InputError(f"token_budget = {token_budget}: must be at least 1")
