"""What all tests of claims share: the decision and the rule that makes it.

A claim is about which side of a line, drawn beforehand, an effect lies on. It holds if the whole
interval lies on the claimed side, is contradicted if the whole interval lies on the other side, and is
inconclusive otherwise, or if there are too few questions.
"""

from dataclasses import asdict, dataclass
from math import inf

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

    def full_reason(self) -> str:
        """The reason, with what the interval leaves out where a single training seed was measured."""
        return f"{self.reason}; {ONE_SEED}" if self.estimate and self.n.get("seeds") == 1 else self.reason


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


def in_words(interval: Interval) -> str:
    """`+0.120 [+0.050, +0.190]`."""
    return f"{interval.estimate:+.3f} [{interval.lower:+.3f}, {interval.upper:+.3f}]"


def as_json(interval: Interval | None) -> dict[str, float] | None:
    """An interval as a mapping."""
    return None if interval is None else asdict(interval)
