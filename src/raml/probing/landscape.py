"""The answer NLL over two random directions in weight space (Algorithm 4, Figure 2).

At each point of the grid [-radius, radius]^2 the model's weights are weights + x d1 + y d2, and the mean
negative log-likelihood of the gold answer's tokens, in nats per token, is taken when question and instruction,
answer marker and gold answer are forced: no trajectory. What the directions are: `raml.probing.directions`; how
the weights get there and back: `raml.probing.plane`.

All questions of a grid point go through the model in one batch. It is padded on the right, where causal
attention needs no mask: no token sees what follows it. (Where rotary embeddings depend on the sequence's
length, a batch holds questions of one length.) Logits are computed at the answer's tokens alone.

Unlike in the released code, a value is stored at [y, x], so that a contour plot is not transposed.
"""

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raml.config import Normalisation
from raml.errors import InputError, RamlError
from raml.probing.budget import Budget
from raml.probing.packing import scoring
from raml.probing.plane import Directions, Plane
from raml.probing.support import check_causal, length_matters

TOKEN_BUDGET: Final = 8192

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ForcedAnswer:
    """A question and its gold answer as token ids: all of `prompt_ids`, `marker_ids` and `answer_ids` are forced."""

    prompt_ids: Sequence[int]
    marker_ids: Sequence[int]
    answer_ids: Sequence[int]

    @property
    def fed_ids(self) -> list[int]:
        """All but the last answer token, which is only predicted."""
        return [*self.prompt_ids, *self.marker_ids, *self.answer_ids[:-1]]


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


@dataclass(frozen=True)
class Batch:
    """Questions of one forward pass, padded: `ids` [rows, longest]. The other tensors are [answer tokens of all rows].

    `row` and `column` say where an answer token `target` is predicted, `question` which one it belongs to.
    """

    ids: Tensor
    row: Tensor
    column: Tensor
    target: Tensor
    question: Tensor


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
    _check_questions(model, questions)
    half = size // 2
    steps: Array = radius * np.arange(-half, half + 1) / half
    nll = np.empty((len(questions), size, size))
    scorer = _Scorer(model, questions, token_budget)
    plane = Plane(model, seed, normalisation, directions)
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    with scoring(model):
        check_causal(model)
    with scoring(model), _at_answers(model, scorer):
        if not scorer.nll().isfinite().all():
            raise RamlError(
                "the answer's NLL is not finite: the model's logits hold NaN or infinity; check its weights"
            )
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


def make_batches(
    questions: Sequence[ForcedAnswer], token_budget: int, device: torch.device, *, padded: bool = True
) -> list[Batch]:
    """As few batches as the budget allows, questions of like length together (of equal length if not `padded`)."""
    lengths = [len(question.fed_ids) for question in questions]
    by_length = sorted(range(len(questions)), key=lambda index: -lengths[index])
    batches: list[Batch] = []
    for _, group in groupby(by_length, lambda index: 0 if padded else lengths[index]):
        chosen = list(group)
        while chosen:
            rows = max(1, token_budget // lengths[chosen[0]])
            batches.append(_pad(questions, chosen[:rows], device))
            chosen = chosen[rows:]
    return batches


def _pad(questions: Sequence[ForcedAnswer], chosen: Sequence[int], device: torch.device) -> Batch:
    fed = [questions[index].fed_ids for index in chosen]
    longest = max(map(len, fed))
    row: list[int] = []
    column: list[int] = []
    target: list[int] = []
    question: list[int] = []
    for place, index in enumerate(chosen):
        answer = questions[index].answer_ids
        row += [place] * len(answer)
        column += range(len(fed[place]) - len(answer), len(fed[place]))
        target += answer
        question += [index] * len(answer)
    ids = torch.tensor([[*one, *[one[-1]] * (longest - len(one))] for one in fed], device=device)
    return Batch(ids, *(torch.tensor(values, device=device) for values in (row, column, target, question)))


class _Scorer:
    """The answer NLL of all questions under the model's weights of the moment."""

    def __init__(self, model: PreTrainedModel, questions: Sequence[ForcedAnswer], token_budget: int) -> None:
        self._model, self._questions, self._budget = model, questions, Budget(token_budget)
        self._padded = not length_matters(model)
        self._batches = self._make_batches()
        self._lengths = torch.tensor([len(one.answer_ids) for one in questions], device=model.device)
        self.now = self._batches[0]  # the one that the model is reading

    def nll(self) -> Tensor:
        """[questions], fp64 on the model's device: mean nats per answer token.

        Raises:
            RamlError: memory runs out on a single question.
        """
        while True:
            try:
                return self._all_batches()
            except (RuntimeError, MemoryError) as error:
                longest = max(len(question.fed_ids) for question in self._questions)
                self._budget.halve(error, fed=self.now.ids.numel(), least=longest)
            self._batches = self._make_batches()

    def _make_batches(self) -> list[Batch]:
        return make_batches(self._questions, self._budget.tokens, self._model.device, padded=self._padded)

    def _all_batches(self) -> Tensor:
        total = torch.zeros(len(self._questions), dtype=torch.float64, device=self._model.device)
        for batch in self._batches:
            self.now = batch
            logits = self._model(input_ids=batch.ids, use_cache=False).logits
            if logits.shape[:2] == batch.ids.shape:  # `_at_answers` did not see the head
                logits = logits[batch.row, batch.column]
            nll = cross_entropy(logits.reshape(len(batch.target), -1).float(), batch.target, reduction="none")
            total.index_add_(0, batch.question, nll.double())
        return total / self._lengths


@contextmanager
def _at_answers(model: PreTrainedModel, scorer: _Scorer) -> Iterator[None]:
    """The head reads the answer tokens' hidden states alone; what models do to logits afterwards is theirs."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Module):
        yield
        return

    def select(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (hidden,) = inputs
        batch = scorer.now
        if hidden.shape[:2] != batch.ids.shape:
            return inputs
        return (hidden[batch.row, batch.column][None],)

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


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


def _check_questions(model: PreTrainedModel, questions: Sequence[ForcedAnswer]) -> None:
    if not questions:
        raise InputError("a landscape needs at least one question")
    config = model.config.get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    for number, question in enumerate(questions, 1):
        parts = {"prompt": question.prompt_ids, "marker": question.marker_ids, "answer": question.answer_ids}
        for name, ids in parts.items():
            if len(ids) == 0:
                raise InputError(
                    f"the {name} of question {number} is empty: a landscape needs at least one token of it"
                )
            outside = [token for token in ids if not 0 <= token < config.vocab_size]
            if outside:
                raise InputError(
                    f"{name} id {outside[0]} of question {number} is outside the model's vocabulary, "
                    f"0 to {config.vocab_size - 1}"
                )
        length = sum(map(len, parts.values()))
        if context is not None and length > context:
            raise InputError(f"question {number}: {length} tokens exceed the model's context of {context}; shorten it")
