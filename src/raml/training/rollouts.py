"""GRPO's completions, written by the torch sampler through TRL's `rollout_func`.

At micro scale it writes several times as fast as transformers' `generate`. At paper scale TRL's own vLLM engine
writes instead (`hardware.rollouts`), whose completions depend on batching and are not repeated bit by bit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedTokenizerBase
from trl.models.utils import unwrap_model_for_generation

from raml.config import GRPO, Sampling
from raml.errors import InputError, RamlError
from raml.questions.family import stable_seed
from raml.training.trl_grpo import GRPOTrainer
from raml.training.watch import NoPredictionError
from raml.trajectories.engine import Request
from raml.trajectories.sampler import TorchSampler

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Prompt:
    """A question as the model is asked it: as chat messages and as the token ids that they become."""

    question_id: str
    messages: Messages
    token_ids: tuple[int, ...]


class Rollouts:
    """TRL's `rollout_func`: one completion for each prompt it is handed, groups in a row.

    The randomness of a completion depends on (`seed`, optimiser steps done, question, number within its group)
    alone: a resumed run writes what an uninterrupted one would, and two processes write what one would.
    """

    def __init__(
        self, prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase, settings: GRPO, seed: int
    ) -> None:
        """Write completions of `prompts`, each of which asks something else."""
        self.prompts = {prompt.messages[-1]["content"]: prompt for prompt in prompts}
        self.tokenizer = tokenizer
        self.settings = settings
        self.seed = seed

    def __call__(self, messages: Sequence[Messages], trainer: GRPOTrainer) -> dict[str, Any]:
        """`prompt_ids` and `completion_ids` of each of `messages`, this process's share of the batch.

        Raises:
            NoPredictionError: the model predicts NaN.
        """
        settings = self.settings
        prompts = [self.prompts[conversation[-1]["content"]] for conversation in messages]
        requests = [
            Request(prompt.question_id, prompt.token_ids, index % settings.group_size)
            for index, prompt in enumerate(prompts)
        ]
        sampling = sampling_of(settings, len(requests))
        checkpointing: Any = trainer.args.gradient_checkpointing_kwargs
        with unwrap_model_for_generation(
            trainer.model_wrapped, trainer.accelerator, gradient_checkpointing_kwargs=checkpointing
        ) as model:
            sampler = TorchSampler(model, sampling, trainer.eos_token_ids, pad_id=self.tokenizer.pad_token_id)
            try:
                with whole_weights(model):
                    step_seed = stable_seed("rollout", self.seed, trainer.state.global_step)
                    completions = sampler.sample(requests, step_seed)
            except InputError:
                raise
            except RamlError as error:
                raise NoPredictionError(str(error)) from None
            finally:
                model.train()
        return {
            "prompt_ids": [list(prompt.token_ids) for prompt in prompts],
            "completion_ids": [completion.token_ids for completion in completions],
            "logprobs": None,  # the trainer's own serve: both read the same weights
        }


def sampling_of(settings: GRPO, rows: int) -> Sampling:
    """How the sampler writes `rows` completions, all at once."""
    return Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        max_tokens=settings.max_tokens,
        batch_size=rows,
        threads=torch.get_num_threads(),
    )


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Within the block each process holds all weights of a model that is split over processes (FSDP2).

    Processes write for different numbers of tokens, so in this time no forward pass may wait for the others.
    """
    units = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.unshard()
        unit.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for unit in units:
            unit.set_reshard_after_forward(True, recurse=False)
            unit.reshard()
