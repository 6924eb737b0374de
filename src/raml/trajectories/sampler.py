"""The torch sampling engine: many samples per prompt from a Hugging Face decoder-only model.

Requests are sorted by prompt and cut into batches of `sampling.batch_size` rows. Each distinct prompt
of a batch is prefilled once (`shared_prefix`); all rows then decode in step, and a row that finishes
is dropped. Rows do not see each other, so what a request gets depends on its prompt, its question id,
its sample number and the seed alone, up to floating-point round-off.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from raml.config import Sampling
from raml.errors import InputError, RamlError
from raml.progress import progress
from raml.trajectories.decoding import next_tokens, row_uniforms
from raml.trajectories.engine import Completion, Request
from raml.trajectories.shared_prefix import SharedPrefixCache, shared_prefix_decoding


class TorchSampler:
    """The `Engine` for models that fit one device without help, micro models above all."""

    def __init__(self, model: PreTrainedModel, sampling: Sampling, stop_ids: Collection[int], *, pad_id: int) -> None:
        """Sample from `model` as it is (dtype, device); a completion ends after any of `stop_ids`."""
        self.model = model.eval()
        self.sampling = sampling
        self.pad_id = pad_id
        self._stops = torch.tensor(sorted(stop_ids), device=model.device)

    def sample(self, requests: Sequence[Request], seed: int) -> list[Completion]:
        """One completion per request, in order; see `Engine.sample`."""
        with progress("sampling", len(requests), "completion") as line:
            return self.complete(requests, seed, line.update)

    @torch.inference_mode()
    def complete(
        self, requests: Sequence[Request], seed: int, written: Callable[[], object] = lambda: None
    ) -> list[Completion]:
        """As `sample`, without a progress line; `written` is called after each completion."""
        self._check(requests)
        completions: dict[int, Completion] = {}
        by_prompt = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt_ids), requests[i].prompt_ids))
        size = self.sampling.batch_size
        for start in range(0, len(by_prompt), size):
            batch = by_prompt[start : start + size]
            for position, completion in self._decode([requests[i] for i in batch], seed):
                completions[batch[position]] = completion
                written()
        return [completions[index] for index in range(len(requests))]

    def _check(self, requests: Sequence[Request]) -> None:
        context = getattr(self.model.config, "max_position_embeddings", None)
        for request in requests:
            if not request.prompt_ids:
                raise InputError(f"question {request.question_id} has an empty prompt")
            needed = len(request.prompt_ids) + self.sampling.max_tokens
            if context is not None and needed > context:
                raise InputError(
                    f"question {request.question_id}: {len(request.prompt_ids)} prompt tokens + sampling.max_tokens "
                    f"= {needed} exceed the model's context of {context}; lower sampling.max_tokens"
                )

    def _decode(self, requests: list[Request], seed: int) -> Iterator[tuple[int, Completion]]:
        """Complete one batch; yields positions in the batch with their completions as rows finish."""
        device, steps = self.model.device, self.sampling.max_tokens
        uniforms = np.stack([row_uniforms(seed, r.question_id, r.sample, steps) for r in requests])
        stream = torch.from_numpy(uniforms).to(device)
        tokens = torch.full((len(requests), steps), self.pad_id, device=device)
        cache, logits, positions = self._prefill(requests)

        rows = torch.arange(len(requests), device=device)  # positions in the batch of the rows still open
        with shared_prefix_decoding(self.model):
            for step in range(steps):
                current = next_tokens(logits, stream[rows, step], self.sampling)
                tokens[rows, step] = current
                finished = torch.isin(current, self._stops)
                if finished.any():
                    for position in rows[finished].tolist():
                        yield position, Completion(tokens[position, : step + 1].tolist(), finished=True)
                    if finished.all():
                        return
                    held = cache.drop_rows(finished)
                    rows, current, positions = rows[held], current[held], positions[held]
                if step < steps - 1:
                    logits = self._forward(current, positions + step, cache)
        for position in rows.tolist():
            yield position, Completion(tokens[position].tolist(), finished=False)

    def _prefill(self, requests: list[Request]) -> tuple[SharedPrefixCache, Tensor, Tensor]:
        """One forward over the distinct prompts; returns the cache, next-token logits [B, V], prompt lengths [B].

        Prompts are padded on the right, where causal attention keeps padding out of sight.
        """
        prompts = list(dict.fromkeys(request.prompt_ids for request in requests))
        index = {prompt: number for number, prompt in enumerate(prompts)}
        device = self.model.device
        prompt_of_row = torch.tensor([index[request.prompt_ids] for request in requests], device=device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        longest = int(lengths.max())
        padded = [[*prompt, *[self.pad_id] * (longest - len(prompt))] for prompt in prompts]

        prefilled = DynamicCache(config=self.model.config)
        last, which = (lengths - 1).unique(return_inverse=True)
        output = self.model(
            input_ids=torch.tensor(padded, device=device),
            past_key_values=prefilled,
            use_cache=True,
            logits_to_keep=last,
        )
        logits = output.logits[torch.arange(len(prompts), device=device), which]
        if logits.isnan().any():
            raise RamlError(f"{self.model.name_or_path or 'the model'} predicts NaN; its training diverged")
        cache = SharedPrefixCache(prefilled, lengths, prompt_of_row, self.sampling.max_tokens)
        return cache, logits[prompt_of_row], lengths[prompt_of_row]

    def _forward(self, tokens: Tensor, positions: Tensor, cache: SharedPrefixCache) -> Tensor:
        """Logits [B, V] after one more token per row."""
        output = self.model(
            input_ids=tokens[:, None],
            position_ids=positions[:, None],
            past_key_values=cache,
            shared_prefix=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits
