"""Figure 11: accuracy against tokens, with whole, truncated, summarised and no thinking.

    python -m raml.report.fig11 --scale S --config '<evaluation, efficiency>' \
        --answers results/S/evaluations/efficiency/seed*.parquet --reported config/reported.yaml \
        --figure F.svg --exhibit F.json
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from raml.claims.decision import difference_or_none
from raml.claims.method_lead import leaked_shares
from raml.config import Efficiency, Evaluation, Section
from raml.errors import DataError
from raml.evaluation.efficiency import BUDGET, budgets_of, mean_tokens, metric_names, way_scores
from raml.evaluation.intervals import Bootstrap, paired_cells
from raml.report.exhibit import NONE, Cell, Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.fig11_figure import LABELS, Point, draw_efficiency
from raml.report.numbers import number, percent
from raml.report.scores import NOT_RUN, bounded, how_intervals_are_made, lead_cell, pooled_score, read_reported
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.report.sweeps import POOLED, Score, at, cell, listed, places
from raml.schemas import ForcedAnswer
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["reported"],
    "many": ["answers"],
    "outputs": ["figure", "exhibit"],
}
TITLE: Final = "Figure 11: reasoning efficiency"
REPORTED_METRICS: Final[Mapping[str, str]] = {"Avg16": "Avg@16", "P16": "Pass@16"}
REPORTED_METHODS: Final[Mapping[str, str]] = {
    "thinking": "whole thinking",
    "summarised": "summary",
    "no_thinking": "no thinking",
}
LEADS: Final = (("summary", "no_thinking"), ("summary", "control"), ("thinking", "summary"))

Points = dict[tuple[str, str, str], Point]


class Job(Section):
    """What the figure needs to know of the configuration."""

    evaluation: Evaluation
    efficiency: Efficiency


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        DataError: an input cannot be read, was made at another scale, or has no answers of the first model.
    """
    job, files, paths = step.config, step.files, step.lists["answers"]
    sources, model = read_sources(paths, step.scale), job.efficiency.models[0]
    answers = pl.concat(read_table(path, ForcedAnswer) for path in paths).filter(pl.col("model") == model)
    if answers.is_empty():
        raise DataError(f"{paths[0]} has no answers of {model!r}, the first of efficiency.models; run its step again")
    bootstrap = Bootstrap(step.seed, job.evaluation.bootstrap_resamples, job.evaluation.confidence)
    scores, metrics = way_scores(answers, job.efficiency.n), metric_names(job.efficiency.n)
    shown, points = places(scores), measured_points(scores, metrics, bootstrap)
    description = describe(points, shown[-1], metrics)
    with drawing():
        figure = draw_efficiency(points, shown, metrics, bootstrap.confidence)
        write_svg(figure, files["figure"], name="fig11", title=TITLE, description=description)
    reported = read_reported(files["reported"], "figure11")
    exhibit = Exhibit(
        id="fig11",
        title=TITLE,
        lead="How much of its accuracy does a model keep when its thinking is cut short, summarised or left out?",
        scale=step.scale,
        description=description,
        caption=(
            f"{metrics[0]} and {metrics[1]} of {MODEL_LABELS.get(model, model)} against the mean tokens of an "
            f"answer (thinking or summary, end of thinking, marker and answer), with {bootstrap.confidence:.0%} "
            "intervals. Last steps are as many tokens as the summary. Budgets stand from the smallest to the largest."
        ),
        done=what_was_done(job, answers, shown),
        deviations=deviations(job.efficiency),
        n=[
            ("trajectories", answers.filter(method="thinking").height),
            ("answers", answers.filter(~pl.col("leaked")).height),
            ("benchmarks", scores["benchmark"].n_unique()),
            ("questions", scores["question_id"].n_unique()),
            ("training seeds", scores["seed"].n_unique()),
        ],
        tables=[
            scores_table(points, answers, scores, metrics, bootstrap.confidence),
            leads_table(scores, metrics, bootstrap),
            reported_table(reported),
        ],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def measured_points(scores: pl.DataFrame, metrics: Sequence[str], bootstrap: Bootstrap) -> Points:
    """The points of all ways in `scores` (of `way_scores`), at each benchmark and pooled."""
    found: Points = {}
    for place in places(scores):
        of_place = at(scores, place)
        for way in ordered(scores):
            rows = of_place.filter(pl.col("way") == way)
            tokens = mean_tokens(rows, way)
            for metric in metrics:
                known = rows.filter(pl.col(metric).is_not_null())
                if tokens is None or known.is_empty():
                    continue
                by_seed = known.group_by("seed").agg(pl.col(metric).mean()).sort("seed")
                of_way = known.with_columns(model=pl.lit(way))
                interval = pooled_score(of_way, way, metric, bootstrap, "fig11", place)
                found[way, place, metric] = Point(tokens, Score(interval, dict(by_seed.iter_rows())))
    return found


def ordered(scores: pl.DataFrame) -> list[str]:
    """The ways of `scores` in the order of the legend, budgets rising."""
    present = set(scores["way"])
    return [
        way for method in LABELS for way in (budgets_of(scores) if method == "budget" else [method]) if way in present
    ]


def scores_table(
    points: Points, answers: pl.DataFrame, scores: pl.DataFrame, metrics: Sequence[str], confidence: float
) -> Table:
    """A row for each place and way: tokens, both metrics, and what leaked."""
    rows = []
    for place in places(scores):
        leaks = leaked_shares(at(answers, place))
        for way in ordered(scores):
            found = [points.get((way, place, metric)) for metric in metrics]
            tokens = mean_tokens(at(scores, place), way)
            kept = at(scores, place).filter(pl.col("way") == way)["thinking_tokens"]
            rows.append(
                Row(
                    heading=label(way),
                    cells=[
                        Cell(text=number(float(kept.to_numpy().mean()))) if len(kept) else NONE,
                        Cell(text=number(tokens)) if tokens is not None else NONE,
                        *(cell(point.score) if point else NOT_RUN for point in found),
                        Cell(text=percent(leaks.get(way, 0.0))) if way in ("summary", "control") else NONE,
                    ],
                    group=place,
                )
            )
    return Table(
        caption=f"Accuracy in per cent against tokens, with {confidence:.0%} intervals",
        corner="benchmark, what the answer follows",
        columns=[
            *(Column(heading=heading, group="tokens") for heading in ("thinking", "all")),
            *(Column(heading=metric) for metric in metrics),
            Column(heading="left out (%)"),
        ],
        rows=rows,
        note="Left out are those in which the gold answer occurs.",
    )


def leads_table(scores: pl.DataFrame, metrics: Sequence[str], bootstrap: Bootstrap) -> Table:
    """A row for each place: paired differences between ways, as the claims have them where benchmarks are pooled."""
    rows = []
    for place in places(scores):
        of_place, cells_of_row = at(scores, place), []
        for way, other in LEADS:
            for metric in metrics:
                known = of_place.filter(pl.col(metric).is_not_null())
                own, baseline = (known.filter(pl.col("way") == name) for name in (way, other))
                labels = ["method_lead", way, other, *([] if place == POOLED else ["difference", place]), metric]
                difference = difference_or_none(paired_cells(own, baseline, metric), bootstrap, *labels)
                cells_of_row.append(lead_cell(bounded(difference), missing=NONE))
        rows.append(Row(heading=place, cells=cells_of_row))
    return Table(
        caption=f"Leads in percentage points, with {bootstrap.confidence:.0%} intervals",
        corner="benchmark",
        columns=[
            Column(heading=metric, group=f"{label(way)} less {label(other)}")
            for way, other in LEADS
            for metric in metrics
        ],
        rows=rows,
        note="Paired by seed and question. Where search ends with the way itself, a summary by the program is the last "
        "steps.",
    )


def reported_table(reported: Mapping[str, Mapping[str, Any]]) -> Table:
    """The paper's numbers, a row for each benchmark and method."""
    return Table(
        caption="Reported by the paper, Qwen3-32B, in per cent",
        corner="benchmark, what the answer follows",
        columns=[Column(heading=metric, reported=True) for metric in REPORTED_METRICS.values()],
        rows=[
            Row(
                heading=name,
                cells=[Cell(text=f"{found[key][method]:.2f}") for key in REPORTED_METRICS],
                group=benchmark,
            )
            for benchmark, found in reported.items()
            for method, name in REPORTED_METHODS.items()
        ],
        note="Its numbers of tokens are plotted only.",
    )


def label(way: str) -> str:
    """A way to answer for people: `no thinking`, `32 tokens of thinking`."""
    return f"{way.removeprefix(BUDGET)} tokens of thinking" if way.startswith(BUDGET) else LABELS[way]


def describe(points: Points, place: str, metrics: Sequence[str]) -> str:
    """The figure in words: every way at `place`."""
    parts = []
    for metric in metrics:
        said = [
            f"{label(way)} {percent(point.score.mean)} with {number(point.tokens)} tokens"
            for (way, at_place, of), point in points.items()
            if (at_place, of) == (place, metric)
        ]
        parts.append(f"{metric} ({place}): {', '.join(said)}.")
    return (
        "A row of panels for each metric, a panel for each benchmark: scores in per cent against tokens of an answer "
        f"on a logarithmic axis, budgets joined by a line. {' '.join(parts)}"
    )


def what_was_done(job: Job, answers: pl.DataFrame, shown: Sequence[str]) -> list[str]:
    """Paragraphs for the page."""
    settings, leaks = job.efficiency, leaked_shares(answers)
    by = (
        "a program that drops the search (wrong attempts, dead ends, re-checks) and keeps what came out of it, from "
        "the model's own text"
        if settings.summariser == "program"
        else settings.summariser.model
    )
    return [
        f"Of each question of {listed(shown)} {settings.n} trajectories that the model had sampled were taken, right "
        "or wrong, whole or cut off; no thinking was sampled again.",
        f"Budgets: after {', '.join(map(str, settings.budgets))} tokens of thinking the end of the thinking and the "
        "answer marker are forced and the answer is decoded. A trajectory that comes to its answer within the budget "
        "keeps it. No thinking: the end of the thinking is forced at once.",
        f"Summaries: {settings.summaries} of each trajectory, by {by}. Parts of the thinking in which the gold answer "
        "stands are removed first, and summaries in which it occurs are left out "
        f"({percent(leaks.get('summary', 0.0))}% of them). The last steps are as many tokens from the end of the same "
        f"thinking ({percent(leaks.get('control', 0.0))}% left out).",
        how_intervals_are_made(job.evaluation, "score", "lead", answers["seed"].n_unique()),
    ]


def deviations(settings: Efficiency) -> list[str]:
    """Where this differs from the paper."""
    return [
        "The paper asks Qwen3-32B on AIME24, MATH-500 level 5 and LiveMathBench hard, and a model writes its summaries."
        + (
            " Here a program does, which knows the form of these tasks and leaves in all that the answer takes: that "
            "accuracy is kept says that results without their steps are enough, and nothing of summaries by models."
            if settings.summariser == "program"
            else ""
        ),
        "Tokens are those that the answering model reads and writes after the question. A summary presupposes a whole "
        "trajectory, whose tokens are not counted, neither there nor here.",
        "The last steps, intervals, the pooled score and the leads are additions.",
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
