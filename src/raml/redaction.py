"""Secrets out of what is printed: values of the environment's keys and tokens, and passwords in urls."""

import os
import re
from typing import Final

_NAMES: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_SHORTEST: Final = 8  # shorter values are settings such as `1`, and would be found everywhere
_IN_URLS: Final = re.compile(r"(?<=://)[^\s/@]+(?=@)")
_ALIKE: Final = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16})|(?<=Bearer )[^\s'\"]{8,}")


def redacted(text: str) -> str:
    """`text` without secrets.

    Those of the environment are the values, of at least 8 characters, of variables whose names speak of a key, token,
    secret, password or credential; each becomes the variable's name in brackets. What stands before the `@` of a url,
    what follows `Bearer` and what looks like a key of Hugging Face, OpenAI or AWS becomes `[redacted]`.
    """
    secrets = {value: name for name, value in os.environ.items() if len(value) >= _SHORTEST and _NAMES.search(name)}
    for value in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(value, f"[{secrets[value]}]")
    return _ALIKE.sub("[redacted]", _IN_URLS.sub("[redacted]", text))
