"""Table 1: SFT, off-policy preference optimisation and on-policy RL as one inner and outer loop, with its loss.

    python -m raml.report.tab1 --scale S --config '{"evaluation": .., "starts": {"sft_long": "base", ..}}' \
        --outer results/S/probes/seed*/outer.parquet --evaluations E --claims config/claims.yaml \
        --reported config/reported.yaml --figure F.svg --exhibit F.json --markdown tables/tab1.md
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from raml.claims.registry import load_registry
from raml.claims.sections import OuterLossFalls
from raml.config import Evaluation, Section
from raml.errors import DataError
from raml.evaluation.intervals import Bootstrap
from raml.report.exhibit import Exhibit, interval_cell, read_sources, write_exhibit
from raml.report.numbers import count
from raml.report.scores import TRAINED_ON, how_intervals_are_made
from raml.report.style import MODEL_LABELS
from raml.report.svg import drawing, write_svg
from raml.report.tab1_figure import draw_losses
from raml.report.tab1_losses import SOURCES, TECHNIQUES, Falls, Source, falls, readings
from raml.report.tab1_tables import benchmarks_table, falls_table, readings_table, techniques_table
from raml.schemas import Evaluation as Evaluations
from raml.schemas import OuterLoss
from raml.step import Step, run
from raml.storage import read_table, write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["evaluations", "claims", "reported"],
    "many": ["outer"],
    "outputs": ["figure", "exhibit", "markdown"],
}
TITLE: Final = "Table 1: training techniques as one inner and outer loop"


class Job(Section):
    """What the exhibit needs to know of the configuration."""

    evaluation: Evaluation
    starts: dict[str, str]


def main(step: Step[Job]) -> None:
    """Draw the figure, write the exhibit and its tables as Markdown.

    Raises:
        DataError: an input cannot be read, was made at another scale, or no trained model was measured.
        ConfigError: the claims are malformed, or `starts` lacks a model that was measured.
    """
    job, files, paths = step.config, step.files, step.lists["outer"]
    evaluation = job.evaluation
    sources = read_sources([*paths, files["evaluations"]], step.scale)
    test = deciding_test(files["claims"], files["reported"])
    kinds = test.kinds if test else list(TRAINED_ON)
    losses = read_losses(paths, kinds)
    benchmarks = sorted(losses["benchmark"].unique())
    bootstrap = Bootstrap(step.seed, evaluation.bootstrap_resamples, evaluation.confidence)
    deciding = deciding_rows(test, job.starts)
    found = falls(losses, job.starts, bootstrap)
    read = readings(losses, read_table(files["evaluations"], Evaluations), list(MODEL_LABELS), bootstrap)
    description = describe(found, evaluation.confidence)
    with drawing():
        figure = draw_losses(found, job.starts, deciding, evaluation.confidence)
        write_svg(figure, files["figure"], name="tab1", title=TITLE, description=description)
    tables = [
        techniques_table(found, deciding, evaluation.confidence),
        falls_table(found, job.starts, deciding, evaluation.confidence),
        readings_table(read, evaluation.confidence),
        *([benchmarks_table(losses, job.starts, benchmarks, bootstrap)] if len(benchmarks) > 1 else []),
    ]
    exhibit = Exhibit(
        id="tab1",
        title=TITLE,
        lead=(
            "The techniques differ in where trajectories come from. Does each of them lower the same outer loss, that "
            "of the answer after a trajectory?"
        ),
        scale=step.scale,
        description=description,
        caption=(
            "The answer's loss after trajectories of held-out questions, before and after each training, and how "
            "far it falls, paired by question: after correct trajectories written beforehand, the same for "
            "all models (left), and after each model's own, right or wrong (right)."
            + (" Tinted: the source that the technique learns from, which decides the claim." if deciding else "")
        ),
        done=_what_was_done(losses, evaluation, benchmarks),
        deviations=_deviations(losses),
        n=[
            ("models", losses["model"].n_unique()),
            ("benchmarks", len(benchmarks)),
            ("questions", losses["question_id"].n_unique()),
            ("trajectories read", losses.height),
            ("training seeds", losses["seed"].n_unique()),
        ],
        tables=tables,
        sources=sources,
    )
    write_exhibit(exhibit, files["exhibit"])
    write_text("\n\n".join([f"# {TITLE}", *(table.markdown() for table in tables)]) + "\n", files["markdown"])


def deciding_test(claims: Path, reported: Path) -> OuterLossFalls | None:
    """The registered test of Table 1, if it has one.

    Raises:
        ConfigError: as in `load_registry`.
    """
    tests = [claim.test for claim in load_registry(claims, reported).claims if claim.exhibit == "tab1"]
    return next((test for test in tests if isinstance(test, OuterLossFalls)), None)


def deciding_rows(test: OuterLossFalls | None, starts: Mapping[str, str]) -> list[tuple[str, Source]]:
    """Models and sources that decide the claim, where it compares with the model that training started from."""
    techniques = test.techniques if test else []
    return [(one.model, one.source) for one in techniques if starts.get(one.model) == one.start]


def read_losses(paths: list[Path], kinds: Collection[str]) -> pl.DataFrame:
    """The main models' rows of all files, on benchmarks of `kinds`.

    Raises:
        DataError: a file is unreadable, two hold the same seed, or no trained model is in them.
    """
    tables = [read_table(path, OuterLoss) for path in paths]
    seeds = [seed for table in tables for seed in table["seed"].unique()]
    if len(set(seeds)) != len(seeds):
        raise DataError(f"--outer names a training seed twice: the files hold the seeds {sorted(seeds)}")
    shown = pl.col("model").is_in(list(MODEL_LABELS)) & pl.col("kind").is_in(list(kinds))
    losses = pl.concat(tables).filter(shown)
    trained = [model for models in TECHNIQUES.values() for model in models]
    if not set(trained) & set(losses["model"]):
        raise DataError(
            f"{', '.join(map(str, paths))} hold no outer loss of {', '.join(trained)} on benchmarks of kind "
            f"{', '.join(kinds)}; rerun the probe, `python -m raml.probing.outer`"
        )
    return losses


def describe(found: Falls, confidence: float) -> str:
    """The figure in words."""
    parts = [
        f"For each trained model the outer loss before and after training, with {confidence:.0%} intervals, and its "
        "fall around a line at 0; in nats per answer token."
    ]
    for source, label in SOURCES.items():
        said = []
        for (model, of), one in found.items():
            if of == source:
                cell = interval_cell(one.fall)
                said.append(f"{MODEL_LABELS[model]} {cell.text} ({cell.small})")
        parts.append(f"Fall after {label}: {', '.join(said)}.")
    return " ".join(parts)


def _what_was_done(losses: pl.DataFrame, evaluation: Evaluation, benchmarks: list[str]) -> list[str]:
    each = max(losses.group_by("model", "seed", "question_id", "source").len()["len"])
    seeds = losses["seed"].n_unique()
    return [
        "The gold answer was forced after a whole trajectory, the end of the thinking and the answer marker; its mean "
        "negative log-likelihood is the loss of Eq. 8 at the end of the inner loop. Taken on "
        f"{count(losses['question_id'].n_unique(), 'held-out question')} of {', '.join(benchmarks)}, up to "
        f"{count(each, 'trajectory')} of each source a question.",
        "Oracle trajectories are correct ones that were written beforehand, the same for every model. Own trajectories "
        "were sampled from the model whose loss it is, right or wrong, the first that ended with an answer within the "
        "limit of tokens; before training they are those of the model that it starts from. Models differ in how many "
        "the limit cut off, which is in the last column of what reading does: they are compared by what is left.",
        "The fall is paired: the mean over a question's trajectories before training less that after it, in the same "
        "training seed, then the mean over questions, each counting once. "
        + how_intervals_are_made(evaluation, "loss", "fall", seeds),
    ]


def _deviations(losses: pl.DataFrame) -> list[str]:
    absent = [label for model, label in MODEL_LABELS.items() if model not in set(losses["model"])]
    return [
        "The paper's table is in words alone; the loss and its fall are additions.",
        "The paper's techniques are those of large language models in general. Here one model was trained by each, on "
        "the same questions, and its loss taken on this scale's own benchmarks: compare signs and order.",
        "On-policy trajectories are of the finished model, not of the model at each step of its training.",
        *(f"{label} has not been run yet." for label in absent),
    ]


if __name__ == "__main__":
    run(main, Job, **FILES)
