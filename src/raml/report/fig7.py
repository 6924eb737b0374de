"""Figure 7: what training does on benchmarks near to and far from the training questions, transfer and forgetting.

    python -m raml.report.fig7 --scale S --config '<evaluation>' --metrics M --evaluations E \
        --reported config/reported.yaml --figure F.svg --exhibit F.json --markdown tables/fig7.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import polars as pl

from raml.claims.leads import lead
from raml.config import BenchmarkKind, Evaluation
from raml.evaluation.intervals import Bootstrap, Interval
from raml.report.exhibit import ONE_QUESTION, Cell, Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.fig7_figure import Panel, draw_generalisation
from raml.report.numbers import count
from raml.report.scores import (
    NOT_RUN,
    PAPER_MODEL,
    Measured,
    bounded,
    check_both,
    how_intervals_are_made,
    lead_cell,
    metric_names,
    not_run,
    points,
    pooled_score,
    read_direction,
    read_evaluations,
    read_metrics,
    score_cell,
)
from raml.report.scores_figure import Line
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.step import Step, run
from raml.storage import write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["metrics", "evaluations", "reported"],
    "outputs": ["figure", "exhibit", "markdown"],
}
TITLE: Final = "Figure 7: generalisation, as transfer and as forgetting"
BASE: Final = "base"
GROUPS: Final[Mapping[BenchmarkKind, str]] = {
    "in_domain": "Like the training questions",
    "in_domain_hard": "Like the training questions",
    "within_domain": "Sharing skills with them",
    "other_domain": "Of another domain",
}


@dataclass(frozen=True)
class Entry:
    """A row of the figure: a benchmark, or all benchmarks of a group, and their names."""

    line: Line
    benchmarks: list[str]


def main(step: Step[Evaluation]) -> None:
    """Draw the figure, write the exhibit and its tables as Markdown.

    Raises:
        DataError: an input cannot be read, was made at another scale, or lacks what another one has.
    """
    files, evaluation = step.files, step.config
    paths = files["metrics"], files["evaluations"]
    sources = read_sources(list(paths), step.scale)
    measured = read_metrics(files["metrics"], evaluation)
    evaluations = read_evaluations(files["evaluations"], evaluation)
    check_both(measured, evaluations, paths)
    evaluations = evaluations.filter(pl.col("model").is_in(measured.models))
    direction = read_direction(files["reported"], "figure7")
    bootstrap = Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence)
    entries = entries_of(measured)
    panels = [panel(measured, evaluations, entries, metric, bootstrap) for metric in metric_names(evaluation)]
    description = describe(panels, entries, evaluation)
    with drawing():
        figure = draw_generalisation([entry.line for entry in entries], panels, evaluation.confidence)
        write_svg(figure, files["figure"], name="fig7", title=TITLE, description=description)
    tables = [
        *(leads_table(one, entries, measured.models, evaluation) for one in panels),
        *(scores_table(one, entries, measured.models, evaluation) for one in panels),
    ]
    seeds = evaluations["seed"].n_unique()
    exhibit = Exhibit(
        id="fig7",
        title=TITLE,
        lead="Does training on some families of questions help on others, and what does it cost?",
        scale=step.scale,
        description=description,
        caption=(
            "For each metric the scores of all models and their leads over the base model, on benchmarks like the "
            "training questions, on benchmarks that share skills with them but are in no fine-tuning, and on those of "
            "another domain. Left of 0 is forgetting, right of it transfer; an interval across 0 shows neither."
        ),
        done=what_was_done(evaluation, seeds),
        deviations=deviations(measured, direction),
        n=[
            ("models", len(measured.models)),
            ("benchmarks", len(measured.benchmarks)),
            ("questions", sum(measured.questions.values())),
            ("samples a question", evaluation.n),
            ("training seeds", seeds),
        ],
        tables=tables,
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])
    write_text("\n\n".join([f"# {TITLE}", *(table.markdown() for table in tables)]) + "\n", files["markdown"])


def entries_of(measured: Measured) -> list[Entry]:
    """A row a benchmark, by distance from training; after the last of several in a group one for all of them."""
    entries = []
    for group, found in groupby(measured.benchmarks, lambda name: GROUPS[measured.kinds[name]]):
        names = list(found)
        for name in names:
            hard = "hard, " if measured.kinds[name] == "in_domain_hard" else ""
            entries.append(Entry(Line(name, f"{hard}{measured.questions[name]:,} questions", group), [name]))
        if len(names) > 1:
            total = sum(measured.questions[name] for name in names)
            entries.append(Entry(Line(f"all {len(names)} together", f"{total:,} questions", group), names))
    return entries


def panel(
    measured: Measured, evaluations: pl.DataFrame, entries: Sequence[Entry], metric: str, bootstrap: Bootstrap
) -> Panel:
    """Scores and leads in one metric; those of single benchmarks' scores are the metric table's own."""
    pools = [evaluations.filter(pl.col("benchmark").is_in(entry.benchmarks)) for entry in entries]
    both = list(zip(entries, pools, strict=True))

    def score(model: str, entry: Entry, pool: pl.DataFrame) -> Interval | None:
        if len(entry.benchmarks) == 1:
            return measured.points[model, entry.benchmarks[0], metric]
        return pooled_score(pool, model, metric, bootstrap, "pooled")

    def difference(model: str, entry: Entry, pool: pl.DataFrame) -> Interval | None:
        kinds = [kind for kind, group in GROUPS.items() if group == entry.line.group]
        found = lead(pool, model, BASE, metric, bootstrap, model, BASE, *kinds)  # seeded as in the claims
        single = len(entry.benchmarks) == 1
        return bounded(found.benchmarks[entry.benchmarks[0]].difference if single else found.difference)

    return Panel(
        metric=metric,
        scores={model: [score(model, *one) for one in both] for model in measured.models},
        leads={
            model: [difference(model, *one) for one in both]
            for model in measured.models
            if model != BASE and BASE in measured.models
        },
    )


def leads_table(one: Panel, entries: Sequence[Entry], models: Sequence[str], evaluation: Evaluation) -> Table:
    """Leads over the base in percentage points, and in words which of them an interval tells from 0."""
    found = [
        (interval, f"{MODEL_LABELS[model]} on {entry.line.name} ({points(interval.estimate)})")
        for model, leads in one.leads.items()
        for entry, interval in zip(entries, leads, strict=True)
        if interval is not None and len(entry.benchmarks) == 1
    ]
    worse = [text for interval, text in found if interval.upper < 0]
    better = [text for interval, text in found if interval.lower > 0]
    return Table(
        caption=(
            f"Lead over the base in {one.metric}, in percentage points, with {evaluation.confidence:.0%} intervals"
        ),
        corner="benchmark",
        columns=[Column(heading=label) for model, label in MODEL_LABELS.items() if model != BASE],
        rows=[
            Row(
                heading=entry.line.name,
                cells=[
                    lead_cell(one.leads[model][row] if model in one.leads else None, _missing(model, models))
                    for model in MODEL_LABELS
                    if model != BASE
                ],
                group=entry.line.group,
            )
            for row, entry in enumerate(entries)
        ],
        note=(
            f"Of {count(len(found), 'comparison')} on single benchmarks {len(worse)} have the whole interval below 0 "
            f"(forgetting){_listed(worse)}; {len(better)} have it above 0 (transfer or what was trained)."
        ),
    )


def scores_table(one: Panel, entries: Sequence[Entry], models: Sequence[str], evaluation: Evaluation) -> Table:
    """Scores in per cent."""
    return Table(
        caption=f"{one.metric} in per cent, with {evaluation.confidence:.0%} intervals",
        corner="benchmark",
        columns=[Column(heading=label) for label in MODEL_LABELS.values()],
        rows=[
            Row(
                heading=entry.line.name,
                cells=[
                    score_cell(one.scores[model][row] if model in one.scores else None, _missing(model, models))
                    for model in MODEL_LABELS
                ],
                group=entry.line.group,
            )
            for row, entry in enumerate(entries)
        ],
    )


def describe(panels: Sequence[Panel], entries: Sequence[Entry], evaluation: Evaluation) -> str:
    """The figure in words."""
    parts = [
        f"Dots with {evaluation.confidence:.0%} intervals, a row for each benchmark under headings by distance from "
        f"the training questions, a mark for each model; for {' and '.join(one.metric for one in panels)} a panel of "
        "scores and one of leads over the base, around a line at 0. Leads in percentage points:"
    ]
    for one in panels:
        for model, leads in one.leads.items():
            said = [
                f"{entry.line.name} {points(interval.estimate)}"
                for entry, interval in zip(entries, leads, strict=True)
                if interval and len(entry.benchmarks) == 1
            ]
            parts.append(f"{MODEL_LABELS[model]}, {one.metric}: {', '.join(said)}.")
    return " ".join(parts)


def what_was_done(evaluation: Evaluation, seeds: int) -> list[str]:
    """Paragraphs for the page."""
    return [
        "Every trained model and its base answered the same held-out questions, "
        f"{evaluation.n} samples each. No benchmark question is in a training split, nor in pretraining where this "
        "scale does its own. What is under the second and third heading is in no fine-tuning; pretraining may have "
        "seen other questions of these kinds.",
        "A lead is the model's score less that of the base model of the same training seed, question by question, then "
        "averaged. Where a heading has several benchmarks, their last row pools the questions, each counting once.",
        how_intervals_are_made(evaluation, "score", "lead", seeds),
        "Each interval is of one comparison and not corrected for their number.",
    ]


def deviations(measured: Measured, direction: str) -> list[str]:
    """Where this differs from the paper."""
    return [
        f"The paper plots these scores and prints none: {direction}. Only that direction can be compared.",
        f"The paper's models are trained from {PAPER_MODEL} and tested on AIME24 and LiveMathBench hard within the "
        "domain, on GPQA-Diamond and LiveCodeBench across domains. Here base model and benchmarks are "
        "this scale's own, grouped by how far they are from the training questions.",
        "The paper compares three trained models; preference optimisation and GRPO from a fine-tuned model are "
        "additions, and so are the paired leads and their intervals.",
        *not_run(measured),
    ]


def _missing(model: str, models: Sequence[str]) -> Cell:
    return ONE_QUESTION if model in models and BASE in models else NOT_RUN


def _listed(texts: Sequence[str]) -> str:
    return f": {', '.join(texts)}" if texts else ""


if __name__ == "__main__":
    run(main, Evaluation, **FILES)
