"""Table 3: GRPO from the base model against GRPO from a fine-tuned one, on several base models.

    python -m raml.report.tab3 --scale S --config '{"evaluation": .., "regimes": [..]}' --metrics M --evaluations E \
        --reported config/reported.yaml --model results/S/models/seed0/base \
        --figure F.svg --exhibit F.json --markdown tables/tab3.md

Whether a cold start helps may hang on how often the base model writes long trajectories by itself. `regimes`
(`raml.runs.regimes`) names base models that differ in that share; without any, the main one alone is shown.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from raml.config import Evaluation, Section
from raml.evaluation.intervals import Bootstrap
from raml.report.exhibit import Exhibit, read_sources, write_exhibit
from raml.report.models import parameter_count
from raml.report.numbers import millions
from raml.report.scores import (
    PAPER_MODEL,
    TRAINED_ON,
    check_both,
    comparable,
    how_intervals_are_made,
    metric_names,
    points,
    read_evaluations,
    read_metrics,
    read_reported,
)
from raml.report.scores_figure import with_reported_lines
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.report.tab3_figure import Against, draw_cold_start
from raml.report.tab3_scores import (
    COLD,
    ZERO,
    Inputs,
    Scores,
    members,
    scores_by_benchmark,
    scores_by_share,
    share_label,
    with_reported,
)
from raml.report.tab3_tables import comparison, leads_table, shares_table
from raml.runs import Regime
from raml.step import Step, run
from raml.storage import write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["metrics", "evaluations", "reported", "model"],
    "outputs": ["figure", "exhibit", "markdown"],
}
TITLE: Final = "Table 3: GRPO from the base model and from a fine-tuned one"


class Job(Section):
    """What the exhibit needs to know of the configuration."""

    evaluation: Evaluation
    regimes: list[Regime]


def main(step: Step[Job]) -> None:
    """Draw the figure, write the exhibit and its tables as Markdown.

    Raises:
        DataError: an input cannot be read, was made at another scale, or lacks what another one has.
    """
    files, evaluation = step.files, step.config.evaluation
    sources = read_sources([files["metrics"], files["evaluations"]], step.scale)
    given = _read(step)
    reported = read_reported(files["reported"], "table3")
    size = millions(parameter_count(files["model"]))
    upper = scores_by_benchmark(given)
    lower = scores_by_share(given) if given.regimes else []
    against = Against([regime.long_share or 0.0 for regime in given.regimes], lower) if len(given.regimes) > 1 else None
    description = _describe(given, upper, lower)
    with drawing():
        theirs = comparable(reported, given.metrics)
        lines = with_reported_lines(given.lines(), theirs)
        figure = draw_cold_start(lines, with_reported(upper, theirs), against, evaluation.confidence)
        write_svg(figure, files["figure"], name="tab3", title=TITLE, description=description)
    tables = [comparison(given, reported, upper, size)]
    if lower:
        tables += [shares_table(given, lower), leads_table(given)]
    exhibit = Exhibit(
        id="tab3",
        title=TITLE,
        lead=(
            "Does reinforcement learning get further from a model that was first fine-tuned on trajectories, and does "
            "that hang on what the base model writes by itself?"
        ),
        scale=step.scale,
        description=description,
        caption=_caption(several=against is not None),
        done=_what_was_done(given, evaluation),
        deviations=_deviations(given, size),
        n=[
            ("base models a seed", max(len(given.regimes), 1)),
            ("benchmarks", len(given.measured.benchmarks)),
            ("questions", sum(given.measured.questions.values())),
            ("training seeds", given.seeds),
        ],
        tables=tables,
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])
    write_text("\n\n".join([f"# {TITLE}", *(table.markdown() for table in tables)]) + "\n", files["markdown"])


def _read(step: Step[Job]) -> Inputs:
    evaluation, paths = step.config.evaluation, (step.files["metrics"], step.files["evaluations"])
    measured = read_metrics(paths[0], evaluation, TRAINED_ON)
    evaluations = read_evaluations(paths[1], evaluation, TRAINED_ON)
    check_both(measured, evaluations, paths)
    regimes = sorted(step.config.regimes, key=lambda regime: regime.long_share or 0.0)
    shown = {*MODEL_LABELS, *(name for regime in regimes for name in members(regime).values())}
    return Inputs(
        measured,
        evaluations.filter(pl.col("model").is_in(shown)),
        regimes,
        metric_names(evaluation),
        Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence),
        str(paths[1]),
    )


def _caption(*, several: bool) -> str:
    main = (
        "Scores of the main base model and of what was trained from it, and the lead of GRPO from the fine-tuned model "
        "over GRPO from the base, on benchmarks of the trained families. Hollow marks are the paper's numbers, of "
        "another model on its own benchmarks."
    )
    below = (
        " Below, the same for base models that differ in one thing, the share of long trajectories among the documents "
        "that they read last in pretraining; the main one is among them."
    )
    return main + (below if several else "")


def _describe(given: Inputs, upper: Sequence[Scores], lower: Sequence[Scores]) -> str:
    parts = [
        f"Dots with {given.bootstrap.confidence:.0%} intervals: scores, and leads of {MODEL_LABELS[COLD]} over "
        f"{MODEL_LABELS[ZERO]} around a line at 0. Lead on the main base model in percentage points:"
    ]
    for one in upper:
        named = zip(given.lines(), one.leads, strict=True)
        said = [f"{line.name} {points(lead.estimate)}" for line, lead in named if lead]
        parts.append(f"{one.metric}: {', '.join(said) or 'not measured'}.")
    if len(given.regimes) > 1:
        parts.append("Below, all benchmarks together against the base's long share. Lead:")
        for one in lower:
            at = zip(given.regimes, one.leads, strict=True)
            said = [f"{points(lead.estimate)} at {share_label(regime.long_share)}" for regime, lead in at if lead]
            parts.append(f"{one.metric}: {', '.join(said) or 'not measured'}.")
    return " ".join(parts)


def _what_was_done(given: Inputs, evaluation: Evaluation) -> list[str]:
    samples = sorted(given.evaluations["n"].unique().to_list())
    tuned = f" ({MODEL_LABELS.get(given.main['sft'], given.main['sft'])})" if "sft" in given.main else ""
    said = [
        f"{MODEL_LABELS[ZERO]} is GRPO straight from the base model, {MODEL_LABELS[COLD]} the same GRPO from the model "
        f"that was fine-tuned on trajectories of the same questions{tuned}; all settings but the start are shared.",
    ]
    if len(given.regimes) > 1:
        shares = ", ".join(f"{share_label(regime.long_share)}" for regime in given.regimes)
        said.append(
            f"This was repeated on {len(given.regimes)} base models a seed, which share all but the end of their "
            f"pretraining: there {shares} of the documents had long trajectories."
        )
    return [
        *said,
        f"Every model answered the same held-out questions, {' or '.join(map(str, samples))} samples each; both "
        "metrics are exact over all subsets of samples, whatever their number. The lead is paired by question and "
        "training seed.",
        how_intervals_are_made(evaluation, "score", "lead", given.seeds),
    ]


def _deviations(given: Inputs, size: str) -> list[str]:
    absent = [MODEL_LABELS[model] for model in (ZERO, COLD) if model not in given.measured.models]
    return [
        f"The paper trains {PAPER_MODEL} on competition mathematics; here it is a model of {size} parameters on its "
        "own benchmarks. Compare signs and order, not numbers.",
        "The paper has one base model and no intervals; base models with other shares of long trajectories, and the "
        "paired leads, are additions.",
        *(f"{label} has not been run yet." for label in absent),
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
