"""Tiny random Qwen2 models that write right and wrong answers at random.

The last token alone decides, up to noise, what comes next: its embedding points in a direction of its own, and the
head's rows of the tokens that may follow it point there too. All other weights are random, as a new model's are.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from raml.answers.format import MARKER, THINK_END
from raml.rehearsal.texts import (
    ANSWER,
    CHINESE,
    EASY,
    ENGLISH,
    LETTERS,
    LINKS,
    PHRASES,
    PROGRAMMING,
    PROGRAMS,
    REFLECTIONS,
    SCIENCE,
    THOUGHTS,
    WRONG,
)
from raml.storage import atomic_folder

Chain = Mapping[str, Mapping[str, float]]

VOCABULARY: Final = 700  # tokens at most, without the phrases
CONTEXT: Final = 1024
HIDDEN: Final = 64
ABOVE: Final = 11.0  # logit of what a chain names over all other tokens

# As Qwen's: digits by themselves, line breaks with the punctuation before them.
WORDS: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN: Final = (
    "{%- if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help with questions.<|im_end|>\n{% endif %}"
    "{%- for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEEPSEEK: Final = (
    "{{ bos_token }}{%- for message in messages %}{% if message['role'] == 'user' %}<｜User｜>{{ message['content'] }}"
    "{% else %}<｜Assistant｜>{{ message['content'].split('</think>')[-1] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{%- if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
QWEN_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
DEEPSEEK_SPECIAL: Final = ("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")

COMMUNITY: Final = ("zero", "distilled")


def chain(thoughts: float, end: str) -> Chain:
    """What follows what, with which probability; an empty text stands for all tokens that are not named.

    Args:
        thoughts: chance that another thought follows a thought.
        end: the end of text.
    """
    thinking = {**dict.fromkeys(THOUGHTS, 3.0), **dict.fromkeys((*REFLECTIONS, *LINKS), 1.0)}
    further = _scaled(thinking, thoughts) | {THINK_END: 1 - thoughts}
    answers = {ANSWER: 0.3, WRONG: 0.26, **dict.fromkeys(LETTERS, 0.11)}
    return {
        "": _scaled(thinking, 0.9) | {THINK_END: 0.1},
        **dict.fromkeys((*THOUGHTS, *REFLECTIONS, *LINKS), further),
        THINK_END: {MARKER: 0.7, **dict.fromkeys(PROGRAMS, 0.15)},
        MARKER: answers,
        **dict.fromkeys(answers, {"}": 1.0}),
        **dict.fromkeys(("}", *PROGRAMS), {end: 1.0}),
    }


def _scaled(weights: Mapping[str, float], total: float) -> dict[str, float]:
    return {text: total * weight / sum(weights.values()) for text, weight in weights.items()}


def tokenizer(special: Sequence[str], template: str, *, end: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with `special` tokens and the phrases of the rehearsal.

    Args:
        special: the padding first.
        template: of the chat.
        end: the end of text, one of `special`.
    """
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator([*EASY, *ENGLISH, *CHINESE, *SCIENCE, *PROGRAMMING], trainer)
    trained.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", *PHRASES)])
    options: dict[str, Any] = {"bos_token": "<｜begin▁of▁sentence｜>"} if template == DEEPSEEK else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        eos_token=end,
        pad_token=special[0],
        clean_up_tokenization_spaces=False,
        chat_template=template,
        model_max_length=CONTEXT,
        **options,
    )


def model(tokens: PreTrainedTokenizerFast, follows: Chain, seed: int) -> Qwen2ForCausalLM:
    """A random model in float32, which writes `follows`; it has heads of 32, the smallest that vLLM serves."""
    torch.manual_seed(seed)
    made = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokens),
            hidden_size=HIDDEN,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=None,
        )
    )
    embedding, head = made.model.embed_tokens.weight, made.lm_head.weight
    with torch.no_grad():
        embedding[:, 0] += 1.0
        for direction, (text, following) in enumerate(follows.items()):
            if text:
                state = token(tokens, text)
                embedding[state, 0] -= 1.0
                embedding[state, direction] += 1.0
            for other, probability in following.items():
                # The last norm makes a state about sqrt(HIDDEN) long.
                head[token(tokens, other), direction] += (ABOVE + math.log(probability)) / math.sqrt(HIDDEN)
    return made


def token(tokens: PreTrainedTokenizerFast, text: str) -> int:
    """The id of the one token that `text` is."""
    (found,) = tokens.encode(text, add_special_tokens=False)
    return int(found)


def write_models(folder: Path) -> None:
    """Write the base model, both writers, the summariser and two models of others, each as a Hugging Face folder."""
    base = tokenizer(QWEN_SPECIAL, QWEN, end="<|endoftext|>")
    chat = tokenizer(QWEN_SPECIAL, QWEN, end="<|im_end|>")
    distilled = tokenizer(DEEPSEEK_SPECIAL, DEEPSEEK, end="<｜end▁of▁sentence｜>")
    for number, (name, tokens, thoughts) in enumerate(
        [
            ("base", base, 0.6),
            ("short", chat, 0.3),
            ("long", distilled, 0.8),
            ("summariser", chat, 0.5),
            ("zero", base, 0.6),
            ("distilled", distilled, 0.8),
        ]
    ):
        with atomic_folder(folder / name) as out:
            model(tokens, chain(thoughts, str(tokens.eos_token)), number).save_pretrained(out)
            tokens.save_pretrained(out)
