"""The verdict and the numbers of each claim as a mapping.

    python -m raml.claims.dvc_metrics --scale S --config {} --claims results/S/claims.json \
        --out results/S/tables/claims.json

`claims.json` is a list, of which `dvc metrics` shows nothing.
"""

from typing import Final

from raml.claims.result import ClaimResult
from raml.claims.results import load_results
from raml.config import Section
from raml.step import Step, run
from raml.storage import write_json

NUMBERS: Final = ("verdict", "measured", "verdict_holm", "p", "p_holm")


class Job(Section):
    """What the mapping depends on besides the claims: nothing."""


def main(step: Step[Job]) -> None:
    """Write the mapping, a claim each."""
    write_json({claim.id: numbers(claim) for claim in load_results(step.files["claims"])}, step.files["out"])


def numbers(claim: ClaimResult) -> dict[str, str | float]:
    """Verdicts, measured value, ends of the interval and p-values by name, as far as there are any."""
    told = claim.model_dump()
    lower, upper = claim.interval or (None, None)
    values = {name: told.get(name) for name in NUMBERS} | {"lower": lower, "upper": upper}
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    run(main, Job, inputs=["claims"], outputs=["out"])
