"""Tiny random models, and sampling as one would write it down: one row, no cache, one token at a time."""

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from raml.config import Sampling
from raml.trajectories.decoding import row_uniforms
from raml.trajectories.engine import Completion, Request

PAD, EOS = 0, 2
VOCABULARY = 64
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.15,  # far enough from uniform logits for filters to bite
    "pad_token_id": PAD,
    "eos_token_id": EOS,
}


def tiny_qwen2() -> Qwen2ForCausalLM:
    """Float64, so that no choice of token hangs on round-off."""
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, num_key_value_heads=4, tie_word_embeddings=True)).double().eval()


def tiny_llama() -> LlamaForCausalLM:
    """Another architecture, with two query heads for each key-value head."""
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2)).double().eval()


def requests(lengths: list[int], n: int) -> list[Request]:
    """`n` requests for a random prompt of each length."""
    rng = np.random.default_rng(0)
    prompts = [tuple(rng.integers(3, VOCABULARY, length).tolist()) for length in lengths]
    return [Request(f"q{i}", prompt, sample) for i, prompt in enumerate(prompts) for sample in range(n)]


def plain_filter(probabilities: NDArray[np.float64], top_k: int, top_p: float) -> NDArray[np.float64]:
    """The definition of top-k, then top-p, token by token, for one row."""
    everything = range(len(probabilities))
    kept = [i for i in everything if not top_k or sum(probabilities > probabilities[i]) < top_k]
    total = sum(probabilities[i] for i in kept)
    nucleus = [
        i
        for i in kept
        if top_p == 1 or sum(probabilities[j] for j in kept if probabilities[j] > probabilities[i]) < top_p * total
    ]
    return np.where(np.isin(everything, nucleus), probabilities, 0.0)


def plain_choice(probabilities: NDArray[np.float64], uniform: float) -> int:
    """The first token id at which the cumulative distribution exceeds `uniform` of its total."""
    passed = 0.0
    for token, probability in enumerate(probabilities):
        passed += probability
        if passed > uniform * probabilities.sum():
            return token
    return int(np.flatnonzero(probabilities)[-1])  # where rounding keeps the sum below a `uniform` next to 1


@torch.no_grad()
def plain_completion(
    model: PreTrainedModel, request: Request, sampling: Sampling, stops: list[int], seed: int
) -> Completion:
    """One completion by whole forward passes."""
    uniforms = row_uniforms(seed, request.question_id, request.sample, sampling.max_tokens)
    written: list[int] = []
    for uniform in uniforms:
        logits = model(torch.tensor([[*request.prompt_ids, *written]]), use_cache=False).logits[0, -1].numpy()
        if sampling.temperature == 0:
            written.append(int(logits.argmax()))
        else:
            weights = np.exp((logits - logits.max()) / sampling.temperature)
            kept = plain_filter(weights / weights.sum(), sampling.top_k, sampling.top_p)
            written.append(plain_choice(kept, uniform))
        if written[-1] in stops:
            return Completion(written, finished=True)
    return Completion(written, finished=False)
