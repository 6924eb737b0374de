r"""The answer that a completion gives: the content of its box, or the best guess without one."""

import re

from raml.answers.braces import matching_braces
from raml.answers.format import END_OF_TEXT_PATTERN, MARKER_PATTERN

_BOX = re.compile(r"\\boxed\s*\{")
_ANNOUNCEMENT = re.compile(r"\banswer(?:\s+is\b\s*:?|\s*:)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=\s|$)")
_DECORATION = "*$ \t"


def extract_answer(completion: str) -> str | None:
    r"""Content of the box after the last answer marker, whitespace collapsed to single blanks.

    None without a marker, when the last marker's brace is never closed (earlier markers are then no
    substitute), or when its box is empty. Braces nest; `\{` and `\}` do not count.
    """
    markers = list(MARKER_PATTERN.finditer(completion))
    if not markers:
        return None
    opening = markers[-1].end() - 1
    closing = matching_braces(completion).get(opening)
    return None if closing is None else _tidy(completion[opening + 1 : closing])


def extract_loose(completion: str) -> str | None:
    r"""Best guess at the answer of an unformatted completion, so that it can be right at -0.5 (Eq. 21).

    The last closed, non-empty `\boxed{...}` anywhere, thinking included; else what follows the last
    "answer is" or "answer:" (any case), up to the end of its line or sentence, freed of `*`, `$` and
    end-of-text tokens; else None.
    """
    braces = matching_braces(completion)
    for box in reversed(list(_BOX.finditer(completion))):
        closing = braces.get(box.end() - 1)
        if closing is not None and (content := _tidy(completion[box.end() : closing])):
            return content
    return _announced(completion)


def _announced(completion: str) -> str | None:
    announcements = list(_ANNOUNCEMENT.finditer(completion))
    if not announcements:
        return None
    text = END_OF_TEXT_PATTERN.sub("", completion[announcements[-1].end() :])
    lines = text.lstrip(_DECORATION + "\r\n").splitlines()
    sentence = _SENTENCE_END.split(lines[0], maxsplit=1)[0] if lines else ""
    return _tidy(sentence.strip(_DECORATION).removesuffix("."))


def _tidy(text: str) -> str | None:
    return " ".join(text.split()) or None
