"""Tiny random Qwen2 models that write right and wrong answers at random.

The last token alone decides, up to noise, what comes next: its embedding points in a direction of its own, and the
head's rows of the tokens that may follow it point there too. All other weights are random, as a new model's are.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from raml.answers.format import MARKER, THINK_END
from raml.storage import atomic_folder
from rehearsal.texts import ANSWER, LETTERS, LINKS, PROGRAMS, REFLECTIONS, THOUGHTS, WRONG
from rehearsal.tokenizers import CONTEXT, DEEPSEEK, END, QWEN, tokenizer

Chain = Mapping[str, Mapping[str, float]]

HIDDEN: Final = 64
VOCABULARY: Final = 384  # rows of the embedding; as in real models more than the tokenizer has tokens
ABOVE: Final = 11.0  # logit of what a chain names over all other tokens


def chain(thoughts: float, end: str, *, closes: bool) -> Chain:
    """What follows what, with which probability; the empty text stands for all tokens that are not named.

    Args:
        thoughts: chance that another thought follows a thought.
        end: the end of text.
        closes: thinking ends with `</think>`.
    """
    thinking = dict.fromkeys((*THOUGHTS, *REFLECTIONS, *LINKS), 1.0)  # all alike: top_p would drop rare ones
    conclusion = {MARKER: 0.6, **dict.fromkeys(PROGRAMS, 0.2)}
    after = {THINK_END: 1.0} if closes else conclusion
    answers = {ANSWER: 0.3, WRONG: 0.26, **dict.fromkeys(LETTERS, 0.11)}
    further = _scaled(thinking, thoughts) | _scaled(after, 1 - thoughts)
    return {
        "": _scaled(thinking, 0.9) | _scaled(after, 0.1),
        **dict.fromkeys(thinking, further),
        **({THINK_END: conclusion} if closes else {}),
        MARKER: answers,
        **{text: {"}": 1.0} for text in answers},
        **{text: {end: 1.0} for text in ("}", *PROGRAMS)},
    }


def _scaled(weights: Mapping[str, float], total: float) -> dict[str, float]:
    return {text: total * weight / sum(weights.values()) for text, weight in weights.items()}


def model(tokens: PreTrainedTokenizerFast, follows: Chain, seed: int) -> Qwen2ForCausalLM:
    """A random model in float32, which writes `follows`; it has heads of 32, the smallest that vLLM serves on a CPU."""
    torch.manual_seed(seed)
    made = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
        )
    )
    embedding, head = made.model.embed_tokens.weight, made.lm_head.weight
    height = math.sqrt(HIDDEN)  # of a state that the last norm has scaled
    with torch.no_grad():
        embedding[:, 0] += 1.0
        head[len(tokens) :, : len(follows)] -= ABOVE / height
        for direction, (text, following) in enumerate(follows.items()):
            if text:
                state = token(tokens, text)
                embedding[state, 0] -= 1.0
                embedding[state, direction] += 1.0
            for other, probability in following.items():
                head[token(tokens, other), direction] += (ABOVE + math.log(probability)) / height
    return made


def token(tokens: PreTrainedTokenizerFast, text: str) -> int:
    """The id of the one token that `text` is."""
    (found,) = tokens.encode(text, add_special_tokens=False)
    return int(found)


def write_models(folder: Path) -> None:
    """Write the base model, both writers, the summariser and two models of others, each as a Hugging Face folder."""
    base, chat = tokenizer(QWEN, "<|endoftext|>"), tokenizer(QWEN, "<|im_end|>")
    distilled = tokenizer(DEEPSEEK, END)
    wanted = {
        "base": (base, 0.6),
        "short": (chat, 0.3),
        "long": (distilled, 0.8),
        "summariser": (chat, 0.5),
        "zero": (base, 0.7),
        "distilled": (distilled, 0.8),
    }
    for seed, (name, (tokens, thoughts)) in enumerate(wanted.items()):
        follows = chain(thoughts, str(tokens.eos_token), closes=tokens is distilled)
        with atomic_folder(folder / name) as out:
            model(tokens, follows, seed).save_pretrained(out)
            tokens.save_pretrained(out)
