"""The NLL of forced answers, many questions in one forward pass.

What is forced may be a question, or a question and a trajectory: all of it is context. A batch is padded on the right,
where causal attention needs no mask: no token sees what follows it. (Where rotary embeddings depend on the sequence's
length, a batch holds sequences of one length.) Logits are computed at the answer's tokens alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.budget import Budget
from raml.probing.packing import scoring
from raml.probing.support import check_causal, length_matters

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
class Batch:
    """Questions of one forward pass, padded: `ids` [rows, longest]. The other tensors are [answer tokens of all rows].

    `row` and `column` say where an answer token `target` is predicted, `question` which one it belongs to.
    """

    ids: Tensor
    row: Tensor
    column: Tensor
    target: Tensor
    question: Tensor


def forced_answer_nll(model: PreTrainedModel, questions: Sequence[ForcedAnswer], *, token_budget: int) -> Array:
    """The mean NLL of each forced answer's tokens, [questions] in nats per token.

    No gradients; the model's modes are left as they were. When memory runs out the budget is halved, with a warning.

    Args:
        model: any causal LM.
        questions: at least one.
        token_budget: padded tokens of one forward pass, at most (but at least one question).

    Raises:
        InputError: no question, an empty part, an id outside the vocabulary, a question longer than the model's
            context, or a model that is not causal.
        RamlError: the model's logits are not finite, or not even one question fits into memory.
    """
    check_questions(model, questions)
    scorer = Scorer(model, questions, token_budget)
    with scoring(model):
        check_causal(model)
        with at_answers(model, scorer):
            nll: Array = scorer.finite_nll().cpu().numpy()
    return nll


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


class Scorer:
    """The answer NLL of all questions under the model's weights of the moment."""

    def __init__(self, model: PreTrainedModel, questions: Sequence[ForcedAnswer], token_budget: int) -> None:
        """Arguments as of `forced_answer_nll`."""
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

    def finite_nll(self) -> Tensor:
        """As `nll`.

        Raises:
            RamlError: as `nll`, or a value is not finite.
        """
        nll = self.nll()
        if not nll.isfinite().all():
            raise RamlError(
                "the answer's NLL is not finite: the model's logits hold NaN or infinity; check its weights"
            )
        return nll

    def _make_batches(self) -> list[Batch]:
        return make_batches(self._questions, self._budget.tokens, self._model.device, padded=self._padded)

    def _all_batches(self) -> Tensor:
        total = torch.zeros(len(self._questions), dtype=torch.float64, device=self._model.device)
        for batch in self._batches:
            self.now = batch
            logits = self._model(input_ids=batch.ids, use_cache=False).logits
            if logits.shape[:2] == batch.ids.shape:  # `at_answers` did not see the head
                logits = logits[batch.row, batch.column]
            nll = cross_entropy(logits.reshape(len(batch.target), -1).float(), batch.target, reduction="none")
            total.index_add_(0, batch.question, nll.double())
        return total / self._lengths


@contextmanager
def at_answers(model: PreTrainedModel, scorer: Scorer) -> Iterator[None]:
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


def check_questions(model: PreTrainedModel, questions: Sequence[ForcedAnswer]) -> None:
    """Look before anything is read.

    Raises:
        InputError: no question, an empty part, an id outside the vocabulary, or more tokens than the model's context.
    """
    if not questions:
        raise InputError("there are no questions: at least one question is needed")
    config = model.config.get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    for number, question in enumerate(questions, 1):
        parts = {"prompt": question.prompt_ids, "marker": question.marker_ids, "answer": question.answer_ids}
        for name, ids in parts.items():
            if len(ids) == 0:
                raise InputError(f"the {name} of question {number} is empty: at least one token of it is needed")
            outside = [token for token in ids if not 0 <= token < config.vocab_size]
            if outside:
                raise InputError(
                    f"{name} id {outside[0]} of question {number} is outside the model's vocabulary, "
                    f"0 to {config.vocab_size - 1}"
                )
        length = sum(map(len, parts.values()))
        if context is not None and length > context:
            raise InputError(f"question {number}: {length} tokens exceed the model's context of {context}; shorten it")
