"""The word-level tokenizer of the micro models, and how a question becomes a prompt.

Every number, signed term, label and word is one token; so are `<think>`, `</think>`, the reflection
words and the whole answer marker. Decoded text separates tokens by single blanks.
"""

from functools import cache

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from raml.answers.format import MARKER, THINK_END, THINK_START
from raml.config import Section
from raml.errors import InputError
from raml.questions.gym import LARGEST
from raml.questions.rows import LABELS, MAX_SUM, TERMS
from raml.questions.trees import NODES
from raml.step import Step, run
from raml.storage import atomic_folder

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
STEPS = "steps"  # in a question: show every step
REFLECTION_WORDS = ("Wait", "Alternatively", "Hold on")

# The prompt of `prompt_ids` for programs that speak in chat messages. Earlier turns are not rendered: no micro
# model has seen any.
CHAT_TEMPLATE = (
    "{{ bos_token }} {{ messages[-1]['content'] }}{% if add_generation_prompt %} " + THINK_START + "{% endif %}"
)


class Job(Section):
    """The tokenizer follows from the families alone: nothing to configure."""


def main(step: Step[Job]) -> None:
    """Save the tokenizer as a Hugging Face folder."""
    with atomic_folder(step.files["out"]) as folder:
        build_tokenizer().save_pretrained(folder)


@cache
def build_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer over all tokens of the question families and the oracles."""
    phrases = [THINK_START, THINK_END, MARKER, *REFLECTION_WORDS]
    numbers = [str(number) for number in range(max(LARGEST, MAX_SUM) + 1)]
    words = ["rows", "top", "sort", "path", "back", "up", "down", STEPS, "ok", ";", "=", ":", "?", "}"]
    vocabulary = [PAD, BOS, EOS, *phrases, *words, *numbers, *(f"{term:+d}" for term in TERMS)]
    vocabulary += sorted({*LABELS, *NODES.upper(), *NODES})
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(vocabulary)}, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_tokens([AddedToken(phrase, lstrip=True, rstrip=True, normalized=False) for phrase in phrases])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def is_word_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether `tokenizer` reads words as ours does; others read any text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return isinstance(getattr(backend, "model", None), models.WordLevel)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of `<bos> QUESTION <think>`.

    Raises:
        InputError: the question holds a word that the tokenizer does not know.
    """
    return token_ids(tokenizer, [BOS, *prompt.split(), THINK_START])


def token_ids(tokenizer: PreTrainedTokenizerBase, tokens: list[str]) -> list[int]:
    """Ids of `tokens`, each a word of the vocabulary.

    Raises:
        InputError: one of them is not.
    """
    ids = tokenizer.convert_tokens_to_ids(tokens)
    assert isinstance(ids, list)  # a list for a list
    if tokenizer.pad_token_id in ids:
        unknown = tokens[ids.index(tokenizer.pad_token_id)]
        raise InputError(f"{unknown!r} in {' '.join(tokens)!r} is not a word of the tokenizer")
    return ids


if __name__ == "__main__":
    run(main, Job, outputs=["out"])
