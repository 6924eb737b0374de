"""Digests of the steps' code, remembered for as long as the sources are the same.

What a digest is, `raml.code` says; to take those of all steps parses every module, two of the five seconds that a start
of Snakemake with nothing to do took. They are kept in `.snakemake/raml-digests.json` and hold for the very bytes of all
sources and this Python, whatever the files' times. A file that is damaged, or about other sources, counts as none.
"""

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from raml import code

_FILE: Final = Path(".snakemake", "raml-digests.json")


def remembered_digest(module: str, unused: frozenset[str] = frozenset()) -> str:
    """What `raml.code.code_digest` returns, which is only called where nobody has yet with these sources.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    sources = _current_sources()
    known = _remembered(sources)
    name = " ".join([module, *sorted(unused)])
    if name not in known:
        known[name] = code.code_digest(module, unused)
        if _hash_of_sources() == sources:  # else a file was edited meanwhile, and which of both it is of is not known
            _write(sources, known)
    return known[name]


@cache
def _current_sources() -> str:
    return _hash_of_sources()


@cache
def _remembered(sources: str) -> dict[str, str]:
    try:
        kept = json.loads(_FILE.read_text(encoding="utf-8"))
        if kept["sources"] == sources and kept["checksum"] == _checksum(sources, kept["digests"]):
            return dict(kept["digests"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}


def _hash_of_sources() -> str:
    """SHA-256 over the paths and bytes of all modules, and Python's version, on which syntax trees depend."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(code.SOURCE.rglob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(code.SOURCE)} {len(data)} ".encode())
        digest.update(data)
    return digest.hexdigest()


def _checksum(sources: str, digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([sources, digests], sort_keys=True).encode()).hexdigest()


def _write(sources: str, digests: dict[str, str]) -> None:
    """Whole or not at all, under a name of its own first: the jobs of a cluster may all write at once.

    A folder that cannot be written leaves nothing remembered.
    """
    text = json.dumps({"sources": sources, "digests": digests, "checksum": _checksum(sources, digests)}, indent=1)
    with suppress(OSError):
        _FILE.parent.mkdir(exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".raml-digests-", dir=_FILE.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(_FILE)
