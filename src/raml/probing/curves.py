"""Answer-NLL curves along a trajectory (Algorithm 3): the pseudo-gradient-descent curves of the paper.

Position i of a curve is the mean negative log-likelihood, in nats per token, of an answer's tokens when
prompt, first i trajectory tokens, answer marker and answer are forced.

The caller tokenises (`raml.probing.forced`). Marker and answer are forced as the ids given, so the marker
never merges with the last trajectory token. Unlike the released code, points of exactly 0 are kept and
nothing is smoothed.
"""

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.budget import Budget
from raml.probing.context import Context
from raml.probing.fallback import cached_nll, separate_nll, why_cache_is_not_used
from raml.probing.packing import packed_nll, scoring
from raml.probing.support import check_causal, why_not_packed
from raml.probing.tree import Probe

__all__ = [
    "TOKEN_BUDGET",
    "Curve",
    "Probe",
    "answer_nll_curve",
    "answer_nll_curves",
    "curve_positions",
    "separate_answer_nll_curve",
]

TOKEN_BUDGET = 1024

Ids = Sequence[int]
Curve = NDArray[np.float64]


def answer_nll_curve(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectory_ids: Ids,
    marker_ids: Ids,
    answer_ids: Ids,
    *,
    stride: int = 1,
    token_budget: int = TOKEN_BUDGET,
) -> Curve:
    """The curve at positions 0, stride, 2 stride, ... <= T in O(T) tokens: P + T + (positions)(M + A - 1).

    One trajectory and one answer of `answer_nll_curves`, which says what happens with models that packing does
    not serve and when memory runs out; equal to `separate_answer_nll_curve` up to rounding.

    Args:
        model: a causal LM.
        prompt_ids: P >= 1 ids of question and instruction.
        trajectory_ids: T >= 1 ids.
        marker_ids: M >= 1 ids of the answer marker.
        answer_ids: A >= 1 ids of the gold answer, as inside the marker's `\\boxed{`.
        stride: distance between probed positions.
        token_budget: tokens in one forward pass, at most (but at least one probe).

    Returns:
        [ceil((T + 1) / stride)], nats per answer token, position 0 (nothing of the trajectory) first.

    Raises:
        InputError: an empty part, an id outside the vocabulary, a sequence longer than the model's
            context, a bad stride or budget, or a model that is not causal.
        RamlError: the model's logits are not finite, or out of memory.
    """
    probe = Probe(tuple(marker_ids), tuple(answer_ids))
    [curves] = answer_nll_curves(model, prompt_ids, [trajectory_ids], [probe], stride=stride, token_budget=token_budget)
    return _only(curves)


def answer_nll_curves(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectories: Sequence[Ids],
    probes: Sequence[Probe],
    *,
    stride: int = 1,
    positions: Sequence[int] | None = None,
    token_budget: int = TOKEN_BUDGET,
    progress: Callable[[int], object] | None = None,
) -> list[Curve]:
    """The curves of every probe along every trajectory; the trajectories share the prompt's keys and values.

    Each trajectory is read once, up to the last position, and all probes (gold answer and distractors, thinking
    and no-thinking markers) share its keys and values; what probes have in common at their beginning is
    computed once for each position (`raml.probing.packing`). Tokens fed:
    P + sum over trajectories of (T + positions x distinct beginnings of the probes).

    A model that packing does not serve exactly is probed with one pass for each probe and position, which
    share the context's keys and values where these are exact (`raml.probing.fallback`). A warning says why.
    When memory runs out the budget is halved, with a warning. No gradients; the model's modes are left as they
    were and no cache stays with it.

    Args:
        model: a causal LM.
        prompt_ids: P >= 1 ids of question and instruction.
        trajectories: one or more, T >= 1 ids each.
        probes: one or more.
        stride: distance between probed positions.
        positions: which ones to probe instead, ascending, from 0 (nothing of the trajectory) to the shortest T.
        token_budget: tokens in one forward pass, at most (but at least one probe); `raml.probing.memory` gives the
            memory that it takes.
        progress: called every so often with the number of curve points (positions x probes) that have been
            finished since the last call, such as `update` of `raml.progress.progress`. In all there are
            `len(curve_positions(T, stride, positions)) * len(probes)` for each trajectory.

    Returns:
        For each trajectory [probes, positions], nats per answer token.

    Raises:
        InputError: an empty part, an id outside the vocabulary, a sequence longer than the model's
            context, a bad stride, budget or position, or a model that is not causal.
        RamlError: the model's logits are not finite, or not even one probe fits into memory.
    """
    if token_budget < 1:
        raise InputError(f"token_budget = {token_budget}: must be at least 1")
    probed = _check_input(model, prompt_ids, trajectories, probes, stride, positions)
    with scoring(model):
        values = _values(model, prompt_ids, trajectories, probes, probed, Budget(token_budget), progress)
        return [_finite(value) for value in values]


def separate_answer_nll_curve(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectory_ids: Ids,
    marker_ids: Ids,
    answer_ids: Ids,
    *,
    stride: int = 1,
    positions: Sequence[int] | None = None,
) -> Curve:
    """The same curve by one plain forward pass per position, as the paper's released code does: O(T^2) tokens.

    The reference for tests and benchmarks; arguments, result and errors as `answer_nll_curve` and, for `positions`,
    `answer_nll_curves`.
    """
    probe = Probe(tuple(marker_ids), tuple(answer_ids))
    probed = _check_input(model, prompt_ids, [trajectory_ids], [probe], stride, positions)
    with scoring(model):
        return _only(_finite(separate_nll(model, prompt_ids, trajectory_ids, probed[0], [probe])))


def curve_positions(length: int, stride: int = 1, positions: Sequence[int] | None = None) -> Sequence[int]:
    """The positions of a curve along a trajectory of `length` tokens: `positions`, or every `stride`-th from 0."""
    return range(0, length + 1, stride) if positions is None else positions


def _values(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectories: Sequence[Ids],
    probes: Sequence[Probe],
    probed: Sequence[Sequence[int]],
    budget: Budget,
    progress: Callable[[int], object] | None,
) -> list[torch.Tensor]:
    """[positions, probes] for each trajectory, by packing or as `raml.probing.fallback` has it."""
    reason = why_not_packed(model)
    if reason is None:

        def packed(context: Context, seen: Sequence[int]) -> torch.Tensor:
            return packed_nll(model, context, seen, probes, budget, progress)

        with torch.inference_mode():  # on small models a few per cent faster than without gradients
            return _behind_shared_context(model, prompt_ids, trajectories, probed, budget, packed)

    check_causal(model)
    longest = max(range(len(trajectories)), key=lambda index: probed[index][-1])
    slow = why_cache_is_not_used(model, prompt_ids, trajectories[longest], probed[longest], probes)
    _warn(model, reason, slow)
    if slow:
        each = zip(trajectories, probed, strict=True)
        return [separate_nll(model, prompt_ids, ids, at, probes, progress) for ids, at in each]

    def cached(context: Context, seen: Sequence[int]) -> torch.Tensor:
        return cached_nll(model, context, seen, probes, progress)

    room = max(len(probe.fed) for probe in probes)
    return _behind_shared_context(model, prompt_ids, trajectories, probed, budget, cached, room)


def _behind_shared_context(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectories: Sequence[Ids],
    probed: Sequence[Sequence[int]],
    budget: Budget,
    values: Callable[[Context, Sequence[int]], torch.Tensor],
    room: int = 0,
) -> list[torch.Tensor]:
    """`values(context, tokens seen)` for each trajectory; `room` is what it appends to the context itself."""
    context = Context(len(prompt_ids) + max(at[-1] for at in probed) + room)
    alone = len(trajectories) == 1  # then one reading is faster than two
    if not alone:
        context.read(model, prompt_ids, budget)
    results = []
    for ids, at in zip(trajectories, probed, strict=True):
        if alone:
            context.read(model, [*prompt_ids, *ids[: at[-1]]], budget)
        else:
            context.cut(len(prompt_ids))
            context.read(model, ids[: at[-1]], budget)
        results.append(values(context, [len(prompt_ids) + position for position in at]))
    return results


def _warn(model: PreTrainedModel, reason: str, slow: str | None) -> None:
    """Say once why this takes longer than it might."""
    message = f"{type(model).__name__} is probed in separate passes rather than packed: {reason}"
    if slow is None:
        message += "; they share the context's keys and values"
    elif slow != reason:
        message += f"; they do not share the context's keys and values: {slow}"
    warnings.warn(message, stacklevel=4)


def _only(curves: Curve) -> Curve:
    """The curve of the only probe, [positions]."""
    return curves.reshape(-1)


def _finite(values: torch.Tensor) -> Curve:
    """`values` [positions, probes] as [probes, positions].

    Raises:
        RamlError: a value is not finite. (Where is not said: NaN passes through attention masks, as 0 x NaN.)
    """
    curves: Curve = values.T.contiguous().numpy()
    if not np.isfinite(curves).all():
        raise RamlError("the answer's NLL is not finite: the model's logits hold NaN or infinity; check its weights")
    return curves


def _check_input(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectories: Sequence[Ids],
    probes: Sequence[Probe],
    stride: int,
    positions: Sequence[int] | None,
) -> list[Sequence[int]]:
    """The positions along each trajectory; see `answer_nll_curves` for what is allowed.

    Raises:
        InputError: something else.
    """
    for name, given in (("trajectories", trajectories), ("probes", probes)):
        if len(given) == 0:
            raise InputError(f"there are no {name}: at least one is needed")
    parts = {"prompt": prompt_ids}
    parts |= {_name("trajectory", index, trajectories): ids for index, ids in enumerate(trajectories)}
    for index, probe in enumerate(probes):
        parts |= {_name("marker", index, probes): probe.marker_ids, _name("answer", index, probes): probe.answer_ids}
    vocabulary = model.config.get_text_config().vocab_size
    for name, ids in parts.items():
        if len(ids) == 0:
            raise InputError(f"the {name} is empty: a curve needs at least one token of it")
        outside = [token for token in ids if not 0 <= token < vocabulary]
        if outside:
            raise InputError(f"{name} id {outside[0]} is outside the model's vocabulary, 0 to {vocabulary - 1}")
    _check_positions(trajectories, stride, positions)
    probed = [curve_positions(len(ids), stride, positions) for ids in trajectories]
    _check_length(model, prompt_ids, max(at[-1] for at in probed), probes)
    return probed


def _name(what: str, index: int, of: Sequence[object]) -> str:
    return what if len(of) == 1 else f"{what} {index}"


def _check_positions(trajectories: Sequence[Ids], stride: int, positions: Sequence[int] | None) -> None:
    if stride < 1:
        raise InputError(f"stride = {stride}: must be at least 1")
    if positions is None:
        return
    if stride != 1:
        raise InputError(f"stride = {stride} and positions are both given; give one of them")
    if len(positions) == 0:
        raise InputError("positions is empty: a curve needs at least one")
    shortest = min(len(ids) for ids in trajectories)
    outside = [position for position in positions if not 0 <= position <= shortest]
    if outside:
        raise InputError(f"position {outside[0]} is outside the trajectory, 0 to {shortest}")
    if any(later <= earlier for earlier, later in pairwise(positions)):
        raise InputError("positions must ascend, each of them once")


def _check_length(model: PreTrainedModel, prompt_ids: Ids, last: int, probes: Sequence[Probe]) -> None:
    """`last` trajectory tokens are in the longest prefix."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(probes, key=lambda probe: len(probe.fed))
    shares = {
        "prompt": len(prompt_ids),
        "trajectory": last,
        "marker": len(longest.marker_ids),
        "answer": len(longest.answer_ids),
    }
    length = sum(shares.values())
    if context is not None and length > context:
        raise InputError(
            f"{' + '.join(f'{name} {share}' for name, share in shares.items())} = {length} tokens exceed the model's "
            f"context of {context}; shorten the trajectory to {max(0, last - length + context)} tokens"
        )
