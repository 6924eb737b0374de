"""Answer-NLL curves along a trajectory (Algorithm 3): the pseudo-gradient-descent curves of the paper.

Position i of a curve is the mean negative log-likelihood, in nats per token, of the gold answer's
tokens when prompt, first i trajectory tokens, answer marker and gold answer are forced.

The caller tokenises. Marker and answer are forced as the ids given, so the marker never merges with
the last trajectory token. Unlike the released code, points of exactly 0 are kept and nothing is smoothed.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raml.errors import InputError, RamlError
from raml.probing.packing import probe_nll, read_context, scoring

TOKEN_BUDGET = 1024

PACKED_ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
"""`model_type`s for which tests hold packed and separate passes equal."""
_PACKED_ATTENTION = frozenset({"sdpa", "eager"})
_LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})

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

    The packed method, see `raml.probing.packing` (also for the memory that a budget takes); equal to
    `separate_answer_nll_curve` up to rounding. No gradients; the model's modes are left as they were and
    no cache stays with it.

    Args:
        model: a causal LM of `PACKED_ARCHITECTURES` with full attention in every layer.
        prompt_ids: P >= 1 ids of question and instruction.
        trajectory_ids: T >= 1 ids.
        marker_ids: M >= 1 ids of the answer marker.
        answer_ids: A >= 1 ids of the gold answer, as inside the marker's `\\boxed{`.
        stride: distance between probed positions.
        token_budget: probe tokens in one forward pass, at most (but at least one probe).

    Returns:
        [ceil((T + 1) / stride)], nats per answer token, position 0 (nothing of the trajectory) first.

    Raises:
        InputError: an empty part, an id outside the vocabulary, a sequence longer than the model's
            context, a bad stride or budget, or a model that packing cannot serve exactly.
        RamlError: the model's logits are not finite.
    """
    _check_input(model, prompt_ids, trajectory_ids, marker_ids, answer_ids, stride)
    if token_budget < 1:
        raise InputError(f"token_budget = {token_budget}: must be at least 1")
    if reason := why_not_packed(model):
        raise InputError(f"{type(model).__name__} cannot be probed exactly by packing: {reason}")
    positions = range(0, len(trajectory_ids) + 1, stride)
    with scoring(model):
        context = read_context(model, [*prompt_ids, *trajectory_ids])
        seen = [len(prompt_ids) + position for position in positions]
        nll = probe_nll(model, context, seen, marker_ids, answer_ids, token_budget)
    return _curve(nll)


def separate_answer_nll_curve(
    model: PreTrainedModel,
    prompt_ids: Ids,
    trajectory_ids: Ids,
    marker_ids: Ids,
    answer_ids: Ids,
    *,
    stride: int = 1,
) -> Curve:
    """The same curve by one plain forward pass per position, as the paper's released code does: O(T^2) tokens.

    The reference for tests and benchmarks; arguments, result and errors as `answer_nll_curve`, for any
    causal LM.
    """
    _check_input(model, prompt_ids, trajectory_ids, marker_ids, answer_ids, stride)
    positions = range(0, len(trajectory_ids) + 1, stride)
    answer = torch.tensor(list(answer_ids), device=model.device)
    nll = []
    with scoring(model):
        for position in positions:
            ids = [*prompt_ids, *trajectory_ids[:position], *marker_ids, *answer_ids]
            row = torch.tensor([ids[:-1]], device=model.device)  # the last answer token is only predicted
            logits = model(input_ids=row, use_cache=False, logits_to_keep=len(answer)).logits[0]
            nll.append(cross_entropy(logits.float(), answer, reduction="none").cpu())
    return _curve(torch.stack(nll))


def why_not_packed(model: PreTrainedModel) -> str | None:
    """Why `answer_nll_curve` would not be exact for `model`; None if it is."""
    config = model.config
    if config.model_type not in PACKED_ARCHITECTURES:
        return f"architecture {config.model_type!r} is untested; tested: {', '.join(sorted(PACKED_ARCHITECTURES))}"
    other_layers = sorted(set(getattr(config, "layer_types", None) or []) - {"full_attention"})
    if other_layers:
        return f"it has layers of {', '.join(other_layers)}, whose window the mask does not carry"
    if getattr(config, "use_sliding_window", False) or getattr(config, "sliding_window", None):
        return "it attends within a sliding window, which the mask does not carry"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in _LENGTH_DEPENDENT_ROPE:
        return f"its rotary embedding ({rope}) depends on the sequence's length"
    if config._attn_implementation not in _PACKED_ATTENTION:
        return f"attention {config._attn_implementation!r} takes no such mask; load it with attn_implementation='sdpa'"
    return None


def _curve(nll: torch.Tensor) -> Curve:
    """Mean over answer tokens of `nll` [positions, A].

    Raises:
        RamlError: a value is not finite. (Where is not said: NaN passes through attention masks, as 0 x NaN.)
    """
    curve: Curve = nll.double().mean(dim=1).numpy()
    if not np.isfinite(curve).all():
        raise RamlError("the answer's NLL is not finite: the model's logits hold NaN or infinity; check its weights")
    return curve


def _check_input(
    model: PreTrainedModel, prompt_ids: Ids, trajectory_ids: Ids, marker_ids: Ids, answer_ids: Ids, stride: int
) -> None:
    parts = {"prompt": prompt_ids, "trajectory": trajectory_ids, "marker": marker_ids, "answer": answer_ids}
    vocabulary = model.config.vocab_size
    for name, ids in parts.items():
        if len(ids) == 0:
            raise InputError(f"the {name} is empty: a curve needs at least one token of it")
        outside = [token for token in ids if not 0 <= token < vocabulary]
        if outside:
            raise InputError(f"{name} id {outside[0]} is outside the model's vocabulary, 0 to {vocabulary - 1}")
    length = sum(len(ids) for ids in parts.values())
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and length > context:
        shares = " + ".join(f"{name} {len(ids)}" for name, ids in parts.items())
        raise InputError(
            f"{shares} = {length} tokens exceed the model's context of {context}; shorten the trajectory to "
            f"{max(0, len(trajectory_ids) - length + context)} tokens"
        )
    if stride < 1:
        raise InputError(f"stride = {stride}: must be at least 1")
