"""Small byte-level tokenizers of the two kinds that the paper's models have: Qwen's and, of distilled ones, DeepSeek's.

They differ in special tokens and chat template, and in that the latter has `<think>` and `</think>` as tokens and
begins each answer with the former.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from raml.answers.format import THINK_END, THINK_START
from rehearsal.texts import CHINESE, EASY, ENGLISH, PHRASES, PROGRAMMING, SCIENCE

CONTEXT: Final = 1024  # tokens that the models read

# As Qwen's: digits by themselves, line breaks with the punctuation before them.
WORDS: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class Kind:
    """A kind of tokenizer: its special tokens (padding first), further tokens, and how a question is put."""

    special: tuple[str, ...]
    further: tuple[str, ...]
    begin: str | None
    template: str


QWEN: Final = Kind(
    special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    further=(),
    begin=None,
    template=(
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help with questions.<|im_end|>\n{% endif %}"
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
)


# In full-width bars and with the underscores of SentencePiece.
END, BEGIN, USER, ASSISTANT = (
    f"<\uff5c{name}\uff5c>"
    for name in ("end\u2581of\u2581sentence", "begin\u2581of\u2581sentence", "User", "Assistant")
)

DEEPSEEK: Final = Kind(
    special=(END, BEGIN, USER, ASSISTANT),
    further=(THINK_START, THINK_END),
    begin=BEGIN,
    template=(
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}USER{{ message['content'] }}"
        "{% else %}ASSISTANT{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT<think>\n{% endif %}"
    )
    .replace("USER", USER)
    .replace("ASSISTANT", ASSISTANT),
)


def tokenizer(kind: Kind, end: str) -> PreTrainedTokenizerFast:
    """A tokenizer in which the rehearsal's phrases are a token each; `end` is its end of text."""
    texts = [*EASY, *ENGLISH, *CHINESE, *SCIENCE, *PROGRAMMING]
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level(texts, 512, kind.special, (*kind.further, *PHRASES)),
        bos_token=kind.begin,
        eos_token=end,
        pad_token=kind.special[0],
        clean_up_tokenization_spaces=False,
        chat_template=kind.template,
        model_max_length=CONTEXT,
    )


def byte_level(texts: Iterable[str], vocabulary: int, special: Sequence[str], added: Sequence[str]) -> Tokenizer:
    """A tokenizer trained on `texts`, of at most `vocabulary` tokens and the `added` ones, which are whole texts."""
    trained = Tokenizer(models.BPE())
    bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORDS), "isolated"), bytes_alone])
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    trained.add_tokens([AddedToken(text, normalized=False) for text in added])
    return trained
