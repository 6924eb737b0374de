"""Loading any causal language model by name: a folder on disk, or a model of the Hugging Face Hub.

Beside `raml.trajectories.pretrained`, which reads the folders that the workflow writes and is part of most jobs'
code: what is only for models that others have made stays out of it.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from httpx import HTTPError
from huggingface_hub import model_info, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, logging

from raml.errors import DataError, InputError, RamlError

HUB_TIMEOUT = 10  # seconds until the Hub counts as out of reach

_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")
"""The number of a layer in a weight's name."""


class Pretrained(NamedTuple):
    """A model in eval mode and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_named(name: str, *, revision: str | None = None, device: str = "auto", dtype: str = "auto") -> Pretrained:
    """The model of a folder or, by `owner/name`, of the local Hub cache or the Hub itself.

    Weights are read from safetensors alone and no code that comes with a model is run.

    Args:
        name: of the folder or of the model on the Hub.
        revision: a commit, tag or branch of the Hub, by default its main branch; of a folder unused.
        device: `cpu`, `cuda` or `auto`, the GPU if there is one.
        dtype: `float32`, `bfloat16`, `saved` as the model was, or `auto`: on the CPU float32, since bfloat16 rounds an
            NLL by up to some tenths of a nat and is no faster there, on the GPU as the model was saved.

    Raises:
        DataError: the folder holds no causal language model, or only a part of its weights.
        InputError: no GPU where one is asked for; no such model on the Hub, or the Hub is out of reach.
        RamlError: the model does not fit into the memory.
    """
    place = _device(device)
    as_saved = dtype == "saved" or (dtype == "auto" and place == "cuda")
    precision: Any = "auto" if as_saved else getattr(torch, _or_float32(dtype))
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what is wrong with the weights we say ourselves, in one line
    if _is_folder(name):
        local = True
    elif _could_be_on_the_hub(name):
        local = _is_cached(name, revision)
        if not local:
            _look_up(name, revision)
    else:
        raise DataError(f"model {name}: there is no such folder")
    return _load(name, revision, precision, place, local)


def _load(name: str, revision: str | None, precision: Any, place: str, local: bool) -> Pretrained:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            revision=revision,
            dtype=precision,
            local_files_only=local,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # we refuse them with the name of one
            output_loading_info=True,
        )
        model, report = loaded
        tokenizer = AutoTokenizer.from_pretrained(
            name, revision=revision, local_files_only=local, trust_remote_code=False
        )
        _check_weights(name, model, report)
        return Pretrained(model.to(place).eval(), tokenizer)
    except RamlError:
        raise
    except Exception as error:  # broken files make transformers, tokenizers and pydantic raise nearly anything
        if isinstance(error, GatedRepoError) or "gated repo" in str(error):
            raise _gated(name) from None
        if _is_out_of_memory(error):
            helpful = {"--dtype bfloat16": precision == torch.float32, "--device cpu": place == "cuda"}
            mends = " or ".join(option for option, helps in helpful.items() if helps)
            raise RamlError(f"{name} does not fit into the memory of {place}{mends and f'; try {mends}'}") from None
        raise DataError(f"{name} holds no causal language model with its tokenizer ({_short(error)})") from None


def _check_weights(name: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Look whether the weights are those of the model that config.json describes.

    Weights beside the model's layers (a vision tower, the head of another task) are none of its own.

    Raises:
        DataError: some are missing, have another shape, or belong to layers or parts of layers that it has not.
    """
    if missing := sorted(report["missing_keys"]):
        raise DataError(f"{name} lacks {len(missing)} of the model's weights, such as {missing[0]}")
    if mismatched := sorted(report["mismatched_keys"]):
        key, saved, described = mismatched[0]
        raise DataError(
            f"{name}: the saved weight {key} is {_shape(saved)}, but config.json describes one of {_shape(described)}"
        )
    layers = {key[: number.start()] for key in model.state_dict() for number in _LAYER.finditer(key)}
    unexpected = sorted(
        key
        for key in report["unexpected_keys"]
        if any(f".{own}".endswith(f".{key[: number.start()]}") for number in _LAYER.finditer(key) for own in layers)
    )
    if unexpected:
        raise DataError(
            f"{name} holds {len(unexpected)} weights of layers that its config.json does not describe, such as "
            f"{unexpected[0]}: the two belong to different models"
        )


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def _device(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU; use --device cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _or_float32(dtype: str) -> str:
    return "float32" if dtype == "auto" else dtype


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError as error:
        raise DataError(f"model {name}: {(error.strerror or str(error)).lower()}") from None


def _could_be_on_the_hub(name: str) -> bool:
    return not Path(name).exists() and name.count("/") <= 1 and not name.startswith((".", "/", "~"))


def _is_cached(name: str, revision: str | None) -> bool:
    """Whether tokenizer and all weights of a Hub model are in the local cache."""
    try:
        files = _weight_files(name, revision)
        if not files or any(
            not isinstance(try_to_load_from_cache(name, file, revision=revision), str) for file in files
        ):
            return False
        AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=True, trust_remote_code=False)
    except Exception:  # whatever is wrong with what is cached, the Hub has the whole
        return False
    return True


def _weight_files(name: str, revision: str | None) -> list[str]:
    """The files that a cached model's weights are in; none if the cache does not say."""
    index = try_to_load_from_cache(name, SAFE_WEIGHTS_INDEX_NAME, revision=revision)
    if isinstance(index, str):
        return sorted(set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()))
    return [SAFE_WEIGHTS_NAME]


def _look_up(name: str, revision: str | None) -> None:
    """Ask the Hub once, since the loaders of transformers retry a dead connection for most of a minute."""
    try:
        model_info(name, revision=revision, timeout=HUB_TIMEOUT)
    except HFValidationError:
        raise DataError(f"model {name}: there is no such folder, and no Hub model can have that name") from None
    except GatedRepoError:
        raise _gated(name) from None
    except OfflineModeIsEnabled:
        raise InputError(
            f"model {name}: there is no such folder, and the Hugging Face Hub does not give it: it is not whole in the "
            f"cache and HF_HUB_OFFLINE=1 forbids to ask; unset it, or name a folder"
        ) from None
    except (HTTPError, OSError) as error:
        raise InputError(
            f"model {name}: there is no such folder, and the Hugging Face Hub does not give it ({_short(error)})"
        ) from None


def _gated(name: str) -> InputError:
    return InputError(
        f"model {name} is gated: accept its conditions at https://huggingface.co/{name} and log in with `hf auth "
        f"login`, or name a folder that holds it"
    )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    if not isinstance(error, OSError | ValueError):  # others say little without their name
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= 200 else f"{text[:199]}…"
