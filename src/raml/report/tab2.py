"""Table 2: SFT on short and on long trajectories and zero-GRPO, as a table, a plot and Markdown.

    python -m raml.report.tab2 --scale S --config '<evaluation, base, writers>' --metrics M \
        --reported config/reported.yaml --model results/S/models/seed0/base \
        --figure F.svg --exhibit F.json --markdown tables/tab2.md

DPO and GRPO from a cold start, which the paper's table has not, stand below its rows. How all of them do on
benchmarks unlike the training questions is in `raml.report.fig7`.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from raml.config import Evaluation, HubModel, Section, Style
from raml.report.exhibit import Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.models import parameter_count
from raml.report.numbers import millions, percent, seed_spread
from raml.report.scores import (
    PAPER_MODEL,
    TRAINED_ON,
    Measured,
    Reported,
    columns_beside,
    measured_cells,
    not_run,
    read_metrics,
    read_reported,
    reported_cells,
)
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.report.tab2_figure import draw_metrics
from raml.step import Step, run
from raml.storage import write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["metrics", "reported", "model"],
    "outputs": ["figure", "exhibit", "markdown"],
}
TITLE: Final = "Table 2: SFT on short and on long trajectories, and GRPO"
FURTHER: Final = ("dpo", "sft_grpo")
PAPER_BENCHMARKS: Final = "AIME24, MATH500 level 5 and LiveMathBench hard"
NOT_IN_THE_PAPER: Final = "Not in the paper's table"


class Job(Section):
    """What the exhibit needs to know of the configuration."""

    evaluation: Evaluation
    base: HubModel | None = Field(description="the published base model; none if it was pretrained from scratch")
    writers: dict[Style, HubModel] | None = Field(
        description="published models that wrote the trajectories, of published questions; none if programs wrote them"
    )


def main(step: Step[Job]) -> None:
    """Draw the figure, write the exhibit and the table as Markdown.

    Raises:
        DataError: an input cannot be read, lacks a metric, or was made at another scale.
    """
    files, job = step.files, step.config
    evaluation = job.evaluation
    sources = read_sources([files["metrics"]], step.scale)
    measured = read_metrics(files["metrics"], evaluation, TRAINED_ON)
    reported = read_reported(files["reported"], "table2")
    size = millions(parameter_count(files["model"]))
    table = comparison(measured, reported, job, size)
    description = describe(measured, evaluation)
    with drawing():
        figure = draw_metrics(measured, reported, evaluation.confidence)
        write_svg(figure, files["figure"], name="tab2", title=TITLE, description=description)
    exhibit = Exhibit(
        id="tab2",
        title=TITLE,
        lead=(
            "Which trajectories make the better inner loop to learn from: terse ones, long ones, or those that the "
            "model writes itself while it is trained?"
        ),
        scale=step.scale,
        description=description,
        caption=(
            f"Every metric on held-out questions like the training questions, in per cent, with "
            f"{evaluation.confidence:.0%} intervals. Questions of other kinds are in Figure 7. Hollow marks are the "
            "paper's numbers, of another model on its own benchmarks."
        ),
        done=what_was_done(measured, job),
        deviations=deviations(measured, job, size),
        n=[
            ("models", len(measured.models)),
            ("benchmarks", len(measured.benchmarks)),
            ("questions", sum(measured.questions.values())),
            ("samples a question", evaluation.n),
            ("training seeds", measured.seeds),
        ],
        tables=[table],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])
    write_text(f"# {TITLE}\n\n{table.markdown()}\n", files["markdown"])


def comparison(measured: Measured, reported: Reported, job: Job, size: str) -> Table:
    """The paper's table with our rows and numbers on the left and the paper's numbers on the right."""
    ours = (
        f"a model of {size} parameters on its own benchmarks" if job.base is None else f"{job.base.model} trained here"
    )
    confidence = job.evaluation.confidence
    return Table(
        caption=f"Ours and the paper's, in per cent, with {confidence:.0%} intervals where measured here",
        corner="technique",
        columns=columns_beside(measured, reported, size),
        rows=[
            Row(
                heading=label,
                cells=[*measured_cells(measured, model), *reported_cells(reported, model)],
                group=NOT_IN_THE_PAPER if model in FURTHER else "",
            )
            for model, label in MODEL_LABELS.items()
        ],
        note=(
            f"Not like for like: ours is {ours}, the paper's is {PAPER_MODEL} on competition "
            "mathematics. Compare the order of the rows, not the numbers. The paper "
            "gives no numbers for the base model here, and no intervals."
        ),
    )


def describe(measured: Measured, evaluation: Evaluation) -> str:
    """The figure in words."""
    metrics = measured.metrics[:2]

    def scores(model: str) -> str:
        return ", ".join(
            f"{name} {' and '.join(percent(measured.points[model, name, metric].estimate) for metric in metrics)}"
            for name in measured.benchmarks
        )

    values = "; ".join(f"{MODEL_LABELS[model]}: {scores(model)}" for model in measured.models)
    return (
        f"Dots with {evaluation.confidence:.0%} intervals for {', '.join(measured.metrics)} in per cent, a row for "
        f"each benchmark and a mark for each model. {' and '.join(metrics)}: {values}."
    )


def what_was_done(measured: Measured, job: Job) -> list[str]:
    """Paragraphs for the page."""
    base = "One base model was pretrained for each training seed, then fine-tuned"
    styles = (
        "short trajectories (results only) and with long ones (every step, some wrong attempts and their correction)"
    )
    if job.base:
        base = f"{job.base.model} was fine-tuned"
    if job.writers:
        styles = " and ".join(f"{style} trajectories of {one.model}" for style, one in job.writers.items())
    verifier = "the answer's own check" if job.writers else "each family's own verifier"
    return [
        f"{base} on the same questions in two ways: with {styles}. "
        "Zero-GRPO is reinforcement learning straight from the base model, on trajectories that it writes itself.",
        f"Beside the paper's rows: {MODEL_LABELS['dpo']} prefers right to wrong trajectories written beforehand, and "
        f"{MODEL_LABELS['sft_grpo']} is the same reinforcement learning from a fine-tuned model (Table 3).",
        f"Each model then answered {sum(measured.questions.values()):,} held-out questions of "
        f"{len(measured.benchmarks)} benchmarks, {job.evaluation.n} samples each; {verifier} judged them.",
        f"{measured.metrics[0]} and {measured.metrics[1]} are exact over all subsets of samples (the paper's equations "
        f"22 and 23). Each interval is bootstrapped over questions{seed_spread(measured.seeds)}.",
    ]


def deviations(measured: Measured, job: Job, size: str) -> list[str]:
    """Where this differs from the paper."""
    own_writers = "programs write them, so both styles solve exactly the same questions correctly"
    if job.writers:
        own_writers = " and ".join(f"{one.model} writes the {style} ones" for style, one in job.writers.items())
    benchmarks = f"Its benchmarks are {PAPER_BENCHMARKS}; "
    return [
        f"The paper trains {PAPER_MODEL}; here it is "
        + (f"{job.base.model}." if job.base else f"a model of {size} parameters, trained from scratch."),
        "In the paper Qwen2.5-Math-72B-Instruct writes the short trajectories and DeepSeek-R1-Distill-Qwen-14B the "
        f"long ones; here {own_writers}.",
        benchmarks
        + (
            f"here they are {', '.join(measured.benchmarks)}."
            if job.writers
            else "here generated questions with verifiable answers take their place."
        ),
        "The paper's table has no row for off-policy preference optimisation, and has GRPO from a fine-tuned model in "
        "its Table 3 alone.",
        *not_run(measured),
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
