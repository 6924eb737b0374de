"""What must hold before results are shown: of one scale, whole, finite and not older than what they were made from."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from raml.claims.result import ClaimResult
from raml.errors import DataError
from raml.report.exhibit import Source
from raml.report.page import Section, made_by
from raml.storage import file_hash


def check_claims(claims: Sequence[ClaimResult], path: Path, scale: str) -> None:
    """Refuse claims that were decided on another scale's files, and numbers that are none.

    Raises:
        DataError: as above.
    """
    again = f"`{made_by(path.as_posix(), scale)}` decides them again"
    for claim in claims:
        for artifact in claim.artifacts:
            folder = re.match(r"results/([^/]+)/", artifact)
            if folder and folder[1] != scale:
                raise DataError(
                    f"{path}: claim {claim.id} rests on {artifact}, which is of scale {folder[1]!r}, but the report is "
                    f"of scale {scale!r}; {again}"
                )
        numbers = [claim.measured, *(claim.interval or ()), claim.line, claim.p, claim.p_holm]
        if not all(math.isfinite(value) for value in numbers if value is not None):
            raise DataError(f"{path}: claim {claim.id} has a number that is not finite; {again}")


def check_sections(sections: Sequence[Section], scale: str) -> None:
    """Refuse exhibits of another scale, and those drawn from files that are gone or have changed since.

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
        for source in section.exhibit.sources:
            _check_source(source, section, hashes)


def _check_source(source: Source, section: Section, hashes: dict[str, str]) -> None:
    path, scale = Path(source.path), section.exhibit.scale
    if not path.is_file():
        raise DataError(
            f"{path}, which {section.path} was made from, does not exist; `dvc pull` fetches it, "
            f"`{made_by(source.path, scale)}` makes it"
        )
    if source.path not in hashes:
        hashes[source.path] = file_hash(path)[: len(source.sha256)]
    if hashes[source.path] != source.sha256:
        raise DataError(
            f"{section.path} is stale: {path} has changed since (hash {hashes[source.path]}, then {source.sha256}); "
            f"`{section.command}` makes it again"
        )
