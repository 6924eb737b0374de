"""Table 2: SFT on short and on long trajectories (zero-GRPO follows), as a table, a plot and Markdown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from raml.config import Evaluation
from raml.errors import DataError
from raml.report.exhibit import NONE, Cell, Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.models import parameter_count
from raml.report.numbers import millions, percent, seed_spread
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.report.tab2_figure import Measured, Point, draw_metrics
from raml.schemas import MetricTable
from raml.step import Step, run
from raml.storage import read_table, write_text

KINDS: Mapping[str, str] = {
    "in_domain": "in domain",
    "in_domain_hard": "in domain, hard",
    "within_domain": "same domain",
    "other_domain": "other domain",
}
TRAINED_ON = ("in_domain", "in_domain_hard")
PAPER_MODEL = "Qwen2.5-7B"
PAPER_METRICS = {"P8": "Pass@8", "mG8": "mG-Pass@8"}
FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["metrics", "reported", "model"],
    "outputs": ["figure", "exhibit", "markdown"],
}

NOT_RUN = Cell(text="not run yet")

Reported = Mapping[str, Mapping[str, Any]]


def main(step: Step[Evaluation]) -> None:
    """Draw the figure, write the exhibit and the table as Markdown.

    Raises:
        DataError: an input cannot be read, lacks a metric, or was made at another scale.
    """
    files, evaluation = step.files, step.config
    sources = read_sources([files["metrics"]], step.scale)
    measured = read_metrics(files["metrics"], evaluation)
    reported = read_reported(files["reported"])
    size = millions(parameter_count(files["model"]))
    tables = [
        comparison(measured, reported, evaluation, size),
        *transfer(measured, evaluation),
    ]
    title, description = "Table 2: SFT on short and on long trajectories", describe(measured, evaluation)
    with drawing():
        figure = draw_metrics(measured, KINDS, evaluation.confidence)
        write_svg(figure, files["figure"], name="tab2", title=title, description=description)
    exhibit = Exhibit(
        id="tab2",
        title=title,
        lead="Which trajectories make the better inner loop to learn from: terse ones or long ones?",
        scale=step.scale,
        description=description,
        caption=(
            f"Every metric on every benchmark, in per cent, with {evaluation.confidence:.0%} intervals. The first "
            "benchmarks are of the families that SFT trained on, the others test transfer."
        ),
        done=what_was_done(measured, evaluation),
        deviations=deviations(measured, size),
        n=[
            ("models", len(measured.models)),
            ("benchmarks", len(measured.benchmarks)),
            ("questions", sum(measured.questions.values())),
            ("samples a question", evaluation.n),
            ("training seeds", measured.seeds),
        ],
        tables=tables,
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])
    write_text("\n\n".join([f"# {title}", *(table.markdown() for table in tables)]) + "\n", files["markdown"])


def read_metrics(path: Path, evaluation: Evaluation) -> Measured:
    """The metrics of the paper's Table 2 and Avg@n, benchmarks ordered by distance from training, then name.

    Raises:
        DataError: the file is unreadable, or lacks one of the metrics for a model on a benchmark.
    """
    rows = read_table(path, MetricTable).sort("benchmark").rows(named=True)
    kinds = {row["benchmark"]: row["kind"] for row in rows}
    order = list(KINDS)
    benchmarks = sorted(kinds, key=lambda name: (order.index(kinds[name]), name))
    present = {row["model"] for row in rows}
    measured = Measured(
        metrics=[f"Pass@{evaluation.k}", f"mG-Pass@{evaluation.k}", f"Avg@{evaluation.n}"],
        models=[model for model in MODEL_LABELS if model in present],
        benchmarks=benchmarks,
        kinds=kinds,
        questions={row["benchmark"]: row["n_questions"] for row in rows},
        seeds=max((row["n_samples"] // (row["n_questions"] * evaluation.n) for row in rows), default=0),
        points={
            (row["model"], row["benchmark"], row["metric"]): Point(row["value"], row["lower"], row["upper"])
            for row in rows
        },
    )
    for model in measured.models:
        for benchmark in benchmarks:
            for metric in measured.metrics:
                if (model, benchmark, metric) not in measured.points:
                    raise DataError(f"{path} lacks {metric} of {model} on {benchmark}; rebuild the metrics")
    return measured


def read_reported(path: Path) -> Reported:
    """`table2` of the numbers that the paper reports, in per cent.

    Raises:
        DataError: the file is missing, not YAML, or without the table.
    """
    try:
        table: Reported = yaml.safe_load(path.read_text(encoding="utf-8"))["table2"]
        if not all(isinstance(row, dict) for row in table.values()):
            raise TypeError("table2 must map techniques to their numbers")
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} does not hold the paper's table2 ({' '.join(str(error).split())})") from None
    return table


def comparison(measured: Measured, reported: Reported, evaluation: Evaluation, size: str) -> Table:
    """The paper's table with our rows and numbers on the left and the paper's numbers on the right."""
    ours = [name for name in measured.benchmarks if measured.kinds[name] in TRAINED_ON]
    metrics = measured.metrics[:2]
    theirs = list(
        dict.fromkeys(name for row in reported.values() for name, cell in row.items() if isinstance(cell, dict))
    )
    here, paper = f"Measured here, {size} parameters", f"Reported by the paper, {PAPER_MODEL}"
    columns = [Column(heading=metric, group=name, side=here) for name in ours for metric in metrics]
    columns += [
        Column(heading=metric, group=name, side=paper, reported=True)
        for name in theirs
        for metric in PAPER_METRICS.values()
    ]
    rows = []
    for model, label in MODEL_LABELS.items():
        cells = [_cell(measured, model, name, metric) for name in ours for metric in metrics]
        row = reported.get(model, {})
        cells += [_reported_cell(row.get(name, {}).get(key)) for name in theirs for key in PAPER_METRICS]
        rows.append(Row(heading=label, cells=cells))
    return Table(
        caption=f"Ours and the paper's, in per cent, with {evaluation.confidence:.0%} intervals where measured here",
        corner="technique",
        columns=columns,
        rows=rows,
        note=(
            f"Not like for like: ours is a model of {size} parameters on its own benchmarks, the paper's is "
            f"{PAPER_MODEL} on competition mathematics. Compare the order of the rows, not the numbers. The paper "
            "gives no numbers for the base model here, and no intervals."
        ),
    )


def transfer(measured: Measured, evaluation: Evaluation) -> list[Table]:
    """The same models on benchmarks of families that SFT did not see; none if there are no such benchmarks."""
    names = [name for name in measured.benchmarks if measured.kinds[name] not in TRAINED_ON]
    if not names:
        return []
    metrics = measured.metrics[:2]
    return [
        Table(
            caption=f"Transfer to families that SFT did not see, in per cent, {evaluation.confidence:.0%} intervals",
            corner="technique",
            columns=[
                Column(heading=metric, group=f"{name} ({KINDS[measured.kinds[name]]})")
                for name in names
                for metric in metrics
            ],
            rows=[
                Row(
                    heading=MODEL_LABELS[model],
                    cells=[_cell(measured, model, name, m) for name in names for m in metrics],
                )
                for model in measured.models
            ],
        )
    ]


def describe(measured: Measured, evaluation: Evaluation) -> str:
    """The figure in words."""
    metric = measured.metrics[0]
    values = "; ".join(
        f"{MODEL_LABELS[model]}: "
        + ", ".join(f"{name} {percent(measured.points[model, name, metric].value)}" for name in measured.benchmarks)
        for model in measured.models
    )
    return (
        f"Dots with {evaluation.confidence:.0%} intervals for {', '.join(measured.metrics)} in per cent, a row for "
        f"each benchmark and a mark for each model. {metric}: {values}."
    )


def what_was_done(measured: Measured, evaluation: Evaluation) -> list[str]:
    """Paragraphs for the page."""
    return [
        "One base model was pretrained for each training seed, then fine-tuned twice on the same questions: with short "
        "trajectories (results only) and with long ones (every step, some wrong attempts and their correction).",
        f"Each model then answered {sum(measured.questions.values()):,} held-out questions of "
        f"{len(measured.benchmarks)} benchmarks, {evaluation.n} samples each; each family's own verifier judged them.",
        f"{measured.metrics[0]} and {measured.metrics[1]} are exact over all subsets of samples (the paper's equations "
        f"22 and 23). Each interval is bootstrapped over questions{seed_spread(measured.seeds)}.",
    ]


def deviations(measured: Measured, size: str) -> list[str]:
    """Where this differs from the paper."""
    return [
        f"The paper fine-tunes {PAPER_MODEL}; here it is a model of {size} parameters, trained from scratch.",
        "In the paper Qwen2.5-Math-72B-Instruct writes the short trajectories and DeepSeek-R1-Distill-Qwen-14B the "
        "long ones; here programs write them, so both styles solve exactly the same questions correctly.",
        "AIME24, MATH500 level 5 and LiveMathBench hard are replaced by generated questions with verifiable answers.",
        *(f"{MODEL_LABELS[model]} has not been run yet." for model in MODEL_LABELS if model not in measured.models),
    ]


def _cell(measured: Measured, model: str, benchmark: str, metric: str) -> Cell:
    point = measured.points.get((model, benchmark, metric))
    if point is None:
        return NOT_RUN
    return Cell(text=percent(point.value), small=f"{percent(point.lower)} to {percent(point.upper)}")


def _reported_cell(value: object) -> Cell:
    return Cell(text=f"{value:.2f}") if isinstance(value, int | float) else NONE


if __name__ == "__main__":
    run(main, Evaluation, **FILES)
