"""What is said of a claim: the contract between the steps that decide and those that show."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["holds", "contradicted", "inconclusive", "not_run"]
Side = Literal["above", "below"]


class DecidingEffect(BaseModel):
    """An effect that decides a claim: measured, against its threshold, with the verdict that it alone would have."""

    model_config = ConfigDict(extra="forbid")

    name: str  # in `tables/effects.parquet`
    label: str
    quantity: str
    model: str
    baseline: str | None
    over: str  # benchmarks
    unit: str
    estimate: float | None  # none where all that was measured has no weight
    interval: tuple[float, float] | None  # none with fewer than two questions
    threshold: float
    side: Side
    questions: int
    seeds: int
    verdict: Verdict


class ClaimResult(BaseModel):
    """What `results/<scale>/claims.json` says of one claim.

    `measured` and `interval` hold every deciding effect by its name. `p` is the smallest alpha at which the verdict
    stands, so that it lies below 1 - confidence exactly when `verdict` is holds or contradicted; how several effects
    are put together is in `raml.claims.evidence`. `p_holm` is corrected for several effects and, after Holm, for the
    family of the scale's tested claims; `verdict_holm` is the verdict that it leaves. `needed` counts the questions and
    seeds that would decide an inconclusive claim at the measured effects with 80% power. `against_reported` has a
    mapping for each number that the paper reports: its `key`, the `reported` and the `measured` number, their
    `difference` (measured less reported) with its `interval`, the `tolerance`, all in the reported number's unit, and
    whether the difference itself is `within` the tolerance.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    exhibit: str
    statement: str
    paper: str  # where in the paper
    quantity: str  # what decides it, in words
    reported: dict[str, object] | None
    verdict: Verdict
    verdict_holm: Verdict | None = None
    reason: str
    limits: str = ""  # a second sentence, on what limits the verdict
    by_construction: bool = False
    effects: list[DecidingEffect] = []
    measured: dict[str, float] | None = None
    interval: dict[str, tuple[float, float]] | None = None
    n: dict[str, int] | None = None
    combine: Literal["all", "any"] | None = None
    p: float | None = None
    p_holm: float | None = None
    needed: dict[str, int] | None = None
    needs: str = ""  # what deciding takes
    decidable_at: list[str] = []  # scales
    against_reported: list[dict[str, object]] | None = None
    artifacts: list[str] = Field(default=[], description="tables and figures that show it")
    command: str
