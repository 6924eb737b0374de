"""Figure 5: answer NLL with and without the end-of-thinking delimiter."""

from raml.report.curves import Job
from raml.report.curves_exhibit import FILES
from raml.report.pairs_exhibit import PairFigure, build
from raml.step import Step, run

FIGURE = PairFigure(
    id="fig5",
    title="Figure 5: thinking and no-thinking curves",
    lead="Told that its thinking is over, does a model find the answer sooner, and settle in a worse place?",
    curves="Figure 3",
)


def main(step: Step[Job]) -> None:
    """Draw both curves of correct trajectories and write the exhibit."""
    build(FIGURE, step)


if __name__ == "__main__":
    run(main, Job, **FILES)
