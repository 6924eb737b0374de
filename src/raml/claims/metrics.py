"""The verdict and the numbers of each claim as a mapping, which `dvc metrics` can show and compare.

python -m raml.claims.metrics --scale S --config {} --claims results/S/claims.json --out results/S/tables/claims.json
"""

from raml.claims.result import ClaimResult
from raml.claims.table import load_results
from raml.config import Section
from raml.step import Step, run
from raml.storage import write_json


class Job(Section):
    """What the mapping depends on besides the claims: nothing."""


def main(step: Step[Job]) -> None:
    """Write the mapping, a claim each."""
    write_json({claim.id: numbers(claim) for claim in load_results(step.files["claims"])}, step.files["out"])


def numbers(claim: ClaimResult) -> dict[str, str | float]:
    """Verdict, measured value and ends of the interval by name, as far as there are any."""
    lower, upper = claim.interval or (None, None)
    values = {"verdict": claim.verdict, "measured": claim.measured, "lower": lower, "upper": upper}
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    run(main, Job, inputs=["claims"], outputs=["out"])
