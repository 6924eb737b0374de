"""Figure 15: answer NLL with and without the end-of-thinking delimiter of a third model."""

from raml.report.curves import Job
from raml.report.curves_exhibit import FILES
from raml.report.pairs_exhibit import PairFigure, build
from raml.step import Step, run

FIGURE = PairFigure(
    id="fig15",
    title="Figure 15: thinking and no-thinking curves of a third model",
    lead="As Figure 5, along the trajectories that a third model writes: what does the delimiter change?",
    curves="Figure 14",
)


def main(step: Step[Job]) -> None:
    """Draw both curves of correct trajectories and write the exhibit."""
    build(FIGURE, step)


if __name__ == "__main__":
    run(main, Job, **FILES)
