"""Token ids of a question, by the tokenizer's chat template or from the exact text of a prompt."""

from transformers import PreTrainedTokenizerBase

from raml.answers.format import INSTRUCTION
from raml.errors import InputError
from raml.probing.text import known, tokenise


def question_ids(
    tokenizer: PreTrainedTokenizerBase, question: str, *, instruction: str = INSTRUCTION
) -> tuple[int, ...]:
    """Ids of one user message, question and instruction, up to where the model begins to write.

    Args:
        instruction: follows the question after an empty line; may be empty.

    Raises:
        InputError: a blank question, a tokenizer without a (working) chat template, or one that does not
            know all of the text.
    """
    if not question.strip():
        raise InputError("the question is empty")
    if tokenizer.chat_template is None:
        raise InputError(
            "the tokenizer has no chat template; write the exact prompt, up to where the model begins to write, "
            "into a file and name it with --prompt FILE (from Python: `prompts.exact_ids`)"
        )
    unknown = tokenise(tokenizer, instruction).unknown
    if unknown is not None:
        raise InputError(
            f"the tokenizer has no token for {unknown!r} in the instruction; leave it out with --instruction ''"
        )
    content = f"{question}\n\n{instruction}" if instruction else question
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    except Exception as error:  # a template is a program: it can fail in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"the tokenizer's chat template fails ({reason})") from None
    assert isinstance(text, str)
    return exact_ids(tokenizer, text)


def exact_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> tuple[int, ...]:
    """Ids of a prompt as it stands, begin-of-text token and all.

    Raises:
        InputError: it is empty, or the tokenizer does not know all of it.
    """
    return known(tokenizer, prompt, "prompt").ids
