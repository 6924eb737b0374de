"""Figure 3: the answer NLL falls along correct trajectories."""

from raml.report.curves import Job
from raml.report.curves_exhibit import FILES, CurveFigure, build
from raml.step import Step, run

FIGURE = CurveFigure(
    id="fig3",
    title="Figure 3: answer NLL along correct trajectories",
    lead="If reading a trajectory acts like gradient steps on the question, the gold answer grows likelier on the way.",
    correct=True,
)


def main(step: Step[Job]) -> None:
    """Draw the curves of correct trajectories and write the exhibit."""
    build(FIGURE, step)


if __name__ == "__main__":
    run(main, Job, **FILES)
