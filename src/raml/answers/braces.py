"""Which brace closes which, in LaTeX-like text."""

import re

_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # a backslash takes the next character with it: \{ is no brace


def matching_braces(text: str) -> dict[int, int]:
    """Offset of each opening brace that is closed -> offset of its closing brace, in one pass.

    Escaped braces (`\\{`, `\\}`) are ordinary characters; a stray closing brace is skipped.
    """
    pairs: dict[int, int] = {}
    still_open: list[int] = []
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            still_open.append(match.start())
        elif match[0] == "}" and still_open:
            pairs[still_open.pop()] = match.start()
    return pairs
