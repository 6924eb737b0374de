"""Tokenizers as published models have them, but small: byte-level, with a chat template and merges across seams."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from raml.answers.format import INSTRUCTION, MARKER
from rehearsal.tokenizers import byte_level

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LINES = (
    INSTRUCTION,
    MARKER,
    f"</think>{MARKER}",
    "What is two plus two?",
    "So it is 4.\n\n",
    "\\boxed{\\frac{1}{2}}\n\n",
)


def byte_level_tokenizer(vocabulary: int, phrases: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer trained on `LINES`, with `phrases` as tokens of their own."""
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level(LINES * 10, vocabulary, SPECIAL, phrases),
        eos_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
