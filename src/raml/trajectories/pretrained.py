"""Loading a model and its tokenizer from a Hugging Face folder."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from raml.errors import DataError


def on_device(model: PreTrainedModel) -> PreTrainedModel:
    """`model` on the GPU if there is one, for steps of a single process; trainers place their models themselves."""
    if torch.cuda.is_available():
        model.to("cuda")  # type: ignore[arg-type]  # in place; the stubs take the device for the model
    return model


def load_pretrained(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model, on the CPU in the precision it was saved in, and tokenizer.

    Raises:
        DataError: the folder holds no causal language model with a tokenizer.
    """
    return load_model(folder), load_tokenizer(folder)


def load_model(folder: Path, dtype: str = "auto") -> PreTrainedModel:
    """The model saved in `folder`, on the CPU, in the precision `dtype` or the one it was saved in.

    Raises:
        DataError: the folder holds no causal language model.
    """
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f"{folder} is no model folder ({' '.join(str(error).split())[:200]})") from None
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer saved in `folder`.

    Raises:
        DataError: the folder holds none.
    """
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a broken file makes transformers and tokenizers raise nearly anything
        raise DataError(f"{folder} holds no tokenizer ({' '.join(str(error).split())[:200]})") from None
