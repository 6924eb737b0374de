"""The engine that a configuration names, with a model in it."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from raml.config import EngineSettings, Sampling
from raml.trajectories.engine import Engine
from raml.trajectories.pretrained import load_model, on_device
from raml.trajectories.sampler import TorchSampler


def open_engine(
    folder: Path, tokenizer: PreTrainedTokenizerBase, settings: EngineSettings, sampling: Sampling
) -> Engine:
    """The model of `folder` in the engine of `settings`, to write completions that end with the end of text.

    Raises:
        DataError: the folder holds no model.
        ConfigError: the engine is not installed, or a server has another model.
    """
    model = load_model(folder, settings.dtype)
    return TorchSampler(on_device(model), sampling, [tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id)
