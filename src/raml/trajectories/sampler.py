"""The torch sampling engine: many samples per prompt from a Hugging Face decoder-only model.

Requests are cut into batches of `sampling.batch_size` rows, in their order. Each distinct prompt
of a batch is prefilled once (`shared_prefix`); all rows then decode in step, and a row that finishes
is dropped. Rows do not see each other, so what a request gets depends on its prompt, its question id,
its sample number and the seed alone, up to floating-point round-off.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from raml.config import Sampling
from raml.errors import RamlError
from raml.trajectories.decoding import next_tokens, row_uniforms
from raml.trajectories.engine import Completion, Origin, Request, check_prompts, in_order
from raml.trajectories.shared_prefix import SharedPrefixCache, shared_prefix_decoding


class TorchSampler:
    """The `Engine` for models that fit one device without help, micro models above all."""

    def __init__(self, model: PreTrainedModel, sampling: Sampling, stop_ids: Collection[int], *, pad_id: int) -> None:
        """Sample from `model` as it is (dtype, device); a completion ends after any of `stop_ids`."""
        self.model = model.eval()
        self.sampling = sampling
        self.pad_id = pad_id
        self._stops = torch.tensor(sorted(stop_ids), device=model.device)

    @classmethod
    def until_end_of_text(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sampling: Sampling
    ) -> "TorchSampler":
        """Sample from `model` until the end of text of its `tokenizer`."""
        return cls(model, sampling, [tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id)

    @property
    def origin(self) -> Origin:
        """This torch, and the precision of the model's weights."""
        return Origin("torch", torch.__version__, str(self.model.dtype).removeprefix("torch."))

    def sample(self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None) -> list[Completion]:
        """One completion per request, in order; see `Engine.sample`."""
        return in_order(self.stream(requests, seed, max_tokens=max_tokens), len(requests))

    @torch.inference_mode()
    def stream(
        self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """Each request's place and completion, batch by batch; see `Engine.stream`."""
        context = getattr(self.model.config, "max_position_embeddings", None)
        steps = max_tokens or self.sampling.max_tokens
        check_prompts(requests, max_tokens=steps, context=context)
        size = self.sampling.batch_size
        for start in range(0, len(requests), size):
            for place, completion in self._decode(list(requests[start : start + size]), seed, steps):
                yield start + place, completion

    def _decode(self, requests: list[Request], seed: int, steps: int) -> Iterator[tuple[int, Completion]]:
        """Complete one batch; yields positions in the batch with their completions as rows finish."""
        device = self.model.device
        uniforms = np.stack([row_uniforms(seed, r.question_id, r.sample, steps) for r in requests])
        stream = torch.from_numpy(uniforms).to(device)
        tokens = torch.full((len(requests), steps), self.pad_id, device=device)
        cache, logits, positions = self._prefill(requests, steps)

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

    def _prefill(self, requests: list[Request], steps: int) -> tuple[SharedPrefixCache, Tensor, Tensor]:
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
        cache = SharedPrefixCache(prefilled, lengths, prompt_of_row, steps)
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
