"""What must hold before results are shown: of one scale, finite, and not older than what they were made from."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raml.claims.result import ClaimResult
from raml.errors import DataError
from raml.report.page import Section, in_git, made_by
from raml.storage import file_hash


def check_claims(claims: Sequence[ClaimResult], path: Path, scale: str) -> None:
    """Refuse numbers that are none.

    Raises:
        DataError: a claim has one.
    """
    for claim in claims:
        if not _finite(claim.model_dump()):
            again = f"`{made_by(path.as_posix(), scale)}` decides them again"
            raise DataError(f"{path}: claim {claim.id} has a number that is not finite; {again}")


def check_sections(sections: Sequence[Section], scale: str) -> None:
    """Refuse exhibits of another scale, and those drawn from files that have changed since or that git has lost.

    Files that git does not keep may be missing. Without them an exhibit stays as it is if the effects change.

    Raises:
        DataError: as above; it says which exhibit, which file, and what to run.
    """
    hashes: dict[str, str] = {}
    for section in sections:
        if section.exhibit.scale != scale:
            raise DataError(
                f"{section.path} is of scale {section.exhibit.scale!r}, but this report is of scale {scale!r}; "
                f"`{made_by(section.path, scale, force=True)}` makes it"
            )
        lost = any(not in_git(path) and not Path(path).is_file() for path in section.sources)
        for source in section.exhibit.sources:
            path = Path(source.path)
            if path.is_file():
                found = hashes[source.path] = hashes.get(source.path) or file_hash(path)[: len(source.sha256)]
                if found != source.sha256 and not (lost and path.parent.name == "tables"):
                    raise DataError(
                        f"{section.path} is stale: {path} has changed since (hash {found}, then {source.sha256}); "
                        f"`{section.command}` makes it again"
                    )
            elif in_git(source.path):
                raise DataError(
                    f"{path}, which {section.path} was made from, does not exist; "
                    f"`{made_by(source.path, scale)}` makes it"
                )


def _finite(value: Any) -> bool:
    """Whether all numbers in it are."""
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
