"""Figure 12: the answer NLL along correct trajectories of a second model."""

from raml.report.curves import Job
from raml.report.curves_exhibit import FILES, CurveFigure, build
from raml.step import Step, run

FIGURE = CurveFigure(
    id="fig12",
    title="Figure 12: answer NLL along correct trajectories of a second model",
    lead="As Figure 3, along the trajectories that another model writes: is the fall one model's alone?",
    correct=True,
)


def main(step: Step[Job]) -> None:
    """Draw the curves of correct trajectories and write the exhibit."""
    build(FIGURE, step)


if __name__ == "__main__":
    run(main, Job, **FILES)
