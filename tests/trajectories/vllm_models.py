"""Tiny models in fp32 that vLLM serves on a CPU (heads of 32), as folders with the micro tokenizer.

As a script, sampling with vLLM in a process of its own: `python vllm_models.py FOLDER SEED BATCH_SIZE` writes as JSON
what `sampling` and `MIXED` give, or the error.
"""

import dataclasses
import json
import sys
from pathlib import Path

import torch
from plain_sampling import PAD, SIZES, requests
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from raml.config import EngineSettings, Sampling
from raml.errors import RamlError
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.tokenizer import build_tokenizer
from raml.trajectories.vllm_engine import VllmEngine

STOPS = [2, 7, 11, 30]
MIXED = requests([5, 9, 1, 9, 17], n=3)
SETTINGS = EngineSettings(name="vllm", dtype="float32")


def sampling(**changes: float) -> Sampling:
    """Sampling that filters, with these changes."""
    usual = Sampling(temperature=1.2, top_p=0.9, top_k=12, max_tokens=24, batch_size=16, threads=1)
    return usual.model_copy(update=changes)


def model(architecture: str, head_dim: int = 32) -> PreTrainedModel:
    """A random Qwen2, or a Llama with two query heads for each key-value head."""
    torch.manual_seed(0)
    sizes = {**SIZES, "hidden_size": 4 * head_dim, "vocab_size": len(build_tokenizer())}
    if architecture == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**sizes, num_key_value_heads=4, tie_word_embeddings=True)).eval()
    return LlamaForCausalLM(LlamaConfig(**sizes, num_key_value_heads=2)).eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    """The folder, with the model in it."""
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def torch_sampler(model: PreTrainedModel, sampling: Sampling) -> TorchSampler:
    """The engine to compare with."""
    return TorchSampler(model, sampling, STOPS, pad_id=PAD)


def vllm_engine(folder: Path, sampling: Sampling) -> VllmEngine:
    """The engine to test."""
    return VllmEngine(folder, sampling, STOPS, SETTINGS)


def main(folder: str, seed: str, batch_size: str) -> None:
    """Write what the model of `folder` samples."""
    try:
        completions = vllm_engine(Path(folder), sampling(batch_size=int(batch_size))).sample(MIXED, int(seed))
    except RamlError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
    else:
        print(json.dumps([dataclasses.asdict(completion) for completion in completions]))


if __name__ == "__main__":
    main(*sys.argv[1:])
