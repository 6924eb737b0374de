"""Loading any causal language model by name: a folder on disk, or a model of the Hugging Face Hub.

Beside `raml.trajectories.pretrained`, which reads the folders that the workflow writes and is part of its
jobs' code: what is only for people's own models stays out of it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from httpx import HTTPError
from huggingface_hub import model_info
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from raml.errors import DataError, InputError, RamlError

HUB_TIMEOUT = 10  # seconds until the Hub counts as out of reach


class Pretrained(NamedTuple):
    """A model in eval mode and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_named(name: str, *, device: str = "auto", dtype: str = "auto") -> Pretrained:
    """The model of a folder or, by `owner/name`, of the local Hub cache or the Hub itself.

    Weights are read from safetensors alone and no code that comes with a model is run.

    Args:
        device: `cpu`, `cuda` or `auto`, the GPU if there is one.
        dtype: `float32`, `bfloat16` or `auto`: on the CPU float32, since bfloat16 rounds an NLL by up to some
            tenths of a nat and is no faster there, on the GPU as the model was saved.

    Raises:
        DataError: the folder holds no causal language model, or only a part of its weights.
        InputError: no GPU where one is asked for; no such model on the Hub, or the Hub is out of reach.
        RamlError: the model does not fit into the memory.
    """
    place = _device(device)
    precision: Any = "auto" if dtype == "auto" and place == "cuda" else getattr(torch, _or_float32(dtype))
    logging.disable_progress_bar()
    if Path(name).is_dir():
        local = True
    elif _could_be_on_the_hub(name):
        local = _is_cached(name)
        if not local:
            _look_up(name)
    else:
        raise DataError(f"--model {name}: there is no such folder")
    return _load(name, precision, place, local)


def _load(name: str, precision: Any, place: str, local: bool) -> Pretrained:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            dtype=precision,
            local_files_only=local,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, report = loaded
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local, trust_remote_code=False)
        if missing := sorted(report["missing_keys"]):
            raise DataError(f"{name} lacks {len(missing)} of the model's weights, such as {missing[0]}")
        return Pretrained(model.to(place).eval(), tokenizer)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"{name} holds no causal language model with its tokenizer ({_short(error)})") from None
    except (torch.OutOfMemoryError, MemoryError):
        raise RamlError(
            f"{name} does not fit into the memory of {place}; try --dtype bfloat16 or --device cpu"
        ) from None


def _device(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU; use --device cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _or_float32(dtype: str) -> str:
    return "float32" if dtype == "auto" else dtype


def _could_be_on_the_hub(name: str) -> bool:
    return not Path(name).exists() and name.count("/") <= 1 and not name.startswith((".", "/", "~"))


def _is_cached(name: str) -> bool:
    try:
        AutoTokenizer.from_pretrained(name, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError):
        return False
    return True


def _look_up(name: str) -> None:
    """Ask the Hub once, since the loaders of transformers retry a dead connection for most of a minute."""
    try:
        model_info(name, timeout=HUB_TIMEOUT)
    except HFValidationError:
        raise DataError(f"--model {name}: there is no such folder, and no Hub model can have that name") from None
    except (HTTPError, OSError) as error:
        raise InputError(
            f"--model {name}: there is no such folder, and the Hugging Face Hub does not give it ({_short(error)})"
        ) from None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:199]}…"
