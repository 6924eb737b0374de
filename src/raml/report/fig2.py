"""Figure 2: the answer-NLL landscape around the weights, and a trajectory's curve projected onto it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from raml.claims.by_benchmark import benchmark_effects
from raml.claims.decision import interval_or_none
from raml.claims.landscape_descent import descents
from raml.config import Evaluation, Probing, Section
from raml.config import Landscape as Settings
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap, cells
from raml.probing.projection import Projection, project
from raml.report.curves import Array, Curve, read_points, to_curves
from raml.report.curves_exhibit import model_name, question_of
from raml.report.curves_figure import shorten
from raml.report.exhibit import (
    ONE_QUESTION,
    Cell,
    Column,
    Exhibit,
    Row,
    Table,
    interval_cell,
    read_sources,
    write_exhibit,
)
from raml.report.fig2_figure import Panel, write_landscapes
from raml.report.numbers import count, number, percent, seed_spread
from raml.schemas import LandscapePoint, Question
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["questions"],
    "many": ["landscape", "curves"],
    "outputs": ["figure", "exhibit"],
}
PANELS: Final = 4
TITLE: Final = "Figure 2: the answer-NLL landscape and a trajectory on it"
SELECTION_RULE: Final = (
    f"Shown are, of the first training seed, the first {PANELS} questions with a landscape (the benchmarks take turns, "
    "by id, questions with a correct trajectory only), and of each its first correct trajectory by sample number. "
    "Neither the landscape nor the curve plays a part in the choice."
)

Questions = Mapping[str, Mapping[str, Any]]


class Job(Section):
    """What the figure needs to know of the configuration."""

    evaluation: Evaluation
    probing: Probing
    landscape: Settings


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        DataError: an input cannot be read, or was made at another scale.
    """
    job, files = step.config, step.files
    sources = read_sources([*step.lists["landscape"], *step.lists["curves"], files["questions"]], step.scale)
    questions: Questions = {row["id"]: row for row in read_table(files["questions"], Question).iter_rows(named=True)}
    model = job.probing.models[0]
    landscape = pl.concat([read_table(path, LandscapePoint) for path in step.lists["landscape"]])
    points = read_points(step.lists["curves"], model)
    followed = descents(points, landscape)
    bootstrap = Bootstrap(step.seed, job.evaluation.bootstrap_resamples, job.evaluation.confidence)
    shown = choose_shown(landscape, to_curves(points), questions)
    description = _describe(shown)
    write_landscapes([one.panel for one in shown], files["figure"], name="fig2", title=TITLE, description=description)
    exhibit = Exhibit(
        id="fig2",
        title=TITLE,
        lead="If a trajectory is a descent, it should lead from high ground of the loss landscape into a basin.",
        scale=step.scale,
        description=description,
        caption=_caption(),
        done=_what_was_done(job, model, landscape["seed"].n_unique()),
        deviations=_deviations(job.landscape, model),
        n=[
            ("questions", landscape["question_id"].n_unique()),
            ("training seeds", landscape["seed"].n_unique()),
            ("grid points", landscape.height),
            ("correct trajectories", followed.filter("correct").height),
            ("incorrect trajectories", followed.filter(~pl.col("correct")).height),
        ],
        tables=[
            *_descent_table(followed, bootstrap),
            *_benchmarks_table(followed.filter("correct"), bootstrap),
            *_questions_table(shown, followed, questions),
        ],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


@dataclass(frozen=True)
class Shown:
    """A panel and the curve that is drawn in it; `points` is that curve on the panel's landscape."""

    panel: Panel
    curve: Curve
    points: Projection


def choose_shown(landscape: pl.DataFrame, curves: Sequence[Curve], questions: Questions) -> list[Shown]:
    """What is shown, by `SELECTION_RULE`.

    Args:
        landscape: rows of `schemas.LandscapePoint`, a question's together, questions in their order.
        curves: of the landscape's model, by seed, question and sample.
        questions: rows of `schemas.Question` by id.

    Raises:
        DataError: a landscape that is no full grid, that nobody's correct curve belongs to, or of an unknown question.
    """
    own = landscape.filter(pl.col("seed") == pl.col("seed").min())
    shown = []
    for question in own["question_id"].unique(maintain_order=True).head(PANELS):
        x, y, nll = to_grid(own.filter(question_id=question))
        correct = (one for one in curves if one.correct and (one.seed, one.question_id) == (own["seed"][0], question))
        curve = next(correct, None)
        if curve is None:
            raise DataError(f"no correct curve belongs to the landscape of {question}; probe again")
        answer = question_of(questions, question)["answer"]
        points = project(x, y, nll, curve.position / max(curve.length, 1), curve.nll)
        panel = Panel(shorten_line(question, 26), f"gold answer: {shorten_line(answer, 22)}", x, y, nll, points)
        shown.append(Shown(panel, curve, points))
    return shown


def to_grid(rows: pl.DataFrame) -> tuple[Array, Array, Array]:
    """x [size], y [size] and nll [size of y, size of x] of one question's rows of `schemas.LandscapePoint`.

    Raises:
        DataError: they are no full square grid.
    """
    size = round(rows.height**0.5)
    ordered = rows.sort("row", "column")
    places = [(row, column) for row in range(size) for column in range(size)]
    if list(ordered.select("row", "column").iter_rows()) != places:
        raise DataError(f"the landscape of {rows['question_id'][0]} is no full square grid; measure it again")
    columns = (ordered[name].to_numpy().reshape(size, size) for name in ("x", "y", "nll"))
    x, y, nll = columns
    return x[0], y[:, 0], nll


def shorten_line(text: str, length: int) -> str:
    """`text` in one line of at most `length` characters."""
    return shorten(" ".join(text.split()), length)


def _describe(shown: Sequence[Shown]) -> str:
    if not shown:
        return "Empty: no probed question of this scale has a correct trajectory, so there is no landscape."
    sentences = [
        f"{one.panel.title}: {number(one.curve.nll[0], 2)} at the weights, {number(one.panel.nll.min(), 2)} to "
        f"{number(one.panel.nll.max(), 2)} in all; the trajectory ends at {number(one.curve.nll[-1], 2)}, and "
        f"{one.points.outside} of its {count(len(one.curve.nll), 'point')} lie at a level that is not reached there."
        for one in shown
    ]
    return (
        f"{count(len(shown), 'landscape')} of answer NLL in nats per token over two random directions in weight space, "
        "each as a surface and below it as contours, with a trajectory drawn on it from left to right. "
        + " ".join(sentences)
    )


def _caption() -> str:
    return (
        "Answer NLL (mean nats per gold-answer token) of the bare question under weights moved along two random "
        "directions, at 1 by as much as they are long. The line is a correct trajectory: time runs from left to right, "
        "and at each moment the line is where the landscape has the curve's NLL, as near to the moment before as can "
        f"be; open circles mark levels that are not reached there. {SELECTION_RULE}"
    )


def _what_was_done(job: Job, model: str, seeds: int) -> list[str]:
    settings, evaluation = job.landscape, job.evaluation
    scaled = {
        "filter": "filter by filter (Li et al. 2018; a vector such as a bias or a norm's gain counts as one filter)",
        "tensor": "tensor by tensor, as in the released code",
    }
    return [
        f"Two random directions over all weights of {model_name(model)} but embeddings and head were scaled to the "
        f"length of the weights, {scaled[settings.normalisation]}. Each training seed draws its own two, which all of "
        "its questions share.",
        f"On a grid of {settings.size} x {settings.size} points within \N{PLUS-MINUS SIGN}{settings.radius:g} the "
        "gold answer's mean negative log-likelihood was taken at weights + x d1 + y d2, for question and instruction "
        "alone (Algorithm 4). The weights themselves are the centre, which is where every curve starts.",
        f"Up to {settings.questions} questions were taken, from the benchmarks in turn "
        f"({', '.join(job.probing.benchmarks)}), by id, among those with a correct trajectory.",
        "High and low ground is measured by the share of the grid that lies lower. Intervals "
        f"({evaluation.confidence:.0%}) are from {evaluation.bootstrap_resamples:,} bootstrap resamples of questions"
        f"{seed_spread(seeds)}.",
    ]


def _deviations(settings: Settings, model: str) -> list[str]:
    normalised = (
        ["The released code scales the directions tensor by tensor; here it is done filter by filter, as Li et al. do."]
        if settings.normalisation == "filter"
        else []
    )
    return [
        f"The paper shows QwQ-32B on AIME24 questions; here {model_name(model)} answers questions of this scale's own "
        "benchmarks.",
        *normalised,
        "The released code stores the grid transposed, and lets the weights drift by adding and subtracting in bf16; "
        "here the weights are never written to.",
        "How a trajectory is laid onto the landscape is not in the released code. A trajectory changes no weights: "
        "only the height of the line is measured, its sideways course is a way of drawing it.",
        "Shares of the grid, and incorrect trajectories, are an addition; the paper shows pictures only.",
    ]


def _descent_table(followed: pl.DataFrame, bootstrap: Bootstrap) -> list[Table]:
    columns = {
        "lower_than_start": "lower than the start",
        "lower_than_end": "lower than the end",
        "descent": "descent",
        "reached": "positions within the landscape's levels",
    }
    rows = []
    for name, kind in (("correct", True), ("incorrect", False)):
        own = followed.filter(pl.col("correct") == kind)
        if own.is_empty():
            continue
        intervals = [interval_or_none(cells(own, column), bootstrap, "fig2", name, column) for column in columns]
        heading = f"{name} ({count(own.height, 'trajectory')} of {count(own['question_id'].n_unique(), 'question')})"
        rows.append(Row(heading=heading, cells=[interval_cell(interval, ONE_QUESTION) for interval in intervals]))
    if not rows:
        return []
    return [
        Table(
            caption=f"Shares of the landscape's grid, with {bootstrap.confidence:.0%} intervals",
            corner="trajectories",
            columns=[Column(heading=heading) for heading in columns.values()],
            rows=rows,
            note=(
                "Means over questions, as shares of 1. The descent is the first column less the second. Start and "
                "centre are one: a small first column says that the weights lie low among their random changes."
            ),
        )
    ]


def _benchmarks_table(correct: pl.DataFrame, bootstrap: Bootstrap) -> list[Table]:
    rows = [
        Row(
            heading=one.benchmark,
            cells=[
                Cell(text=f"{one.questions:,}"),
                Cell(text=f"{one.trajectories:,}"),
                interval_cell(one.effect, ONE_QUESTION),
            ],
        )
        for one in benchmark_effects(correct, "descent", bootstrap, "landscape", "descent")
    ]
    if not rows:
        return []
    return [
        Table(
            caption=f"Descent on each benchmark, correct trajectories, with {bootstrap.confidence:.0%} intervals",
            corner="benchmark",
            columns=[
                Column(heading=heading) for heading in ("questions", "trajectories", "descent (share of the grid)")
            ],
            rows=rows,
        )
    ]


def _questions_table(shown: Sequence[Shown], followed: pl.DataFrame, questions: Questions) -> list[Table]:
    """The questions shown, with the drawn trajectory's row of `descents`, which are `followed`."""
    rows = []
    for one in shown:
        curve, nll = one.curve, one.panel.nll
        own = followed.filter(seed=curve.seed, trajectory_id=curve.trajectory_id).row(0, named=True)
        texts = [
            question_of(questions, curve.question_id)["answer"],
            *(number(value) for value in (curve.nll[0], nll.min(), nll.max(), curve.nll[-1])),
            *(percent(own[name]) for name in ("lower_than_start", "lower_than_end")),
            f"{one.points.outside} of {len(curve.nll)}",
        ]
        rows.append(Row(heading=curve.question_id, cells=[Cell(text=text) for text in texts]))
    if not rows:
        return []
    headings = [
        ("", "gold answer"),
        ("NLL, nats per token", "weights"),
        ("NLL, nats per token", "lowest"),
        ("NLL, nats per token", "highest"),
        ("NLL, nats per token", "end of the trajectory"),
        ("% of the grid lower than", "start"),
        ("% of the grid lower than", "end"),
        ("", "points outside"),
    ]
    return [
        Table(
            caption="The questions shown",
            corner="question",
            columns=[Column(group=group, heading=heading) for group, heading in headings],
            rows=rows,
            note="Points outside are those of the drawn trajectory whose level is not reached at their time.",
        )
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
