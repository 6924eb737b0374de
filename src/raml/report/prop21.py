"""Proposition 2.1: a trajectory as an update of the weights; how exact, how large, and whether downhill."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from raml.claims.construction import CONSTRUCTIONS, random_means
from raml.claims.downhill import SOURCES, quarters, update_directions
from raml.config import Evaluation, Probing, Section, Updates
from raml.evaluation.intervals import Bootstrap
from raml.report.exhibit import Exhibit, read_sources, write_exhibit
from raml.report.numbers import number, seed_spread
from raml.report.prop21_figure import CONSTRUCTION_LABELS, LOSS_LABELS, LOSS_STYLES, SOURCE_LABELS, Along, Panels, draw
from raml.report.prop21_tables import (
    DRAWN,
    along_table,
    by_layer,
    layers_table,
    loss_table,
    model_table,
    random_table,
    same_output_table,
)
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.schemas import BlockResidual, WeightUpdate
from raml.step import Step, run
from raml.storage import read_table

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": [],
    "many": ["blocks", "updates"],
    "outputs": ["figure", "exhibit"],
}
ID: Final = "prop2.1"
TITLE: Final = "Proposition 2.1: a trajectory as an update of the weights"


class Job(Section):
    """What the exhibit needs to know of the configuration."""

    evaluation: Evaluation
    probing: Probing
    updates: Updates


def main(step: Step[Job]) -> None:
    """Draw the figure and write the exhibit.

    Raises:
        DataError: an input cannot be read, or was made at another scale.
    """
    job, files = step.config, step.files
    sources = read_sources([*step.lists["blocks"], *step.lists["updates"]], step.scale)
    blocks = pl.concat([read_table(path, BlockResidual) for path in step.lists["blocks"]])
    updates = pl.concat([read_table(path, WeightUpdate) for path in step.lists["updates"]])
    bootstrap = Bootstrap(step.seed, job.evaluation.bootstrap_resamples, job.evaluation.confidence)
    confidence = job.evaluation.confidence
    directions, layers = update_directions(updates), update_directions(updates, "layer")
    panels = _panels(blocks, directions, layers, bootstrap)
    description = _describe(panels, directions)
    with drawing():
        write_svg(draw(panels), files["figure"], name=ID, title=TITLE, description=description)
    exhibit = Exhibit(
        id=ID,
        title=TITLE,
        lead=(
            "Reading a trajectory moves a model's answer just as a change of its attention weights would. Which "
            "change, how large, does it point down the answer's loss, and does the loss go down?"
        ),
        scale=step.scale,
        description=description,
        caption=(
            "(a) Relative error of a block's output under the paper's construction (our reading of a formula that as "
            "printed is no matrix product), under its changed query alone, under unchanged weights and under the exact "
            "rank-one update: means over random blocks, bands from the lowest to the highest width. (b) Norm of the "
            "exact update of a whole model's attention output projections that stands for a prefix of a trajectory, "
            "against the norm of the weights. (c) Its cosine with the negative gradient of the answer NLL without the "
            "trajectory, all layers as one vector, and (d) layer by layer. (e), (f) What the update does to the gold "
            "answer's NLL, to first order and actually: it is no small step, so the one does not tell the other."
        ),
        done=_what_was_done(job, updates["seed"].n_unique()),
        deviations=_deviations(),
        n=_sizes(blocks, directions),
        tables=[
            *random_table(panels.random_blocks),
            *model_table(blocks, bootstrap, confidence),
            *same_output_table(updates, bootstrap, confidence),
            *along_table(directions, bootstrap, confidence),
            *loss_table(directions, bootstrap, confidence),
            *layers_table(layers, bootstrap, confidence),
        ],
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])


def _panels(blocks: pl.DataFrame, directions: pl.DataFrame, layers: pl.DataFrame, bootstrap: Bootstrap) -> Panels:
    drawn = directions.filter(projection=DRAWN)
    meant, real = drawn.filter(pl.col("correct")), drawn.filter(source="trajectory")

    def along(value: str) -> Along:
        return {source: list(quarters(meant.filter(source=source), value, bootstrap).values()) for source in SOURCES}

    def loss(correct: bool) -> Along:
        chosen = real.filter(pl.col("correct") == correct)
        return {value: list(quarters(chosen, value, bootstrap).values()) for value in LOSS_STYLES}

    return Panels(
        random_blocks=random_means(blocks),
        norms=along("relative_norm"),
        cosines=along("cosine"),
        layers=by_layer(layers.filter(pl.col("correct"), projection=DRAWN), bootstrap),
        loss_correct=loss(correct=True),
        loss_incorrect=loss(correct=False),
        confidence=bootstrap.confidence,
    )


def _describe(panels: Panels, directions: pl.DataFrame) -> str:
    questions = directions["question_id"].n_unique()
    parts = [
        "Six panels. (a) Relative error of a random block's output against prompt length, on logarithmic axes. "
        + " ".join(_range(panels.random_blocks, name) for name in CONSTRUCTIONS)
    ]
    if questions == 0:
        return f"{parts[0]} (b) to (f) are empty: no trajectory was followed at this scale."
    for letter, what, along in (
        ("b", "norm of the update against the weights", panels.norms),
        ("c", "cosine of the update with the negative gradient", panels.cosines),
    ):
        said = [
            f"{SOURCE_LABELS[source]} {number(known[0].estimate, 2)} to {number(known[-1].estimate, 2)}"
            for source in SOURCES
            if (known := [interval for interval in along[source] if interval])
        ]
        parts.append(f"({letter}) Mean {what} from the first to the last prefix: {', '.join(said)}.")
    parts.append("(d) The cosine in each layer.")
    for letter, kind, loss in (("e", "correct", panels.loss_correct), ("f", "incorrect", panels.loss_incorrect)):
        said = [
            f"{label} {', '.join(number(interval.estimate, 2) for interval in loss[value] if interval)}"
            for value, label in LOSS_LABELS.items()
        ]
        parts.append(f"({letter}) Change of the gold answer's NLL along {kind} trajectories: {'; '.join(said)} nats.")
    return " ".join(parts)


def _range(means: pl.DataFrame, construction: str) -> str:
    errors = means.filter(construction=construction)["relative_error"].to_list()
    label = CONSTRUCTION_LABELS[construction]
    return f"{label[0].upper()}{label[1:]}: {number(min(errors), 2)} to {number(max(errors), 2)}." if errors else ""


def _what_was_done(job: Job, seeds: int) -> list[str]:
    updates, probing, evaluation = job.updates, job.probing, job.evaluation
    model = MODEL_LABELS.get(probing.models[0], probing.models[0])
    return [
        "One block: attention and an MLP, without residual connections, with and without one further token. Random "
        f"blocks have one head and Gaussian weights (widths {_listed(updates.dimensions)}, prompts of "
        f"{_listed(updates.prompt_lengths)} tokens); a model's blocks are its layers, fed with their own normed hidden "
        "states, with all heads, biases and rotary positions. There a changed query is turned as at the further "
        "token's position, so that the construction is not charged with what the proposition does not cover. Baselines "
        "are the weights unchanged, and the paper's changed query alone.",
        f"Whole model: {model} read a prefix of a trajectory, the answer marker and the gold answer. Layer by layer, "
        "the least-norm change of one attention projection was found under which the same model without the trajectory "
        "has the same attention output at every position that predicts an answer token; then it was put into the "
        "weights and the model run again.",
        f"Followed were the first correct and the first incorrect trajectory of up to {updates.questions} questions "
        f"({_listed(probing.benchmarks)} in turn, by id, those with a correct one), at {updates.positions} evenly "
        f"spread prefixes, and for each {updates.draws} shuffled ones (the prefix's own tokens in random order, no "
        "later ones) and as many random ones (each token drawn uniformly from the different tokens that occur in "
        "the model's thinking on these benchmarks, however often).",
        "The negative gradient is that of the answer's mean NLL without the trajectory, with respect to the same "
        "weights. The update's inner product with it is the decrease of that NLL to first order; the actual change is "
        "the NLL with the prefix, to which the changed model's is equal, less that without.",
        "Prefixes, draws and trajectories of a question are averaged first, so that each question counts once. "
        f"Intervals ({evaluation.confidence:.0%}) are from {evaluation.bootstrap_resamples:,} bootstrap resamples of "
        f"questions{seed_spread(seeds)}.",
    ]


def _deviations() -> list[str]:
    return [
        "The paper proves the proposition for one block and one token and measures nothing; the update of a whole "
        "model, its norm and its direction are additions.",
        "The printed construction of keys and values is no matrix product: E_l^+ has as many columns as the prompt "
        "has tokens, M^T has one row more. The square root of M M^T stands in for M^T, with which the construction is "
        "exact for attention without a softmax: what is measured is this reading. The "
        "query's matrix P is taken to map the last prompt token to the "
        "further one, since the other direction, as printed, does not give the further token's query.",
    ]


def _sizes(blocks: pl.DataFrame, directions: pl.DataFrame) -> list[tuple[str, int]]:
    real = directions.filter(source="trajectory", projection=DRAWN)
    return [
        ("questions", real["question_id"].n_unique()),
        ("trajectories", real.select("seed", "trajectory_id").n_unique()),
        ("training seeds", real["seed"].n_unique()),
        ("prefixes", real.height),
        ("prefixes of nulls", directions.filter(projection=DRAWN).height - real.height),
        ("random blocks", blocks.filter(source="random", construction="exact").height),
    ]


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


if __name__ == "__main__":
    run(main, Job, **FILES)
