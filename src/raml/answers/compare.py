"""Is the answer the gold answer? One comparison for each `answer_type` of a question."""

import re

from raml.answers.code import passes
from raml.answers.supervisor import supervisor
from raml.errors import InputError

TIMEOUT = 5.0  # seconds; an ordinary comparison takes milliseconds

_INTEGER = re.compile(r"([+-]?)0*([0-9]+)")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+")
_SEPARATOR = re.compile(r"\s*,\s*|\s+")
_CHOICE = re.compile(r"(?:\\(?:text|textbf|textit|mathrm|mathbf|boxed)\s*\{\s*)?\(?([A-Za-z])(?:$|[\s)}.:,])")
_DOLLAR = re.compile(r"(?<!\\)\$")


def same_answer(answer: str, gold: str, answer_type: str = "math", timeout: float = TIMEOUT) -> bool:
    r"""Whether `answer` equals `gold`, both freed of unescaped `$` and of superfluous blanks.

    An empty answer equals nothing. `answer_type` is one of

    - `integer`: an optional sign and digits (`007` is `7`, `-0` is `0`, `1,234` is `1234`); `7.0` is
      not an integer.
    - `integers`: such numbers, without thousands commas, separated by blanks or single commas; order
      and count matter.
    - `labels`: words separated in the same way; case, order and count matter.
    - `choice`: one letter of a multiple choice, in any case, bare or as models write it: `B`, `(B)`, `B.`,
      `\text{B}`, `B) because`.
    - `code`: Python that passes the tests in `gold` (see `raml.answers.code`), in a sandbox.
    - `math`: equal strings, else what math-verify finds equal, in a worker process (see
      `raml.answers.supervisor`). So `1/2`, `0.5` and `\frac{1}{2}` are equal, `x=3` is `3`, `50\%`
      is both `50` and `0.5`, sets ignore order, floats are rounded to 6 decimals. math-verify reads
      bare words as products of letters in any case: use `labels` for words.

    Args:
        timeout: seconds that the worker may take to parse the gold answer, and again for the rest
            (`math` only). An answer that takes longer, crashes the worker or cannot be parsed is not
            equal.

    Raises:
        InputError: unknown `answer_type`, or a `gold` that is not of this type. A `math` gold is only
            parsed when the strings differ.
    """
    if answer_type == "code":
        return bool(answer.strip()) and passes(answer, gold)
    answer, gold = normalised(answer), normalised(gold)
    if not gold:
        raise InputError(f"gold answer is empty; give one of type {answer_type!r}")
    if answer_type == "math":
        return bool(answer) and (answer == gold or supervisor.equal(answer, gold, timeout))
    if answer_type not in _READERS:
        raise InputError(f"answer_type = {answer_type!r} is unknown; allowed: {', '.join([*_READERS, 'code', 'math'])}")
    read = _READERS[answer_type]
    expected = read(gold)
    if expected is None:
        raise InputError(f"gold answer {gold!r} is not of type {answer_type!r}")
    return read(answer) == expected


def normalised(text: str) -> str:
    """`text` as answers are compared: without unescaped `$` and superfluous blanks."""
    text = _DOLLAR.sub("", text).replace("\N{MINUS SIGN}", "-")
    return " ".join(text.split())


def _integer(text: str) -> list[str] | None:
    numbers = _integers(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    return numbers if numbers and len(numbers) == 1 else None


def _integers(text: str) -> list[str] | None:
    numbers = [_canonical(part) for part in _SEPARATOR.split(text)]
    return None if None in numbers else [number for number in numbers if number]


def _canonical(number: str) -> str | None:
    """A string, not an `int`: Python refuses to convert more than 4,300 digits."""
    match = _INTEGER.fullmatch(number)
    if match is None:
        return None
    sign = "-" if match[1] == "-" and match[2] != "0" else ""
    return sign + match[2]


def _labels(text: str) -> list[str] | None:
    labels = _SEPARATOR.split(text)
    return labels if all(labels) else None


def _choice(text: str) -> list[str] | None:
    match = _CHOICE.match(text)
    return [match[1].upper()] if match else None


_READERS = {"integer": _integer, "integers": _integers, "labels": _labels, "choice": _choice}
