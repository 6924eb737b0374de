"""`config/claims.yaml`: every claim of the paper, with the test that decides it or the reason why none does yet.

Tests, minimal effects and margins are fixed there before the data are looked at. Reported numbers are
keys into `config/reported.yaml`, so that each is written down once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from raml.claims.sections import Test
from raml.config import Section, validate
from raml.config.reading import read_yaml
from raml.errors import ConfigError

Exhibit = Literal[
    "prop2.1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "fig8", "fig9", "fig11", "fig12", "fig13",
    "fig14", "fig15", "fig16", "tab1", "tab2", "tab3", "sec4.3",
]  # fmt: skip


DecidingScale = Literal["micro", "small-cpu", "small", "paper"]


class Tolerances(Section):
    """How far measured numbers may lie from reported ones, by a part of the reported number's key, in its unit."""

    of: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    why: str = Field(min_length=1, description="why these numbers")


class Claim(Section):
    """One claim. `command` and `artifacts` hold the placeholder {scale}."""

    id: str = Field(min_length=1)
    exhibit: Exhibit
    statement: str = Field(min_length=1, description="the claim in our words")
    paper: str = Field(min_length=1, description="where the paper makes it")
    reported: list[str] = Field(default=[], description="keys of config/reported.yaml; none if there is only a plot")
    measured: str = Field(min_length=1, description="the quantity that decides it")
    needs: str = Field(min_length=1, description="what deciding it takes")
    decidable_at: list[DecidingScale] = Field(description="scales that are large enough; none without a test")
    test: Test | None = Field(default=None, discriminator="name")
    not_run: str | None = Field(default=None, min_length=1, description="why it is not tested, and what it needs")
    tolerance: Tolerances | None = Field(default=None, description="of claims for which the paper reports numbers")
    artifacts: list[str] = Field(default=[], description="tables and figures that show it")
    command: str = Field(min_length=1, description="regenerates it")

    @model_validator(mode="after")
    def _is_named_after_its_exhibit(self) -> Self:
        if self.id != self.exhibit and not self.id.startswith(f"{self.exhibit}-"):
            raise ValueError(f"id must be {self.exhibit!r} or begin with '{self.exhibit}-'")
        return self

    @model_validator(mode="after")
    def _is_tested_or_says_why_not(self) -> Self:
        if (self.test is None) == (self.not_run is None):
            raise ValueError("a claim needs either `test` or `not_run` (the reason), and not both")
        if (self.test is None) != (not self.decidable_at):
            raise ValueError("decidable_at must name a scale for a claim with a `test`, and none without one")
        return self


@dataclass(frozen=True)
class Registry:
    """All claims in the file's order, and what the paper reports."""

    claims: list[Claim]
    reported: dict[str, Any]

    def reported_of(self, claim: Claim) -> dict[str, object] | None:
        """The numbers that the paper reports for `claim` by their keys, or None if it reports none."""
        return {key: _look_up(self.reported, key) for key in claim.reported} or None

    def numbers_of(self, claim: Claim) -> dict[str, float]:
        """The single numbers among them by their whole keys (`table2.sft_long.AIME24.P8`); none of mere plots."""
        found: dict[str, float] = {}
        for key in claim.reported:
            node = _look_up(self.reported, key)
            if not (isinstance(node, dict) and "values" in node):  # of a plot, only what it varies
                found |= dict(_numbers(key, node))
        return found


def load_registry(claims: Path, reported: Path) -> Registry:
    """Read and check both files.

    Raises:
        ConfigError: unreadable YAML, an unknown key or exhibit, a repeated id, an exhibit without a claim, a
            claim with neither test nor reason, a key that `reported` lacks, or a reported number without a
            tolerance; one line says which and where.
    """
    numbers = _read_mapping(reported)
    entries = _read_mapping(claims).get("claims")
    if not isinstance(entries, list):
        raise ConfigError(f"{claims} must hold a list under the key `claims`")
    registry = Registry([_claim(entry, place, claims) for place, entry in enumerate(entries, 1)], numbers)
    ids = [claim.id for claim in registry.claims]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise ConfigError(f"{claims}: id {repeated[0]!r} is used twice; ids must be unique")
    if missing := [name for name in get_args(Exhibit) if name not in {claim.exhibit for claim in registry.claims}]:
        raise ConfigError(f"{claims}: no claim for {', '.join(missing)}; add one, with `not_run` if it is not built")
    for claim in registry.claims:
        for key in claim.reported:
            if _look_up(numbers, key) is None:
                raise ConfigError(f"{claims}: claim {claim.id!r}: reported names {key!r}, which {reported} lacks")
        _check_tolerances(claim, registry.numbers_of(claim), claims)
    return registry


def tolerance_of(claim: Claim, key: str) -> float | None:
    """The tolerance of the reported number at `key`: that of the last of its parts which has one."""
    of = claim.tolerance.of if claim.tolerance else {}
    return next((of[part] for part in reversed(key.split(".")) if part in of), None)


def _check_tolerances(claim: Claim, numbers: Iterable[str], path: Path) -> None:
    """Raise a ConfigError if a reported number of `claim` has no tolerance, or a tolerance no number."""
    parts = {part for key in numbers for part in key.split(".")}
    if unused := [part for part in (claim.tolerance.of if claim.tolerance else {}) if part not in parts]:
        raise ConfigError(f"{path}: claim {claim.id!r}: tolerance.of names {unused[0]!r}, a part of no reported number")
    for key in numbers:
        if tolerance_of(claim, key) is None:
            raise ConfigError(
                f"{path}: claim {claim.id!r}: {key} is reported and has no tolerance; name a part of it in tolerance.of"
            )


def _numbers(key: str, node: Any) -> Iterator[tuple[str, float]]:
    if isinstance(node, dict):
        for name, below in node.items():
            yield from _numbers(f"{key}.{name}", below)
    elif isinstance(node, int | float):
        yield key, float(node)


def _claim(entry: Any, place: int, path: Path) -> Claim:
    name = entry.get("id", f"number {place}") if isinstance(entry, dict) else f"number {place}"
    return validate(Claim, entry, f"{path}: claim {name!r}")


def _look_up(numbers: dict[str, Any], key: str) -> Any:
    """The value at a dotted key ("table2.sft_long"), None if there is none."""
    node: Any = numbers
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _read_mapping(path: Path) -> dict[str, Any]:
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping, found {type(raw).__name__}")
    return raw
