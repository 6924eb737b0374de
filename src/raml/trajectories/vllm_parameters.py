"""What vLLM is asked for, the same whether it runs in this process or behind a server."""

from collections.abc import Collection
from typing import Any

from raml.config import Sampling
from raml.errors import ConfigError
from raml.questions.family import stable_seed
from raml.trajectories.engine import Completion, Request

COLDEST, HOTTEST = 0.01, 2.0  # temperatures above 0: vLLM silently raises lower ones and refuses higher ones


def sampling_parameters(sampling: Sampling, stop_ids: Collection[int]) -> dict[str, Any]:
    """`sampling` in vLLM's words; what the model's folder recommends or takes for an end of text does not count.

    Raises:
        ConfigError: vLLM does not sample at this temperature.
    """
    if sampling.temperature != 0 and not COLDEST <= sampling.temperature <= HOTTEST:
        raise ConfigError(
            f"sampling.temperature = {sampling.temperature}: vLLM samples at 0 or from {COLDEST} to {HOTTEST}; "
            "change it, or use the torch engine"
        )
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "stop_token_ids": sorted(stop_ids),
        "ignore_eos": True,  # an end of text is what `stop_ids` names, as for the torch sampler
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
    }


def request_seed(seed: int, request: Request) -> int:
    """Seed of one completion, as the torch sampler's; 63 bits, which vLLM takes as they are.

    On CPUs torch's generator keeps the lower 32 of them.
    """
    return stable_seed(seed, request.question_id, request.sample)


def completion(token_ids: Collection[int], stop_ids: Collection[int]) -> Completion:
    """The completion of tokens that vLLM ended at a stop token or at `max_tokens`."""
    written = list(token_ids)
    return Completion(written, finished=written[-1] in stop_ids)
