"""The one judge: a claim's effects against their threshold, the rules that guard it, and the reason in plain words.

An effect holds if its whole interval lies on the claimed side of its threshold, is contradicted if the whole interval
lies on the other side, and is inconclusive otherwise, or with too few questions. With `all` the claim is as its worst
effect, with `any` as its best; `raml.claims.evidence` has the p-values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from raml.claims.effects import FINE, Effect, EffectSpec, Quantities
from raml.claims.evidence import Condition, Evidence, after_holm, all_of, any_of, holm
from raml.claims.labels import RESTRICTIONS, pair_label, quantity_label
from raml.claims.registry import Claim, EffectEntry, Registry, is_pool, specs_of
from raml.claims.result import ClaimResult, DecidingEffect, Side, Verdict
from raml.errors import ConfigError
from raml.quantities.table import QUANTITIES, SHARE, base_name

FLOOR: Final = 0.02
"""Score below which a comparison shows little; a score above 1 - FLOOR is saturated."""
WORST_FIRST: Final[tuple[Verdict, ...]] = ("contradicted", "inconclusive", "holds")
ONE_SEED: Final = "with one training seed the interval covers questions and not training"


@dataclass(frozen=True)
class Names:
    """What the placeholders of effects stand for at a scale, and the families of its base models."""

    values: Mapping[str, object]
    regimes: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Judged:
    """An effect against its threshold; `ends` says where both models lie if level shows nothing there."""

    effect: Effect
    side: Side
    threshold: float
    min_questions: int
    verdict: Verdict
    ends: str = ""

    @property
    def condition(self) -> Condition:
        """As evidence on the claim."""
        one = self.effect
        return Condition(one.interval, self.verdict, self.side, self.threshold, one.questions, self.min_questions)

    def result(self) -> DecidingEffect:
        """As it stands in `claims.json`."""
        one, spec = self.effect, self.effect.spec
        return DecidingEffect(
            name=spec.name,
            label=f"{quantity_label(spec.quantity)}: {pair_label(spec)}",
            **spec.model_dump(include={"quantity", "model", "baseline", "over"}),
            unit=QUANTITIES[base_name(spec.quantity)].unit,
            estimate=one.estimate,
            interval=(one.interval.lower, one.interval.upper) if one.interval else None,
            threshold=self.threshold,
            side=self.side,
            questions=one.questions,
            seeds=one.seeds,
            verdict=self.verdict,
        )


def judge_all(registry: Registry, quantities: Quantities, names: Names, scale: str) -> list[ClaimResult]:
    """Every claim's result in the registry's order, Holm's correction entered.

    Raises:
        ConfigError: an effect names something unknown.
    """
    results, corrected = [], []
    for claim in registry.claims:
        result, evidence = judge(claim, registry, quantities, names, scale)
        results.append(result)
        corrected.append(evidence.corrected if evidence else None)
    correct(results, corrected, quantities.bootstrap.confidence)
    return results


def judge(
    claim: Claim, registry: Registry, quantities: Quantities, names: Names, scale: str
) -> tuple[ClaimResult, Evidence | None]:
    """A claim's result before Holm's correction, and the evidence that it rests on; None of one that was not tested."""
    untested = ClaimResult(
        id=claim.id,
        exhibit=claim.exhibit,
        statement=claim.statement,
        paper=claim.paper,
        quantity=claim.measured,
        reported=registry.reported_of(claim),
        verdict="not_run",
        reason=claim.not_run or "",
        by_construction=claim.by_construction is not None and scale in claim.by_construction_at,
        needs=claim.needs,
        decidable_at=list(claim.decidable_at),
        artifacts=[path.replace("{scale}", scale) for path in claim.artifacts],
        command=claim.command.replace("{scale}", scale),
    )
    if not claim.entries:
        return untested, None
    found = [(entry, spec, quantities.effect(spec)) for entry, spec in specs_of_claim(claim, registry, names)]
    if not found or any(effect is None for *_, effect in found):
        for _, spec, effect in found:
            if effect is None:
                check_restrictions(claim.id, spec.quantity, quantities)
        absent = list(
            dict.fromkeys(f"{quantity_label(s.quantity)} of {pair_label(s)}" for _, s, e in found if e is None)
        )
        reason = f"Not measured at this scale: {'; '.join(absent)}." if absent else "This scale trains no such models."
        return untested.model_copy(update={"reason": reason}), None
    judged = [judge_effect(claim, effect, *claim.threshold_of(entry)) for entry, _, effect in found if effect]
    verdict = min((one.verdict for one in judged), key=WORST_FIRST.index)
    if claim.any:
        held = any(one.verdict == "holds" for one in judged)
        refuted = all(one.verdict == "contradicted" for one in judged)
        verdict = "holds" if held else "contradicted" if refuted else "inconclusive"
    evidence = (any_of if claim.any else all_of)([one.condition for one in judged])
    needed = evidence.needed(quantities.bootstrap.confidence) if verdict == "inconclusive" else None
    result = untested.model_copy(
        update={
            "verdict": verdict,
            "reason": reason_of(verdict, judged, any_suffices=claim.any is not None),
            "limits": " ".join(
                filter(
                    None,
                    [
                        claim.by_construction if untested.by_construction else "",
                        limits_of(claim, judged, quantities, needed),
                    ],
                )
            ),
            "effects": [one.result() for one in judged],
            "measured": {
                one.effect.spec.name: one.effect.estimate for one in judged if one.effect.estimate is not None
            },
            "interval": {
                one.effect.spec.name: (one.effect.interval.lower, one.effect.interval.upper)
                for one in judged
                if one.effect.interval
            },
            "n": {name: min(getattr(one.effect, name) for one in judged) for name in ("questions", "seeds")},
            "combine": "any" if claim.any else "all",
            "p": evidence.p,
            "needed": needed,
        }
    )
    return result, evidence


def specs_of_claim(claim: Claim, registry: Registry, names: Names) -> list[tuple[EffectEntry, EffectSpec]]:
    """The effects that decide a claim, each with its entry.

    Raises:
        ConfigError: an entry names something unknown; one line says which claim of which file.
    """
    try:
        return [(entry, spec) for entry in claim.entries for spec in specs_of(entry, names.values, names.regimes)]
    except ConfigError as error:
        raise ConfigError(f"{registry.path}: claim {claim.id!r}: {error}") from None


def judge_effect(claim: Claim, effect: Effect, side: Side, threshold: float) -> Judged:
    """An effect against its threshold, by the rules that guard `claim`."""
    verdict: Verdict = "inconclusive"
    if effect.interval and effect.questions >= claim.min_questions and effect.interval.excludes(threshold):
        verdict = "holds" if (effect.interval.lower > threshold) == (side == "above") else "contradicted"
    judged = Judged(effect, side, threshold, claim.min_questions, verdict)
    if claim.level_needs_room and effect.interval and (ends := _ends(effect.means)):
        return replace(judged, verdict="inconclusive", ends=ends)
    return judged


def check_restrictions(claim: str, quantity: str, quantities: Quantities) -> None:
    """Refuse a quantity without rows whose restrictions nobody knows: a slip, and not what a scale lacks.

    Raises:
        ConfigError: it is one.
    """
    base, *parts = quantity.split("/")
    alike = [name for name in sorted(quantities.names) if name.partition("/")[0] == base and not FINE.search(name)]
    if alike and quantity not in quantities.names and any(part not in RESTRICTIONS for part in parts):
        raise ConfigError(f"config/claims.yaml: claim {claim!r}: nothing is {quantity!r}; there are {', '.join(alike)}")


def correct(results: Sequence[ClaimResult], corrected: Sequence[float | None], confidence: float) -> None:
    """Enter Holm's p-values and the verdicts that stand after them into `results`.

    Args:
        results: of all claims; those that are not `not_run` are the family.
        corrected: of each the p-value corrected for several effects, None if it has none.
        confidence: of the verdicts.
    """
    family = [place for place, one in enumerate(results) if one.verdict != "not_run"]
    adjusted = holm([corrected[place] for place in family])
    for place, p in zip(family, adjusted, strict=True):
        one = results[place]
        one.p_holm, one.verdict_holm = p, after_holm(one.verdict, p, confidence)


def reason_of(verdict: Verdict, judged: Sequence[Judged], *, any_suffices: bool) -> str:
    """One sentence on the effects that decided, or that keep the claim open."""
    deciding = [one for one in judged if one.verdict == verdict]
    if any_suffices and verdict == "inconclusive":
        deciding = [one for one in judged if one.verdict != "contradicted"]
    if few := [one for one in deciding if one.effect.questions < one.min_questions and verdict == "inconclusive"]:
        return _sentence([_clause(verdict, few)])
    groups: dict[tuple[str, Side, float], list[Judged]] = {}
    for one in deciding:
        groups.setdefault((one.ends, one.side, one.threshold), []).append(one)
    return _sentence(_clause(verdict, group) for group in groups.values())


def limits_of(claim: Claim, judged: Sequence[Judged], quantities: Quantities, needed: Mapping[str, int] | None) -> str:
    """One sentence on what limits the verdict: single benchmarks, the floor, seeds and questions."""
    clauses = _alone(claim, judged, quantities)
    clauses += _at_ends(judged, quantities)
    seeds = min(one.effect.seeds for one in judged)
    if needed and all(one.effect.questions >= one.min_questions for one in judged):
        clauses.append(_needed(needed, min(one.effect.questions for one in judged), seeds))
    if seeds == 1:
        clauses.append(ONE_SEED)
    return _sentence(clauses)


def _sentence(clauses: Iterable[str]) -> str:
    """All clauses as one sentence; none of none."""
    text = "; ".join(clauses)
    first = text[:1] if text.startswith("mG-") else text[:1].upper()
    return f"{first}{text[1:]}." if text else ""


def _clause(verdict: Verdict, judged: Sequence[Judged]) -> str:
    """`Pass@8 and mG-Pass@8 of SFT long less SFT short lie above -0.02`; the same models are named once."""
    by_pair: dict[str, list[str]] = {}
    for one in judged:
        by_pair.setdefault(pair_label(one.effect.spec), []).append(quantity_label(one.effect.spec.quantity))
    by_names: dict[str, list[str]] = {}
    for pair, names in by_pair.items():
        by_names.setdefault(_listed(names), []).append(pair)
    subject = ", and ".join(f"{names} of {_listed(pairs)}" for names, pairs in by_names.items())
    several, one = len(judged) > 1, judged[0]
    if one.effect.questions < one.min_questions and verdict == "inconclusive":
        fewest, most = (pick(one.effect.questions for one in judged) for pick in (min, max))
        questions = f"{fewest} to {most}" if fewest < most else f"{fewest}"
        return f"{subject}: {questions} of the {one.min_questions} questions that the claim asks for"
    if one.ends:
        return f"{subject} show nothing: both models are {one.ends}"
    is_share = QUANTITIES[base_name(one.effect.spec.quantity)].unit == SHARE and one.threshold != 0
    unit = "" if not is_share else " points" if one.effect.spec.baseline else "%"
    threshold = f"{100 * one.threshold if is_share else one.threshold:g}{unit}".replace("-", "\N{MINUS SIGN}")
    if verdict == "inconclusive":
        return f"{subject} may lie on either side of {threshold}"
    other: dict[Side, Side] = {"above": "below", "below": "above"}
    side = one.side if verdict == "holds" else other[one.side]
    return f"{subject} {'lie' if several else 'lies'} {side} {threshold}"


def _alone(claim: Claim, judged: Sequence[Judged], quantities: Quantities) -> list[str]:
    """What single benchmarks would say, where that differs: `on path alone it is contradicted`."""
    found: dict[Verdict, list[str]] = {}
    for name in _benchmarks(judged, quantities):
        alone = [
            judge_effect(claim, effect, one.side, one.threshold).verdict
            for one in judged
            if (effect := quantities.effect(one.effect.spec.model_copy(update={"over": name})))
        ]
        together = min((one.verdict for one in judged), key=WORST_FIRST.index)
        worst = min(alone, key=WORST_FIRST.index, default=together)
        if worst != together and worst != "inconclusive":
            found.setdefault(worst, []).append(name)
    said = {"holds": "on {} alone it holds", "contradicted": "on {} alone it is contradicted"}
    return [said[verdict].format(_listed(names)) for verdict, names in found.items()]


def _at_ends(judged: Sequence[Judged], quantities: Quantities) -> list[str]:
    """Benchmarks on which both models of a score are at the floor, or saturated, for at least one pair."""
    scores = [one for one in judged if _is_score(one.effect.spec)]
    places: dict[tuple[str, str], dict[str, None]] = {}
    for name in _benchmarks(scores, quantities):
        for one in scores:
            effect = quantities.effect(one.effect.spec.model_copy(update={"over": name}))
            if effect and (end := _ends(effect.means)):
                places.setdefault((one.effect.spec.quantity, end), {})[name] = None
    some = " for at least one pair" if len({pair_label(one.effect.spec) for one in scores}) > 1 else ""
    return [f"on {_listed(names)} {metric} is {end}{some}" for (metric, end), names in places.items()]


def _benchmarks(judged: Sequence[Judged], quantities: Quantities) -> list[str]:
    """Those of the judged effects, if they pool any."""
    specs = [one.effect.spec for one in judged if is_pool(one.effect.spec.over)]
    names = {name: None for spec in specs for name in quantities.benchmarks(spec.quantity, spec.model) if name}
    return [name for name in names if any(quantities.pools(spec, name) for spec in specs)] if len(names) > 1 else []


def _is_score(spec: EffectSpec) -> bool:
    return QUANTITIES[base_name(spec.quantity)].unit == SHARE and base_name(spec.quantity) in ("Pass", "mG-Pass", "Avg")


def _ends(means: Sequence[float]) -> str:
    """Where all of the means lie, if that is an end of the scale."""
    if max(means) < FLOOR:
        return "at the floor"
    return "saturated" if min(means) > 1 - FLOOR else ""


def _needed(needed: Mapping[str, int], questions: int, seeds: int) -> str:
    """`to decide it four times in five takes about 63 questions and 6 training seeds, if effects are as measured`."""
    many = f"{needed['questions']:,} questions and {needed['seeds']} training seed{'s' if needed['seeds'] > 1 else ''}"
    if needed["questions"] <= questions and needed["seeds"] <= seeds:
        return f"{many} decide it four times in five, if effects are as measured; {questions:,} and {seeds} did not"
    return f"to decide it four times in five takes about {many}, if effects are as measured"


def _listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last
