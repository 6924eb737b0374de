"""What of a scale its quantities depend on."""

from pydantic import Field

from raml.config import SFT, Evaluation, Scale, Section
from raml.runs import Series, series


class Job(Section):
    """The configuration of the quantities."""

    evaluation: Evaluation
    series: dict[str, Series] = Field(description="models of the sweeps by the value that they vary")
    sft: dict[str, SFT] = Field(description="by style of the trajectories")
    answers: int = Field(gt=0, description="answers to a question in fig11: the k of its Avg@k and Pass@k")


def job_of(scale: Scale) -> Job:
    """The part of a scale that its quantities depend on."""
    answers = scale.efficiency.n
    return Job(evaluation=scale.evaluation, series=series(scale), sft=dict(scale.sft.items()), answers=answers)
