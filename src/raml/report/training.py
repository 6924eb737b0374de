"""The outer loop's curves: loss, reward and what else the trainers logged at every optimiser step.

    python -m raml.report.training --scale S --config '<sft, dpo, grpo, cold_start>' \
        --table results/S/tables/training.parquet --figure F.svg --exhibit F.json
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from raml.config import DPO, GRPO, SFT, Section
from raml.report.exhibit import Cell, Column, Exhibit, Row, Table, read_sources, write_exhibit
from raml.report.numbers import count, number, percent
from raml.report.scores import NOT_RUN
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.report.training_curves import EDGE, POINTS, Curve, Curves, Quantity, Technique, techniques, to_curves
from raml.report.training_figure import draw_training, is_logged
from raml.schemas import TrainingRecord
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {"inputs": ["table"], "outputs": ["figure", "exhibit"]}
TITLE: Final = "Training: the outer loop step by step"


class Job(Section):
    """What the exhibit needs to know of the configuration."""

    sft: dict[str, SFT] = Field(description="by style")
    dpo: DPO
    grpo: GRPO
    cold_start: str


def main(step: Step[Job]) -> None:
    """Draw the figure and write its exhibit.

    Raises:
        DataError: the table cannot be read, or was made at another scale.
    """
    job, files = step.config, step.files
    sources = read_sources([files["table"]], step.scale)
    table = read_table(files["table"], TrainingRecord)
    wanted = techniques([style for style in ("short", "long") if style in job.sft])
    curves = to_curves(table, wanted)
    description = _describe(wanted, curves)
    with drawing():
        write_svg(draw_training(wanted, curves), files["figure"], name="training", title=TITLE, description=description)
    models = [model for technique in wanted for model in technique.models if is_logged(curves, model)]
    exhibit = Exhibit(
        id="training",
        title=TITLE,
        lead="How did each outer loop go: does it learn, does it settle, and what of each batch goes to waste?",
        scale=step.scale,
        description=description,
        caption=(
            "What was logged at every optimiser step, on the batch of that step and therefore on training questions: "
            "thin lines are single training seeds, bold ones their mean. The vertical axes need not begin at 0."
        ),
        done=_what_was_done(job),
        deviations=["The paper shows no training curves; this exhibit is an addition."],
        n=[
            ("models a seed", len(models)),
            ("training seeds", table["seed"].n_unique()),
            ("optimiser steps logged", table.select("model", "seed", "step").n_unique()),
        ],
        tables=[_edges_table(technique, curves) for technique in wanted],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def _edges_table(technique: Technique, curves: Curves) -> Table:
    """A row for each quantity: its mean over the first and over the last tenth of each model's steps."""
    logged = {name for model, name in curves if model in technique.models}
    shown = [*technique.drawn, *(quantity for quantity in technique.others if quantity.name in logged)]
    edges = {f"first {EDGE:.0%}": False, f"last {EDGE:.0%}": True}
    steps = {
        model: max((curve.last_step for (name, _), curve in curves.items() if name == model), default=0)
        for model in technique.models
    }
    return Table(
        caption=f"{technique.name} at its beginning and at its end",
        corner="quantity",
        columns=[
            Column(
                heading=f"{heading} of steps",
                group=MODEL_LABELS[model] + (f", {count(steps[model], 'step')}" if steps[model] else ""),
            )
            for model in technique.models
            for heading in edges
        ],
        rows=[
            Row(
                heading=quantity.label,
                cells=[
                    _cell(curves.get((model, quantity.name)), quantity, last=last)
                    for model in technique.models
                    for last in edges.values()
                ],
            )
            for quantity in shown
        ],
        note="Means over the training seeds; in small print the lowest and the highest seed.",
    )


def _cell(curve: Curve | None, quantity: Quantity, *, last: bool) -> Cell:
    if curve is None:
        return NOT_RUN
    seeds = curve.edge(last=last)
    show = percent if quantity.unit == "%" else number
    spread = f"{show(float(seeds.min()))} to {show(float(seeds.max()))}" if seeds.size > 1 else ""
    return Cell(text=show(float(seeds.mean())), small=spread)


def _describe(wanted: Sequence[Technique], curves: Curves) -> str:
    parts = []
    for technique in wanted:
        for quantity in technique.drawn[:2]:
            show = percent if quantity.unit == "%" else number
            for model in technique.models:
                if curve := curves.get((model, quantity.name)):
                    ends = [show(float(curve.edge(last=last).mean())) for last in (False, True)]
                    parts.append(f"{MODEL_LABELS[model]}, {quantity.label}: from {ends[0]} to {ends[1]}.")
    if not parts:
        return "Empty: nothing was trained at this scale."
    return f"Panels for GRPO, SFT and DPO, a curve a model against the optimiser steps. {' '.join(parts)}"


def _what_was_done(job: Job) -> list[str]:
    grpo, dpo = job.grpo, job.dpo
    kl = "no KL term" if grpo.kl == 0 else f"KL weight {grpo.kl:g}"
    said = [
        f"GRPO, from the base model (zero-GRPO) and from {_label(job.cold_start)} (SFT+GRPO): "
        f"{count(grpo.steps, 'step')} of {count(grpo.batch_size // grpo.group_size, 'question')} with "
        f"{grpo.group_size} completions each, learning rate {grpo.learning_rate:g}, clip {grpo.clip_low:g} below and "
        f"{grpo.clip_high:g} above, {kl}. Rewards and lengths are of the completions that the model wrote at that "
        "step; entropy and clipped tokens are of those that the gradient came from.",
        "A group whose completions all have the same reward has no advantage and moves nothing: its share is drawn.",
    ]
    if grpo.iterations == 1:
        said.append(
            "Each batch serves one step, at which the model is still the one that wrote it: nothing can be clipped."
        )
    said += [
        f"SFT on {style} trajectories from {_label(sft.start)}: batches of {sft.batch_size}, learning rate "
        f"{sft.learning_rate:g}. Loss, accuracy and entropy are of the trajectories' tokens."
        for style, sft in sorted(job.sft.items(), reverse=True)
    ]
    said.append(
        f"DPO from {_label(dpo.start)}: batches of {dpo.batch_size} pairs, learning rate {dpo.learning_rate:g}, beta "
        f"{dpo.beta:g}. The margin is beta times the nats by which the correct trajectory gained on the wrong one, "
        "against the start."
    )
    return [*said, f"Of more than {POINTS} steps the figure shows means over {POINTS} blocks."]


def _label(model: str) -> str:
    return MODEL_LABELS.get(model, model)


if __name__ == "__main__":
    run(main, Job, **FILES)
