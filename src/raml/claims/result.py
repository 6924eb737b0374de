"""What is said of a claim: the contract between the steps that decide and those that show."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["holds", "contradicted", "inconclusive", "not_run"]
Side = Literal["above", "below"]


class ClaimResult(BaseModel):
    """What `results/<scale>/claims.json` says of one claim.

    What follows `command` is None in files of older versions, and where it does not apply. `p` is the smallest alpha
    at which the interval that decides excludes `line`, so that it lies below 1 - confidence exactly when `verdict` is
    holds or contradicted; how several conditions are put together is in `raml.claims.evidence`. `p_holm` is corrected
    for several conditions and, after Holm, for the family of the scale's tested claims; `verdict_holm` is the verdict
    that it leaves. `needed` counts the questions and seeds that would decide an inconclusive claim at the measured
    effect with 80% power. `against_reported` has a mapping for each number that the paper reports: its `key`, the
    `reported` and the `measured` number, their `difference` (measured less reported) with its `interval`, the
    `tolerance`, all in the reported number's unit, and whether the difference itself is `within` the tolerance.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    exhibit: str
    statement: str
    paper: str  # where in the paper
    reported: dict[str, object] | None
    measured: float | None
    unit: str | None
    interval: tuple[float, float] | None
    n: dict[str, int] | None
    verdict: Verdict
    reason: str
    details: dict[str, object]
    artifacts: list[str]
    command: str
    line: float | None = None  # of the condition shown as `measured`, in its unit
    claimed: Side | None = None  # of the line
    p: float | None = None
    p_holm: float | None = None
    verdict_holm: Verdict | None = None
    needed: dict[str, int] | None = None
    needs: str | None = None  # what deciding takes
    decidable_at: list[str] | None = None  # scales
    against_reported: list[dict[str, object]] | None = None
