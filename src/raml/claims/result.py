"""What is said of a claim: the contract between the steps that decide and those that show."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["holds", "contradicted", "inconclusive", "not_run"]


class ClaimResult(BaseModel):
    """What `results/<scale>/claims.json` says of one claim."""

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
