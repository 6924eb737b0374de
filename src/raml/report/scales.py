"""The committed scales side by side. Files of other scales may be older than this code: what cannot be read is None."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raml.claims.result import ClaimResult, DecidingEffect
from raml.errors import DataError
from raml.report.board import ORDER
from raml.storage import read_json


@dataclass(frozen=True)
class AtScale:
    """A claim at one scale; None stands for what its file does not say, or says in a form that we do not know."""

    scale: str
    verdict: str | None = None
    verdict_holm: str | None = None
    effects: list[DecidingEffect] | None = None

    @property
    def deciding(self) -> list[DecidingEffect]:
        """The effects that decide the verdict; all of them where none has it."""
        found = self.effects or []
        return [one for one in found if one.verdict == self.verdict] or found


@dataclass(frozen=True)
class Compared:
    """A claim at all scales."""

    id: str
    statement: str
    scales: list[AtScale]


def compare(claims: Sequence[ClaimResult], scale: str, others: Sequence[Path]) -> list[Compared]:
    """Every claim of this scale at all scales, this one first, the others in the order of their names.

    Args:
        claims: of this scale.
        scale: its name.
        others: `results/<scale>/claims.json` of others; this scale's own is passed over.
    """
    files = {path.parent.name: path for path in others if path.parent.name != scale}
    found = {name: _read(path) for name, path in sorted(files.items())}
    return [
        Compared(
            claim.id,
            claim.statement,
            [
                AtScale(scale, claim.verdict, claim.verdict_holm, claim.effects),
                *(_at(name, of_scale.get(claim.id, {})) for name, of_scale in found.items()),
            ],
        )
        for claim in claims
    ]


def lines(compared: Sequence[Compared]) -> list[list[object]]:
    """The comparison for CSV: a line for each claim, scale and effect that decides there."""
    header = ["claim", "scale", "verdict", "verdict after Holm", "effect", "unit", "estimate", "lower", "upper"]
    rows: list[list[object]] = [[*header, "questions", "seeds"]]
    for claim in compared:
        for one in claim.scales:
            start = [claim.id, one.scale, one.verdict, one.verdict_holm]
            for effect in one.deciding:
                ends = effect.interval or (None, None)
                rows.append([*start, effect.label, effect.unit, effect.estimate, *ends, effect.questions, effect.seeds])
            if not one.deciding:
                rows.append([*start, *[None] * 7])
    return rows


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The claims of a file by id, as they stand there; none of a file that holds no such list."""
    try:
        found = read_json(path)
    except DataError:
        return {}
    entries = found if isinstance(found, list) else []
    return {str(one["id"]): one for one in entries if isinstance(one, dict) and "id" in one}


def _at(scale: str, entry: dict[str, Any]) -> AtScale:
    said = map(entry.get, ("verdict", "verdict_holm"))
    verdict, after = (value if isinstance(value, str) and value in ORDER else None for value in said)
    try:
        effects = [
            DecidingEffect.model_validate({name: one[name] for name in DecidingEffect.model_fields if name in one})
            for one in entry["effects"]
        ]
    except (ValidationError, KeyError, TypeError):
        effects = None
    return AtScale(scale, verdict, after, effects)
