"""What all tests of claims share: the decision and the rule that makes it.

A claim is about which side of a line, drawn beforehand, an effect lies on. It holds if the whole
interval lies on the claimed side, is contradicted if the whole interval lies on the other side, and is
inconclusive otherwise, or if there are too few questions.
"""

from dataclasses import dataclass
from math import inf

from raml.claims.evidence import Condition, Evidence, all_of
from raml.claims.result import Side, Verdict
from raml.evaluation.intervals import Bootstrap, Cells, Interval

ONE_SEED = "one training seed: the interval covers questions, not training noise"

WORST_FIRST: tuple[Verdict, ...] = ("contradicted", "inconclusive", "holds")


@dataclass(frozen=True)
class Decision:
    """The measured part of a `result.ClaimResult`; `estimate` is None if too few questions were measured."""

    verdict: Verdict
    reason: str
    estimate: Interval | None
    unit: str
    n: dict[str, int]
    details: dict[str, object]
    evidence: Evidence | None = None  # of a claim that was tested

    def needed(self, confidence: float) -> dict[str, int] | None:
        """The questions and seeds that would decide an inconclusive claim (`Evidence.needed`)."""
        if self.verdict != "inconclusive" or self.evidence is None:
            return None
        return self.evidence.needed(confidence)

    def full_reason(self, needed: dict[str, int] | None = None) -> str:
        """The reason, with what is `needed` and what the interval leaves out with a single training seed."""
        clauses = [self.reason]
        if needed:
            clauses.append(self._needed_in_words(needed))
        if self.estimate and self.n.get("seeds") == 1:
            clauses.append(ONE_SEED)
        return "; ".join(clauses)

    def _needed_in_words(self, needed: dict[str, int]) -> str:
        """`about 200 questions would decide it at the measured effect (80% power)`."""
        questions, seeds, measured = needed["questions"], needed.get("seeds"), self.n.get("seeds", 1)
        if seeds is None:
            return f"nothing can be said with fewer than {questions} questions"
        if seeds > measured:
            return (
                f"{measured} training seeds differ so much that no number of questions would decide it at the measured "
                f"effect: about {seeds} seeds of {questions} questions would (80% power)"
            )
        return f"about {questions} questions would decide it at the measured effect (80% power)"


def interval_or_none(values: Cells, bootstrap: Bootstrap, *labels: str, lowest: float = -inf) -> Interval | None:
    """The mean of `values` (shape [seeds, questions]) with its interval, None with fewer than two questions.

    No end lies below `lowest`, the least value that the quantity can take.
    """
    return bootstrap.mean(values, *labels).within(lowest, inf) if values.shape[1] >= 2 else None


def difference_or_none(values: Cells, bootstrap: Bootstrap, *labels: str) -> Interval | None:
    """As `interval_or_none`, of paired differences between two models."""
    return bootstrap.difference(values, *labels) if values.shape[1] >= 2 else None


def judge(
    estimate: Interval | None, claimed: Side, line: float, questions: int, min_questions: int
) -> tuple[Verdict, str]:
    """The verdict on "the effect lies `claimed` the line", and its reason in words."""
    if estimate is None or questions < min_questions:
        return "inconclusive", f"{questions} questions; the test asks for at least {min_questions}"
    if estimate.lower > line:
        return "holds" if claimed == "above" else "contradicted", f"{in_words(estimate)} lies above {line:+g}"
    if estimate.upper < line:
        return "holds" if claimed == "below" else "contradicted", f"{in_words(estimate)} lies below {line:+g}"
    return "inconclusive", f"{in_words(estimate)} spans {line:+g}"


def one_condition(
    estimate: Interval | None, verdict: Verdict, claimed: Side, line: float, questions: int, min_questions: int
) -> Evidence:
    """The evidence of a claim with a single condition."""
    return all_of([Condition(estimate, verdict, claimed, line, questions, min_questions)])


def in_words(interval: Interval) -> str:
    """`+0.120 [+0.050, +0.190]`."""
    return f"{interval.estimate:+.3f} [{interval.lower:+.3f}, {interval.upper:+.3f}]"


def as_json(interval: Interval | None) -> dict[str, float] | None:
    """An interval as a mapping."""
    if interval is None:
        return None
    return {"estimate": interval.estimate, "lower": interval.lower, "upper": interval.upper}
