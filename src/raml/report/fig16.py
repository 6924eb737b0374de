"""Figure 16: the answer NLL along incorrect trajectories."""

from raml.report.curves import Job
from raml.report.curves_exhibit import FILES, CurveFigure, build
from raml.step import Step, run

FIGURE = CurveFigure(
    id="fig16",
    title="Figure 16: answer NLL along incorrect trajectories",
    lead="The counterpart of Figure 3: along a trajectory to a wrong answer, the gold answer should not become likely.",
    correct=False,
)


def main(step: Step[Job]) -> None:
    """Draw the curves of incorrect trajectories and write the exhibit."""
    build(FIGURE, step)


if __name__ == "__main__":
    run(main, Job, **FILES)
