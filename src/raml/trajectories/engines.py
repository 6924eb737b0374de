"""The engine that a configuration names, with a model in it."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from raml.config import EngineSettings, Sampling
from raml.trajectories.engine import Engine
from raml.trajectories.pretrained import load_model, on_device
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.server_engine import ServerEngine
from raml.trajectories.vllm_engine import VllmEngine


def open_engine(
    folder: Path, tokenizer: PreTrainedTokenizerBase, settings: EngineSettings, sampling: Sampling
) -> Engine:
    """The model of `folder` in the engine of `settings`, to write completions that end with the end of text.

    Raises:
        DataError: the folder holds no model.
        ConfigError: the engine is not installed.
        InputError: the engine cannot serve the model, or a server has another one.
        RamlError: a server does not answer.
    """
    if settings.name == "vllm":
        return VllmEngine(folder, sampling, [tokenizer.eos_token_id], settings)
    if settings.name == "server":
        return ServerEngine(folder, sampling, [tokenizer.eos_token_id], settings)
    return TorchSampler.until_end_of_text(on_device(load_model(folder, settings.dtype)), tokenizer, sampling)
