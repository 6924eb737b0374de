"""Figure 4: reasoning models that others have trained, on- and off-policy, against the size of their training sets.

    python -m raml.report.fig4 --scale S --config '<evaluation, community>' \
        --evaluations results/S/evaluations/community.parquet --figure F.svg --exhibit F.json
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import Field

from raml.config import CommunityModel, Evaluation, Section
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap
from raml.evaluation.metrics import avg_at_n
from raml.report.exhibit import Cell, Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.fig4_figure import POLICIES, draw_community
from raml.report.numbers import percent
from raml.report.scores import metric_names, read_evaluations
from raml.report.svg import drawing, write_svg
from raml.report.sweeps import POOLED, Scores, cell, measure, places
from raml.step import Step, run

FILES: Final[Mapping[str, list[str]]] = {"inputs": ["evaluations"], "outputs": ["figure", "exhibit"]}
TITLE: Final = "Figure 4: on- and off-policy models against training-set size"

Community = Mapping[str, CommunityModel]


class Job(Section):
    """What the figure needs to know of the configuration."""

    evaluation: Evaluation
    community: dict[str, CommunityModel] = Field(min_length=1)


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        DataError: the evaluations cannot be read, were made at another scale, or are of other models.
    """
    files, evaluation = step.files, step.config.evaluation
    community = dict(sorted(step.config.community.items(), key=lambda item: (item[1].questions, item[0])))
    sources = read_sources([files["evaluations"]], step.scale)
    evaluations, metrics = read_scores(files["evaluations"], evaluation, community)
    shown = places(evaluations)
    bootstrap = Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence)
    scores = measure(evaluations, list(community), metrics, bootstrap)
    description = describe(community, scores, metrics, shown[-1])
    with drawing():
        figure = draw_community(community, scores, shown, metrics, evaluation.confidence)
        write_svg(figure, files["figure"], name="fig4", title=TITLE, description=description)
    exhibit = Exhibit(
        id="fig4",
        title=TITLE,
        lead="Of models that others have published: does it matter who wrote the trajectories they learned from?",
        scale=step.scale,
        description=description,
        caption=(
            f"{' and '.join(metrics)} of published models against the number of questions that they were trained on, "
            f"on a logarithmic axis, with {evaluation.confidence:.0%} intervals. A number at a mark names the model."
        ),
        done=[
            "Each model was asked the questions that the models trained here are asked, with the same instruction, in "
            f"its own chat template, {evaluation.n} samples a question.",
            f"Intervals are from {evaluation.bootstrap_resamples:,} bootstrap resamples of questions; each model was "
            f"trained once, so they do not cover training noise. {POOLED.capitalize()}: all questions, each counting "
            "once.",
        ],
        deviations=[
            f"The paper's caption says Pass@32 where its axis says Avg@32; here it is {metrics[0]}.",
            "The paper has no intervals.",
            "How each model was trained and on how many questions is what its authors say. The models differ in more "
            "than that, in their questions and their compute above all.",
        ],
        n=[
            ("models", len(community)),
            ("benchmarks", evaluations["benchmark"].n_unique()),
            ("questions", evaluations["question_id"].n_unique()),
            ("samples a question", evaluation.n),
        ],
        tables=[scores_table(community, scores, metrics, shown, evaluation.confidence)],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def read_scores(path: Path, evaluation: Evaluation, community: Community) -> tuple[pl.DataFrame, list[str]]:
    """Rows of `schemas.Evaluation` with each question's Avg@n and mG-Pass@n, and the names of these two columns.

    Raises:
        DataError: unreadable, fewer than n samples of a question, or not of the models of `community`.
    """
    table = read_evaluations(path, evaluation.model_copy(update={"k": evaluation.n}))
    if set(table["model"]) != set(community):
        raise DataError(
            f"{path} holds {', '.join(sorted(set(table['model'])))}, but community names {', '.join(sorted(community))}"
        )
    average, stable = f"Avg@{evaluation.n}", metric_names(evaluation.model_copy(update={"k": evaluation.n}))[1]
    values = avg_at_n(table["n"].to_numpy(), table["c"].to_numpy())
    return table.with_columns(pl.Series(average, values)), [average, stable]


def scores_table(
    community: Community, scores: Scores, metrics: Sequence[str], shown: Sequence[str], confidence: float
) -> Table:
    """A row for each model, those of one kind of training together."""
    numbers = {model: number for number, model in enumerate(community, 1)}
    return Table(
        caption=f"Published models, in per cent, with {confidence:.0%} intervals",
        corner="model",
        columns=[
            Column(heading="questions", group="training"),
            *(Column(heading=metric, group=place) for place in shown for metric in metrics),
        ],
        rows=[
            Row(
                heading=f"{numbers[model]}  {model}",
                cells=[
                    Cell(text=f"{one.questions:,}"),
                    *(cell(scores.get((model, place, metric))) for place in shown for metric in metrics),
                ],
                group=style.label,
            )
            for policy, style in POLICIES.items()
            for model, one in community.items()
            if one.training == policy
        ],
    )


def describe(community: Community, scores: Scores, metrics: Sequence[str], place: str) -> str:
    """The figure in words, with the scores of `place`."""
    said = "; ".join(
        f"{model} ({POLICIES[one.training].label.lower()}, {one.questions:,} questions) "
        + " and ".join(percent(score.mean) if (score := scores.get((model, place, m))) else "none" for m in metrics)
        for model, one in community.items()
    )
    return (
        f"A row of panels for each benchmark, a column each for {' and '.join(metrics)}: scores in per cent against "
        f"the number of training questions, marks and colours by kind of training. {place}: {said}."
    )


if __name__ == "__main__":
    run(main, Job, **FILES)
