"""Loading a model and its tokenizer from a Hugging Face folder."""

from pathlib import Path

from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from raml.errors import DataError


def load_pretrained(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model, in the precision it was saved in, and tokenizer.

    Raises:
        DataError: the folder holds no causal language model with a tokenizer.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        return model, AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f"{folder} is no model folder ({' '.join(str(error).split())[:200]})") from None
