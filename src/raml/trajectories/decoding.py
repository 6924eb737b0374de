"""The next token from logits and one uniform number per row, and where those uniforms come from.

Symbols: B rows, V vocabulary.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raml.config import Sampling
from raml.questions.family import stable_seed


def row_uniforms(seed: int, question_id: str, sample: int, steps: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), shape [steps]: number t decides token t of this sample, whatever else is sampled.

    Philox is counter-based, so a larger `steps` only appends to the same stream.
    """
    key = stable_seed(seed, question_id, sample)
    return np.random.Generator(np.random.Philox(key=key)).random(steps)


def next_tokens(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """Sample one token per row.

    The distribution is softmax(logits / temperature), cut to the `top_k` most probable tokens and,
    renormalised, to the nucleus of mass `top_p`; a token is drawn from it by inverting its cumulative
    distribution in the order of token ids. Temperature 0 takes the most probable token.

    Args:
        logits: shape [B, V].
        uniforms: shape [B], float64, in [0, 1).
        sampling: temperature, top_p and top_k.

    Returns:
        Token ids, shape [B], int64.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities = (logits.double() / sampling.temperature).softmax(-1)
    kept = filter_probabilities(probabilities, sampling.top_k, sampling.top_p)
    cumulative = kept.cumsum(-1)
    # In float64 a uniform below 1 times the total is below the total, so a token of positive probability is found.
    target = uniforms[:, None] * cumulative[:, -1:]
    return (cumulative <= target).sum(-1)


def filter_probabilities(probabilities: Tensor, top_k: int, top_p: float) -> Tensor:
    """`probabilities` with those outside the top k and the nucleus set to 0, not renormalised; shape [B, V].

    Top-k keeps tokens than which fewer than k are more probable; the nucleus then keeps tokens than
    which the kept more probable ones hold less than `top_p` of the kept mass. Equally probable tokens
    are kept or dropped together, so that the outcome does not depend on the order of sorting.
    `top_k` 0 and `top_p` 1 keep everything.
    """
    filters_k = 0 < top_k < probabilities.shape[-1]
    if not filters_k and top_p == 1:
        return probabilities
    ordered = _descending(probabilities)
    threshold = ordered[:, -1:]
    if filters_k:
        threshold = ordered[:, top_k - 1 : top_k]
        ordered = ordered.where(ordered >= threshold, 0.0)
    if top_p < 1:
        mass = ordered.cumsum(-1)
        in_nucleus = mass - ordered < top_p * mass[:, -1:]
        threshold = ordered.gather(-1, in_nucleus.sum(-1, keepdim=True) - 1)
    return probabilities.where(probabilities >= threshold, 0.0)


def _descending(values: Tensor) -> Tensor:
    """Each row's values in descending order."""
    if values.device.type != "cpu":
        return values.sort(dim=-1, descending=True).values
    # numpy sorts bare values with vector instructions, some 20 times faster than torch's sort with indices
    return torch.from_numpy(np.sort(values.numpy(), axis=-1)).flip(-1)
