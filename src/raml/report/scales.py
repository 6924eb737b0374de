"""The committed scales side by side. Of a file that is older than this code nothing is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raml.claims.result import ClaimResult, DecidingEffect
from raml.claims.results import load_results
from raml.errors import DataError


@dataclass(frozen=True)
class AtScale:
    """A claim at one scale; None where its file says nothing of it."""

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
                _at(scale, claim),
                *(_at(name, of_scale.get(claim.id)) for name, of_scale in found.items()),
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


def _read(path: Path) -> dict[str, ClaimResult]:
    """The claims of a file by id; none of one that cannot be read."""
    try:
        return {one.id: one for one in load_results(path, path.parent.name)}
    except DataError:
        return {}


def _at(scale: str, claim: ClaimResult | None) -> AtScale:
    return AtScale(scale, claim.verdict, claim.verdict_holm, claim.effects) if claim else AtScale(scale)
