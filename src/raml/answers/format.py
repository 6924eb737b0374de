r"""The shape of a completion: thinking, `</think>`, answer marker, answer, closing brace, end of text.

The paper rewards "formatted" completions (Eq. 21) without defining the check; `is_formatted` is our
definition. The marker is the paper's (Algorithm 3).
"""

import re

from raml.answers.braces import matching_braces

THINK_START = "<think>"
THINK_END = "</think>"
MARKER = "\n\n**Final Answer**\n\\boxed{"

INSTRUCTION = (
    "Work the problem out step by step. Finish with a line **Final Answer** and, below it, the answer alone "
    "in \\boxed{}."
)
"""I of the paper's Section 2, in our words; models that answer in another shape do without."""


def with_instruction(question: str) -> str:
    """`question`, and below it `INSTRUCTION`: what a model is asked."""
    return f"{question}\n\n{INSTRUCTION}"


# Word-level tokenizers decode with blanks between tokens, so blanks are free around every part of it.
MARKER_PATTERN = re.compile(r"\*\*\s*Final\s+Answer\s*\*\*\s*\\boxed\s*\{")
END_OF_TEXT_PATTERN = re.compile(r"<(?:eos|pad|/s|[|\uff5c][^\s<>]+[|\uff5c])>")  # DeepSeek's bars are full-width

_ALLOWED_ENDINGS = frozenset(math + stop for math in ("", "$", "$$") for stop in ("", "."))


def is_formatted(completion: str) -> bool:
    r"""Whether a completion has the one shape that Eq. 21 calls formatted.

    All of these hold:

    1. The answer marker occurs exactly once. Case matters; whitespace is free (any amount, or none,
       around the asterisks, the words, `\boxed` and its brace), leading blank line included. A
       `\boxed{...}` without `**Final Answer**` before it is no marker and does no harm.
    2. Its brace is closed, and the box holds more than whitespace. Braces nest (`\frac{1}{2}`);
       `\{` and `\}` do not count.
    3. After the closing brace come only whitespace, at most one `$` or `$$`, then at most one full
       stop, with end-of-text tokens (`<eos>`, `<pad>`, `</s>`, `<|name|>`) anywhere among them.
    4. `</think>` occurs at most once, and before the marker. Text between the two is allowed.
    5. `<think>` occurs at most once, only as the first thing but whitespace, and only with a
       `</think>` after it.

    A completion without think tags can be formatted (chat models, or `<think>` in the prompt), and
    so can one with `</think>` alone. A completion cut off in the middle never is.
    """
    markers = list(MARKER_PATTERN.finditer(completion))
    if len(markers) != 1:
        return False
    opening = markers[0].end() - 1
    closing = matching_braces(completion).get(opening)
    if closing is None or not completion[opening + 1 : closing].strip():
        return False
    return _ends_cleanly(completion[closing + 1 :]) and thinks_cleanly(completion, markers[0].start())


def _ends_cleanly(tail: str) -> bool:
    return "".join(END_OF_TEXT_PATTERN.sub("", tail).split()) in _ALLOWED_ENDINGS


def thinks_cleanly(completion: str, marker: int) -> bool:
    """Rules 4 and 5 of `is_formatted` for an answer that starts at `marker`."""
    starts, ends = completion.count(THINK_START), completion.count(THINK_END)
    if ends > 1 or starts > ends:
        return False
    if starts and not completion.lstrip().startswith(THINK_START):
        return False
    return not ends or completion.index(THINK_END) < marker
