"""`config/claims.yaml`: every claim of the paper, with the effects that decide it or the reason why none does yet.

Thresholds are fixed there before the data are looked at. Reported numbers are keys into `config/reported.yaml`, so
that each is written down once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from raml.claims.effects import ALL, POOLS, WITHOUT, EffectSpec
from raml.claims.result import Side
from raml.config import Section, validate
from raml.config.reading import read_yaml
from raml.errors import ConfigError
from raml.quantities.table import QUANTITIES, base_name

DecidingScale = Literal["micro", "small-cpu", "small", "paper"]


class Tolerances(Section):
    """How far measured numbers may lie from reported ones, by a part of the reported number's key, in its unit."""

    of: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    why: str = Field(min_length=1, description="why these numbers")


class EffectEntry(Section):
    """Effects that decide a claim: every quantity with every model.

    Texts may hold `{k}` and `{n}` (of the scale's evaluation), `{answers}` (to a question in fig11) and `{probed0}`,
    `{probed1}` .. (the probed models). With `each: regimes` model and baseline name a part of each base model's family
    (`raml.runs.Regime`).
    """

    quantity: str | list[str]
    model: str | list[str]
    baseline: str | None = None
    share: float = Field(default=1.0, gt=0, description="of the baseline that is subtracted")
    over: str = ALL
    interval: Literal["bca", "t"] | None = None
    each: Literal["regimes"] | None = None
    side: Side | None = Field(default=None, description="of the threshold, if not the claim's")
    threshold: float | None = Field(default=None, description="if not the claim's")

    @model_validator(mode="after")
    def _is_of_a_known_quantity(self) -> Self:
        for name in _listed(self.quantity):
            if base_name(name) not in QUANTITIES:
                raise ValueError(f"quantity {name!r} is one that nobody makes; allowed are {', '.join(QUANTITIES)}")
        return self


class Claim(Section):
    """One claim. `command` and `artifacts` hold the placeholder {scale}."""

    id: str = Field(min_length=1)
    exhibit: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9.]*$")
    statement: str = Field(min_length=1, description="the claim in our words")
    paper: str = Field(min_length=1, description="where the paper makes it")
    reported: list[str] = Field(default=[], description="keys of config/reported.yaml; none if there is only a plot")
    measured: str = Field(min_length=1, description="what decides it, in words")
    needs: str = Field(min_length=1, description="what deciding it takes")
    decidable_at: list[DecidingScale] = Field(description="scales that are large enough; none if it is not tested")
    all: list[EffectEntry] | None = Field(default=None, min_length=1, description="effects that must all hold")
    any: list[EffectEntry] | None = Field(default=None, min_length=1, description="effects of which one suffices")
    side: Side | None = Field(default=None, description="of the threshold on which the effects are claimed to lie")
    threshold: float | None = None
    min_questions: int = Field(ge=2, description="fewer questions leave an effect open")
    level_needs_room: bool = Field(
        default=False, description="whether two models both at the floor, or both saturated, leave an effect open"
    )
    by_construction: str | None = Field(default=None, min_length=1, description="why it could not come out otherwise")
    by_construction_at: list[str] = Field(default=["micro", "small-cpu", "small", "paper"], description="scales")
    why: str | None = Field(default=None, min_length=1, description="why this threshold")
    not_run: str | None = Field(default=None, min_length=1, description="why it is not tested, and what it needs")
    tolerance: Tolerances | None = Field(default=None, description="of claims for which the paper reports numbers")
    artifacts: list[str] = Field(default=[], description="further tables that show it")
    command: str = Field(min_length=1, description="regenerates it")

    @property
    def entries(self) -> list[EffectEntry]:
        """The effects that decide it; none if it is not tested."""
        return self.all or self.any or []

    def threshold_of(self, entry: EffectEntry) -> tuple[Side, float]:
        """The side of the threshold on which an entry's effects are claimed to lie, and the threshold.

        Raises:
            ValueError: neither the entry nor the claim says so.
        """
        side, threshold = entry.side or self.side, self.threshold if entry.threshold is None else entry.threshold
        if side is None or threshold is None:
            raise ValueError("every effect needs a `side` and a `threshold`, its own or the claim's")
        return side, threshold

    @model_validator(mode="after")
    def _is_named_after_its_exhibit(self) -> Self:
        if self.id != self.exhibit and not self.id.startswith(f"{self.exhibit}-"):
            raise ValueError(f"id must be {self.exhibit!r} or begin with '{self.exhibit}-'")
        return self

    @model_validator(mode="after")
    def _is_tested_or_says_why_not(self) -> Self:
        if sum(part is not None for part in (self.all, self.any, self.not_run)) != 1:
            raise ValueError("a claim needs one of `all`, `any` (its effects) and `not_run` (the reason)")
        if self.entries and self.why is None:
            raise ValueError("a claim with effects needs `why`, the reason for its threshold")
        if bool(self.entries) != bool(self.decidable_at):
            raise ValueError("decidable_at must name a scale for a claim that is tested, and none for another")
        return self

    @model_validator(mode="after")
    def _thresholds_can_be_reached(self) -> Self:
        for entry in self.entries:
            _, threshold = self.threshold_of(entry)
            for name in _listed(entry.quantity):
                spec = EffectSpec(quantity=name, model="any", baseline=entry.baseline, share=entry.share)
                lowest, highest = spec.range
                if not lowest <= threshold <= highest:
                    raise ValueError(
                        f"threshold = {threshold:g} lies outside what {name} can be: {lowest:g} to {highest:g}"
                    )
        return self


@dataclass(frozen=True)
class Registry:
    """All claims in the file's order, and what the paper reports."""

    claims: list[Claim]
    reported: dict[str, Any]
    path: Path

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


def load_registry(claims: Path, reported: Path, changes: Mapping[str, Mapping[str, object]] | None = None) -> Registry:
    """Read and check both files.

    Args:
        claims: `claims.yaml`: `defaults` for all claims, and the list `claims`.
        reported: `reported.yaml`.
        changes: by claim, values in place of the file's (`{"fig3": {"threshold": -0.6}}`).

    Raises:
        ConfigError: unreadable YAML, an unknown key, quantity or claim, a repeated id, a claim without effects and
            reason, a threshold that its quantity cannot reach, a key that `reported` lacks, or a reported number
            without a tolerance; one line says which and where.
    """
    numbers, file = _read_mapping(reported), _read_mapping(claims)
    entries, defaults = file.get("claims"), file.get("defaults", {})
    if not isinstance(entries, list) or not isinstance(defaults, dict):
        raise ConfigError(f"{claims} must hold a list under the key `claims` and a mapping under `defaults`")
    known = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    for name in changes or {}:
        if name not in known:
            raise ConfigError(f"{claims} has no claim {name!r}; it has {', '.join(map(str, known))}")
    found = [_claim(entry, place, claims, defaults, changes or {}) for place, entry in enumerate(entries, 1)]
    registry = Registry(found, numbers, claims)
    ids = [claim.id for claim in registry.claims]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise ConfigError(f"{claims}: id {repeated[0]!r} is used twice; ids must be unique")
    for claim in registry.claims:
        for key in claim.reported:
            if _look_up(numbers, key) is None:
                raise ConfigError(f"{claims}: claim {claim.id!r}: reported names {key!r}, which {reported} lacks")
        _check_tolerances(claim, registry.numbers_of(claim), claims)
    return registry


def specs_of(entry: EffectEntry, names: Mapping[str, object], regimes: Iterable[Mapping[str, str]]) -> list[EffectSpec]:
    """The single effects of an entry.

    Args:
        entry: of a claim or an exhibit.
        names: what its placeholders stand for.
        regimes: the families that `each: regimes` goes through, models by their part.

    Raises:
        ConfigError: an unknown placeholder, part of a family, or pool of benchmarks.
    """
    try:
        families = list(regimes) if entry.each else [{}]
        if entry.each and entry.baseline is None:
            raise ConfigError("an effect of each regime needs a baseline")
        return [
            EffectSpec(
                quantity=quantity.format_map(names),
                model=family[model] if entry.each else model.format_map(names),
                baseline=entry.baseline
                and (family[entry.baseline] if entry.each else entry.baseline.format_map(names)),
                share=entry.share,
                over=entry.over,
                interval=entry.interval,
            )
            for family in families
            for model, quantity in product(_listed(entry.model), _listed(entry.quantity))
        ]
    except KeyError as error:
        part = sorted({name for family in regimes for name in family}) if entry.each else []
        raise ConfigError(f"unknown name {error}; allowed are {', '.join([*part, *map(str, names)])}") from None


def is_pool(over: str) -> bool:
    """Whether `over` names no single benchmark."""
    return over.partition(WITHOUT)[0] in (ALL, *POOLS)


def tolerance_of(claim: Claim, key: str) -> float | None:
    """The tolerance of the reported number at `key`: that of the last of its parts which has one."""
    of = claim.tolerance.of if claim.tolerance else {}
    return next((of[part] for part in reversed(key.split(".")) if part in of), None)


def _listed(one: str | list[str]) -> list[str]:
    return [one] if isinstance(one, str) else one


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


def _claim(
    entry: Any, place: int, path: Path, defaults: Mapping[str, Any], changes: Mapping[str, Mapping[str, object]]
) -> Claim:
    """The claim of an entry, over the file's defaults; those of tested claims are none of the others'."""
    if not isinstance(entry, dict):
        return validate(Claim, entry, f"{path}: claim number {place}")
    name = entry.get("id", f"number {place}")
    return validate(Claim, {**defaults, **entry, **changes.get(str(name), {})}, f"{path}: claim {name!r}")


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
