"""How fast the torch sampler is beside transformers' `generate`, on the micro architecture."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmarks.timing import EOS, PAD, alternating, median, one_thread
from raml.config import Sampling
from raml.schemas import Question
from raml.storage import read_table
from raml.trajectories.engine import Request
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.tokenizer import prompt_ids

PROMPTS, SAMPLES = 16, 16  # a batch of 256 rows
SAMPLING = Sampling(temperature=1.0, top_p=0.8, top_k=50, max_tokens=80, batch_size=256, threads=1)
ROUNDS = 7
VOCABULARY, RANDOM_PROMPT = 130, 40


def sampler_benchmark(
    model: Path | None = None, questions: Path | None = None, *, sampling: Sampling = SAMPLING, rounds: int = ROUNDS
) -> dict[str, float | str]:
    """Tokens per CPU second of the sampler and of `generate`, one thread, the same batch and parameters.

    16 prompts x 16 samples, all in one call of each. `generate` gets the prompts padded on the left and
    each of them 16 times. Tokens are counted up to and including the end of text. The two take turns; speeds are
    medians over the rounds, `ratio` is the median of the rounds' ratios. CPU seconds, since a busy
    machine distorts wall time.

    Args:
        model: a model's folder. Default: random weights of micro size and random prompts of 40 tokens; about
            half of the completions then run to `max_tokens`.
        questions: a table of `schemas.Question` for the prompts, evenly spread over it; needed with `model`.
        sampling: parameters, with a temperature above 0; `threads` is 1 whatever it says.
        rounds: measurements of each.

    Returns:
        `sampler_tokens_per_second`, `generate_tokens_per_second`, `ratio` (target: at least 2), the mean
        lengths `sampler_mean_tokens` and `generate_mean_tokens`, `rows`, `max_tokens` and the `model`'s path
        or `random`.
    """
    network, prompts, pad, stop = random_model() if model is None else _trained_model(model, questions)
    requests = [Request(str(index), prompt, n) for index, prompt in enumerate(prompts) for n in range(SAMPLES)]
    engine = TorchSampler(network, sampling, [stop], pad_id=pad)

    def ours(seed: int) -> int:
        return sum(len(completion.token_ids) for completion in engine.sample(requests, seed))

    def theirs(seed: int) -> int:
        torch.manual_seed(seed)
        return generated_tokens(network, requests, sampling, pad, stop)

    return take_turns({"sampler": ours, "generate": theirs}, len(requests), rounds) | {
        "rows": len(requests),
        "max_tokens": sampling.max_tokens,
        "model": "random" if model is None else str(model),
    }


def take_turns(writers: Mapping[str, Callable[[int], int]], rows: int, rounds: int) -> dict[str, float | str]:
    """Compare two writers of tokens, on one thread, by turns.

    Args:
        writers: by name, what writes `rows` completions with a seed and returns their tokens.
        rows: completions of a call.
        rounds: measurements of each, after a first call that does not count: it allocates memory.

    Returns:
        `<name>_tokens_per_second` (a CPU second; median) and `<name>_mean_tokens` (of a completion) of both, and
        `ratio`, the median of the rounds' ratios of the first to the second.
    """
    with one_thread():
        for write in writers.values():
            write(0)
        seconds, tokens = alternating({name: map(write, count(1)).__next__ for name, write in writers.items()}, rounds)
    speeds = {name: np.array(tokens[name]) / seconds[name] for name in writers}
    first, second = speeds.values()
    return {
        "ratio": median(first / second),
        **{f"{name}_tokens_per_second": median(speed) for name, speed in speeds.items()},
        **{f"{name}_mean_tokens": float(np.mean(tokens[name])) / rows for name in writers},
    }


def random_model() -> tuple[PreTrainedModel, list[tuple[int, ...]], int, int]:
    """Random weights of micro size, random prompts, the ids of padding and of the end of text."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        attention_bias=True,
        tie_word_embeddings=True,
        dtype=torch.float32,
    )
    prompts = torch.randint(3, VOCABULARY, (PROMPTS, RANDOM_PROMPT)).tolist()
    return LlamaForCausalLM(config).eval(), [tuple(prompt) for prompt in prompts], PAD, EOS


def _trained_model(folder: Path, questions: Path | None) -> tuple[PreTrainedModel, list[tuple[int, ...]], int, int]:
    if questions is None:
        raise ValueError("a trained model needs questions to prompt it with")
    network, tokenizer = load_pretrained(folder)
    table = read_table(questions, Question)
    chosen = np.linspace(0, len(table) - 1, PROMPTS).astype(int)
    prompts = [tuple(prompt_ids(tokenizer, table["prompt"][int(index)])) for index in chosen]
    return network.eval(), prompts, tokenizer.pad_token_id, tokenizer.eos_token_id


@torch.inference_mode()
def generated_tokens(model: Any, requests: Sequence[Request], sampling: Sampling, pad: int, stop: int) -> int:
    """Tokens that `generate` writes, up to and including the end of text of each row."""
    longest = max(len(request.prompt_ids) for request in requests)
    gaps = [longest - len(request.prompt_ids) for request in requests]
    prompts = [[pad] * gap + list(request.prompt_ids) for gap, request in zip(gaps, requests, strict=True)]
    mask = [[0] * gap + [1] * (longest - gap) for gap in gaps]
    settings = GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_new_tokens=sampling.max_tokens,
        eos_token_id=stop,
        pad_token_id=pad,
    )
    rows = model.generate(torch.tensor(prompts), attention_mask=torch.tensor(mask), generation_config=settings)
    stopped = rows[:, longest:] == stop
    return int((stopped.cumsum(-1) - stopped.int() == 0).sum())
