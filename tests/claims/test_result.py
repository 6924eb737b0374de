from typing import Any

import pytest
from pydantic import ValidationError

from raml.claims.result import ClaimResult

CLAIM: dict[str, Any] = {
    "id": "fig3",
    "exhibit": "Fig. 3",
    "statement": "falls",
    "paper": "Section 3",
    "reported": None,
    "measured": 0.5,
    "unit": "nats",
    "interval": [0.1, 0.9],
    "n": {"questions": 3},
    "verdict": "holds",
    "reason": "the interval lies above 0",
    "details": {},
    "artifacts": [],
    "command": "make reproduce",
}


def test_a_claim_is_valid() -> None:
    assert ClaimResult.model_validate(CLAIM).interval == (0.1, 0.9)


@pytest.mark.parametrize("changes", [{"verdict": "true"}, {"interval": [1]}, {"colour": 1}, {"n": {"questions": "x"}}])
def test_a_broken_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClaimResult.model_validate({**CLAIM, **changes})
