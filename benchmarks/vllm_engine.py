"""How fast vLLM is on one CPU core: beside `generate` on SmolLM2-135M, beside the torch sampler on the micro model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.sampler import SAMPLES, generated_tokens, random_model, take_turns
from benchmarks.sampler import SAMPLING as MICRO_SAMPLING
from raml.config import EngineSettings, Sampling
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Engine, Request
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.vllm_engine import VllmEngine

QUESTIONS = [
    "A farmer has 17 sheep. He buys 25 more and then sells 12 of them. How many sheep has he now?",
    "Sort these numbers from the smallest to the largest: 31, 4, 15, 92, 65.",
    "A train leaves at 9:40 and arrives at 12:15. How long does the journey take?",
    "What is the area of a triangle with base 14 and height 9?",
    "Anna is twice as old as Ben, and together they are 36. How old is Ben?",
    "Three shirts cost 45 dollars. How much do seven shirts cost?",
    "How many minutes are there in a day and a half?",
    "A box holds 6 rows of 8 eggs. If 5 eggs are broken, how many are whole?",
]
SAMPLES_EACH = 4  # a batch of 32 rows
SAMPLING = Sampling(temperature=1.0, top_p=0.8, top_k=50, max_tokens=64, batch_size=32, threads=1)
ROUNDS = 5


def vllm_benchmark(smollm2: Path) -> dict[str, dict[str, float | str]]:
    """Both comparisons: `smollm2` (target: a ratio of 1.5) and `micro` (target: 1)."""
    return {"smollm2": generate_comparison(smollm2), "micro": sampler_comparison()}


def generate_comparison(
    folder: Path, *, sampling: Sampling = SAMPLING, questions: Sequence[str] = QUESTIONS, rounds: int = ROUNDS
) -> dict[str, float | str]:
    """vLLM beside transformers' `generate`, both in bfloat16, the same prompts in one call of each.

    Args:
        folder: a pretrained model with a chat template.
        sampling: parameters, with a temperature above 0.
        questions: that it is asked, `SAMPLES_EACH` times each.
        rounds: measurements of each.

    Returns:
        As `take_turns` of `vllm` and `generate`, with `rows` and `max_tokens`.
    """
    model, tokenizer = load_pretrained(folder)
    model = model.bfloat16().eval()
    prompts = [tuple(question_ids(tokenizer, question)) for question in questions]
    requests = [Request(str(i), prompt, n) for i, prompt in enumerate(prompts) for n in range(SAMPLES_EACH)]
    stop, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    engine = VllmEngine(folder, sampling, [stop], EngineSettings(name="vllm", dtype="bfloat16"))

    def theirs(seed: int) -> int:
        torch.manual_seed(seed)
        return generated_tokens(model, requests, sampling, pad, stop)

    measured = take_turns({"vllm": _writer(engine, requests), "generate": theirs}, len(requests), rounds)
    return measured | {"rows": len(requests), "max_tokens": sampling.max_tokens}


def sampler_comparison(*, sampling: Sampling = MICRO_SAMPLING, rounds: int = ROUNDS) -> dict[str, float | str]:
    """The torch sampler beside vLLM, both in float32, on random weights of micro size (`benchmarks.sampler`).

    Returns:
        As `take_turns` of `sampler` and `vllm`, with `rows` and `max_tokens`.
    """
    model, prompts, pad, stop = random_model()
    requests = [Request(str(i), prompt, n) for i, prompt in enumerate(prompts) for n in range(SAMPLES)]
    ours = TorchSampler(model, sampling, [stop], pad_id=pad)
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        theirs = VllmEngine(folder, sampling, [stop], EngineSettings(name="vllm", dtype="float32"))
    writers = {"sampler": _writer(ours, requests), "vllm": _writer(theirs, requests)}
    return take_turns(writers, len(requests), rounds) | {"rows": len(requests), "max_tokens": sampling.max_tokens}


def _writer(engine: Engine, requests: Sequence[Request]) -> Callable[[int], int]:
    """Tokens that `engine` writes with a seed."""
    return lambda seed: sum(len(completion.token_ids) for completion in engine.sample(requests, seed))
