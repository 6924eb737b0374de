"""The tests of programming questions, in one archive beside the tables.

They are too large for a column: those of a question take up to tens of megabytes. A question's `answer` is the
SHA-256 of its tests and its `metadata` names the archive, in which they stand by the question's id.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from raml.answers.code import gold_text
from raml.answers.sandbox import Cases
from raml.errors import DataError
from raml.storage import atomic_path


def digest(tests: Cases) -> str:
    """What stands for tests as a question's answer: `sha256:` and the digest of their text."""
    return f"sha256:{hashlib.sha256(gold_text(tests).encode()).hexdigest()}"


def write_archive(tests: Mapping[str, Cases], path: Path) -> None:
    """Write tests by question id; the same ones make the same bytes."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for question, one in tests.items():
            archive.writestr(zipfile.ZipInfo(question), gold_text(one), zipfile.ZIP_DEFLATED)


@lru_cache(maxsize=4)  # completions of a question are judged one after the other
def _text(path: str, question: str, answer: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(question)
    except (OSError, KeyError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise DataError(f"the tests of {question} are not in {path} ({error}); fetch the questions again") from None
    if f"sha256:{hashlib.sha256(text).hexdigest()}" != answer:
        raise DataError(f"{path} holds other tests of {question} than those of its question; fetch the questions again")
    return text.decode()


def tests_of(question: Mapping[str, Any]) -> str:
    """The tests of a question (a row of `schemas.Question`) as `raml.answers.code.read_tests` reads them.

    Raises:
        DataError: the archive is missing or broken, or holds other tests.
    """
    return _text(json.loads(question["metadata"])["tests"], question["id"], question["answer"])
