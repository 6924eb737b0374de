"""How sure a verdict is: p-values of its conditions put together, Holm's correction, and what would decide the rest.

A condition's p is the smallest alpha at which its interval excludes its threshold, so it lies below 1 - confidence
exactly when the interval decides. What a claim's is follows from how its verdict is made of conditions.

*All must hold* (`all_of`). The claim holds if every condition does, an intersection-union test: the largest p, which
needs no correction. It is contradicted if any one is, a union-intersection test: among the conditions that lie on the
wrong side the smallest p, to be corrected for as many chances as there are conditions (Bonferroni).

*One suffices* (`any_of`). The mirror image: the smallest p among those on the claimed side, corrected, if there is one;
else, for a contradiction, the largest. With one condition both are its p.

The corrected p goes into Holm's step-down over all claims that a scale tests, where a claim without p (too few
questions) counts as 1. Two-sided p-values leave each side half of alpha, so the chance that any claim of the family is
decided for the wrong side is at most alpha; that holds whatever claims have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raml.claims.result import Side, Verdict
from raml.evaluation import power
from raml.evaluation.intervals import Interval


@dataclass(frozen=True)
class Condition:
    """One effect that is claimed to lie on a side of a threshold, and the verdict on it."""

    estimate: Interval | None
    verdict: Verdict
    side: Side
    threshold: float
    questions: int
    min_questions: int

    @property
    def p(self) -> float | None:
        """The smallest alpha at which the interval excludes the threshold; None with too few questions.

        1 where the verdict stays open for another reason than the interval: models at the floor tell nothing.
        """
        if self.estimate is None or self.estimate.replicates is None or self.questions < self.min_questions:
            return None
        if self.tells_nothing:
            return 1.0
        return self.estimate.replicates.smallest_alpha(self.threshold)

    @property
    def tells_nothing(self) -> bool:
        """Whether the verdict is open though there are enough questions and the interval excludes the threshold."""
        enough = self.questions >= self.min_questions
        clear = self.estimate is not None and self.estimate.excludes(self.threshold)
        return self.verdict == "inconclusive" and enough and clear

    @property
    def on_side(self) -> bool:
        """Whether the effect lies where the claim says, however surely."""
        if self.verdict != "inconclusive" or self.estimate is None:
            return self.verdict != "contradicted"
        return (self.estimate.estimate > self.threshold) == (self.side == "above")

    def needed(self, confidence: float) -> tuple[int, int] | None:
        """Questions and seeds that would decide it at the measured effect, as `power.needed`."""
        if self.tells_nothing or self.estimate is None or self.estimate.replicates is None:
            return None
        distance = self.estimate.estimate - self.threshold
        return power.needed(distance, self.estimate.replicates.spread, confidence, self.min_questions)


@dataclass(frozen=True)
class Evidence:
    """What a decision rests on.

    p: of the verdict by its intervals; None if too few questions leave it open.
    corrected: the same for as many chances as conditions gave.
    deciding: the conditions of which each (`every`) or any would have to be decided, if the effects stay as measured.
    """

    p: float | None
    corrected: float | None
    deciding: tuple[Condition, ...]
    every: bool

    def needed(self, confidence: float) -> dict[str, int] | None:
        """The `questions` and `seeds` that would decide the claim at the measured effects; None if none were found.

        With too few questions for an effect it is the number that the test asks for. Of several effects that all have
        to be decided it is the most of each, which is more than enough.
        """
        if any(one.estimate is None for one in self.deciding):
            return {"questions": max(one.min_questions for one in self.deciding)}
        found = [one.needed(confidence) for one in self.deciding]
        known = [one for one in found if one is not None]
        if not known or (self.every and len(known) < len(found)):
            return None
        if self.every:
            return {"questions": max(one[0] for one in known), "seeds": max(one[1] for one in known)}
        questions, seeds = min(known, key=lambda one: (one[1], one[0]))
        return {"questions": questions, "seeds": seeds}


def all_of(conditions: Sequence[Condition]) -> Evidence:
    """The evidence on a claim that holds if all of its `conditions` do, and is contradicted if any is."""
    return _evidence(conditions, [one for one in conditions if not one.on_side])


def any_of(conditions: Sequence[Condition]) -> Evidence:
    """The evidence on a claim that holds if any of its `conditions` does, and is contradicted if all are."""
    return _evidence(conditions, [one for one in conditions if one.on_side])


def _evidence(conditions: Sequence[Condition], enough_alone: Sequence[Condition]) -> Evidence:
    """That on `conditions`, of which each of `enough_alone` decides alone, and which decide together if there is none.

    Those with too few questions decide nothing alone, and keep the others from deciding together.
    """
    alone = [(p, one) for one in enough_alone if (p := one.p) is not None]
    if alone:
        p = min(p for p, _ in alone)
        corrected = min(1.0, p * len(conditions))
        return Evidence(p, corrected, tuple(one for _, one in alone), every=False)
    open_ones = tuple(one for one in conditions if one.p is None or one.verdict == "inconclusive")
    together = [p for one in conditions if (p := one.p) is not None]
    if len(together) < len(conditions):
        return Evidence(None, None, open_ones, every=True)
    return Evidence(max(together), max(together), open_ones, every=True)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values of a family, in its order; None counts as 1 and stays None."""
    order = sorted(range(len(values)), key=lambda place: _or_one(values[place]))
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * _or_one(values[place])))
        if values[place] is not None:
            adjusted[place] = largest
    return adjusted


def after_holm(verdict: Verdict, p_holm: float | None, confidence: float) -> Verdict:
    """The verdict that stands after correction."""
    if verdict in ("not_run", "inconclusive"):
        return verdict
    return verdict if p_holm is not None and p_holm < 1 - confidence else "inconclusive"


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
