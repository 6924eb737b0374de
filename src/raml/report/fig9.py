"""Figure 9: GRPO whose gradient is taken from n completions of each group, its advantages from all of them.

    python -m raml.report.fig9 --scale S --config '<evaluation, grpo, kinds, series>' --evaluations E \
        --figure F.svg --exhibit F.json
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from pydantic import Field

from raml.config import GRPO, BenchmarkKind, Evaluation, Section
from raml.errors import ConfigError
from raml.evaluation.intervals import Bootstrap
from raml.report.exhibit import NONE, Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.fig9_figure import Curves, draw_steps
from raml.report.numbers import count, percent, seed_spread
from raml.report.scores import metric_names, read_evaluations
from raml.report.svg import drawing, write_svg
from raml.report.sweeps import Scores, cell, doubling_slope, listed, measure, places, slope_cell
from raml.runs import Series
from raml.step import Step, run

FILES: Final[Mapping[str, list[str]]] = {"inputs": ["evaluations"], "outputs": ["figure", "exhibit"]}
TITLE: Final = "Figure 9: update trajectories in GRPO"


class Job(Section):
    """What the figure needs to know of the configuration."""

    evaluation: Evaluation
    grpo: GRPO
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks that the sweep is evaluated on")
    series: dict[str, Series] = Field(description="of `raml.runs.series`; those of other figures are ignored")

    @property
    def names(self) -> dict[int, str]:
        """The series of this figure by the number of steps that their models were trained for.

        Raises:
            ConfigError: one is missing.
        """
        names = {step: f"fig9_step{step}" for step in self.grpo.evaluate_at}
        names |= dict.fromkeys(self.grpo.evaluate_at[:1], "fig9_first") | {self.grpo.steps: "fig9_last"}
        if missing := [name for name in names.values() if name not in self.series]:
            raise ConfigError(f"--config: series lacks {', '.join(missing)}, which grpo.steps and evaluate_at ask for")
        return names


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        ConfigError: a series is missing.
        DataError: an input cannot be read, or was made at another scale.
    """
    job, files = step.config, step.files
    by_step = {steps: job.series[name] for steps, name in job.names.items()}
    sources = read_sources([files["evaluations"]], step.scale)
    evaluations = read_evaluations(files["evaluations"], job.evaluation, job.kinds)
    metrics = metric_names(job.evaluation)
    bootstrap = Bootstrap(step.seed, job.evaluation.bootstrap_resamples, job.evaluation.confidence)
    models = [job.grpo.start, *(model for series in by_step.values() for model in series.models)]
    shown, swept = places(evaluations), evaluations.filter(pl.col("model").is_in(models))
    scores = measure(evaluations, models, metrics, bootstrap)
    curves = to_curves(by_step, job.grpo.start)
    description = _describe(curves, scores, metrics, shown)
    with drawing():
        figure = draw_steps(
            curves, scores, shown, metrics, group=job.grpo.group_size, confidence=job.evaluation.confidence
        )
        write_svg(figure, files["figure"], name="fig9", title=TITLE, description=description)
    exhibit = Exhibit(
        id="fig9",
        title=TITLE,
        lead="Does taking the outer step from more of a question's trajectories make GRPO better, and faster?",
        scale=step.scale,
        description=description,
        caption=(
            f"{metrics[0]} and {metrics[1]} of GRPO from the base model against its steps, for gradients from n of the "
            f"{job.grpo.group_size} completions of each question, with {job.evaluation.confidence:.0%} intervals. At "
            "step 0 all are the base model. Marks of one step stand side by side."
        ),
        done=_what_was_done(job, shown, swept),
        deviations=_deviations(job),
        n=[
            ("models a seed", swept["model"].n_unique()),
            ("benchmarks", swept["benchmark"].n_unique()),
            ("questions", swept["question_id"].n_unique()),
            ("training seeds", swept["seed"].n_unique()),
        ],
        tables=[
            *(scores_table(metric, curves, scores, shown, bootstrap.confidence) for metric in metrics),
            slopes_table(job, evaluations, metrics, bootstrap),
        ],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def to_curves(by_step: Mapping[int, Series], start: str) -> Curves:
    """The model after each number of steps by dose; after 0 it is `start`."""
    doses = sorted({dose for series in by_step.values() for dose in series.doses})
    curves: dict[float, dict[int, str]] = {dose: {0: start} for dose in doses}
    for step, series in by_step.items():
        for dose, model in zip(series.doses, series.models, strict=True):
            curves[dose][step] = model
    return curves


def scores_table(metric: str, curves: Curves, scores: Scores, shown: Sequence[str], confidence: float) -> Table:
    """A row for each place and dose, a column for each step."""
    steps = sorted({step for models in curves.values() for step in models})
    rows = [
        Row(
            heading=f"n = {dose:g}",
            cells=[cell(scores.get((models[step], place, metric))) if step in models else NONE for step in steps],
            group=place,
        )
        for place in shown
        for dose, models in curves.items()
    ]
    return Table(
        caption=f"{metric} in per cent, with {confidence:.0%} intervals",
        corner="benchmark, n",
        columns=[Column(heading=f"{step:,}", group="GRPO steps") for step in steps],
        rows=rows,
    )


def slopes_table(job: Job, evaluations: pl.DataFrame, metrics: Sequence[str], bootstrap: Bootstrap) -> Table:
    """The slope over doses at each step: a lead at early steps is what converging faster means."""
    evaluated = set(evaluations["model"])
    rows = []
    for place in places(evaluations):
        for metric in metrics:
            cells = []
            for name in job.names.values():
                series = job.series[name]
                slope = doubling_slope(evaluations, series, name, place, metric, bootstrap)
                cells.append(slope_cell(slope, complete=all(model in evaluated for model in series.models)))
            rows.append(Row(heading=metric, cells=cells, group=place))
    return Table(
        caption=f"Percentage points that each doubling of n adds, with {bootstrap.confidence:.0%} intervals",
        corner="benchmark, metric",
        columns=[Column(heading=f"{step:,}", group="GRPO steps") for step in job.names],
        rows=rows,
        note=(
            "Least-squares slope against the logarithm of n, of each question and seed by itself and then averaged. "
            "Above 0 at the last step more trajectories are better, above 0 at the first they are faster."
        ),
    )


def _describe(curves: Curves, scores: Scores, metrics: Sequence[str], shown: Sequence[str]) -> str:
    parts = []
    for place in shown[-1:]:
        for metric in metrics:
            known = {
                dose: [score.mean for model in models.values() if (score := scores.get((model, place, metric)))]
                for dose, models in curves.items()
            }
            said = [
                f"{', '.join(map(percent, means))} with n = {dose:g}" for dose, means in known.items() if len(means) > 1
            ]
            if said:
                parts.append(f"{metric} ({place}) along the steps: {'; '.join(said)}.")
    if not parts:
        return "Empty: no model of this sweep was evaluated at this scale."
    return (
        "A row of panels for each metric, a panel for each benchmark: scores in per cent against the number of GRPO "
        f"steps, a line for each number n of trajectories in the update. {' '.join(parts)}"
    )


def _what_was_done(job: Job, shown: Sequence[str], swept: pl.DataFrame) -> list[str]:
    grpo = job.grpo
    samples = " or ".join(str(n) for n in sorted(swept["n"].unique())) or "no"
    return [
        f"GRPO from the base model for {count(grpo.steps, 'step')} of "
        f"{count(grpo.batch_size // grpo.group_size, 'question')} with {grpo.group_size} completions each. Advantages "
        f"come from all {grpo.group_size}; then n random ones of each question are kept for the gradient, drawn from a "
        "generator of their own. Questions, their order, learning rate and all else are the same for all n.",
        f"After {', '.join(str(step) for step in job.names)} steps each model answered the held-out questions of "
        f"{listed(shown)} with {samples} samples a question.",
        f"Intervals ({job.evaluation.confidence:.0%}) are from {job.evaluation.bootstrap_resamples:,} bootstrap "
        f"resamples of questions with all their samples{seed_spread(swept['seed'].n_unique())}.",
    ]


def _deviations(job: Job) -> list[str]:
    return [
        f"The paper evaluates at steps 1 to 4 of batches of 1,024; here at {', '.join(map(str, job.names))} of "
        f"batches of {job.grpo.batch_size:,}.",
        "The paper plots scores without intervals; seeds, intervals, the pooled score and the slopes are additions.",
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
