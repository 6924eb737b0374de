"""Figure 13: answer NLL with and without the end-of-thinking delimiter of a second model."""

from raml.report.curves import Job
from raml.report.curves_exhibit import FILES
from raml.report.pairs_exhibit import PairFigure, build
from raml.step import Step, run

FIGURE = PairFigure(
    id="fig13",
    title="Figure 13: thinking and no-thinking curves of a second model",
    lead="As Figure 5, along the trajectories that another model writes: what does the delimiter change?",
    curves="Figure 12",
)


def main(step: Step[Job]) -> None:
    """Draw both curves of correct trajectories and write the exhibit."""
    build(FIGURE, step)


if __name__ == "__main__":
    run(main, Job, **FILES)
