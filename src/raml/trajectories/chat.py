"""How a question becomes a prompt: one user message in the tokenizer's own chat template, micro models' included."""

from typing import Any

from transformers import PreTrainedTokenizerBase

from raml.errors import InputError


def question_ids(tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
    """Token ids of `question` up to where the model begins to write.

    Args:
        tokenizer: of the model that is asked.
        question: the whole text of the message, an instruction included if there is one.

    Raises:
        InputError: the tokenizer has no (working) chat template, or does not know a word of the question.
    """
    if tokenizer.chat_template is None:
        raise InputError(f"the tokenizer of {tokenizer.name_or_path} has no chat template: how to ask it is unknown")
    messages = [{"role": "user", "content": question}]
    try:
        encoded: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    except Exception as error:  # a template is a program: it can fail in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"the chat template of {tokenizer.name_or_path} fails ({reason})") from None
    ids = list(encoded["input_ids"])
    stand_ins = _stand_ins(tokenizer)
    if stand_ins.intersection(ids):  # of a word, or put there by the template
        for word in question.split():
            if stand_ins.intersection(tokenizer.encode(word, add_special_tokens=False)):
                raise InputError(f"{word!r} in {question!r} is not a word of the tokenizer")
    return ids


def _stand_ins(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of the tokens that stand for what is not in the vocabulary; byte-level tokenizers need none."""
    of_model = getattr(getattr(tokenizer.backend_tokenizer, "model", None), "unk_token", None)
    names = [name for name in (tokenizer.unk_token, of_model) if name]
    ids = tokenizer.convert_tokens_to_ids(names)
    assert isinstance(ids, list)  # a list for a list
    return set(ids)
