"""Tables of Table 1: the techniques as inner and outer loop, what training did to the outer loss, what reading does."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import polars as pl

from raml.evaluation.intervals import Bootstrap
from raml.report.exhibit import NONE, ONE_QUESTION, Cell, Column, Row, Table, interval_cell
from raml.report.numbers import percent
from raml.report.scores import NOT_RUN
from raml.report.style import MODEL_LABELS
from raml.report.tab1_losses import SOURCES, TECHNIQUES, Fall, Falls, Reading, Source, mean_fall, trained_models

# In our words: the support set of the inner loop, the outer objective, and the origin of trajectories.
WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "SFT": (
        "a correct trajectory, one of several of the question",
        "likelihood of the trajectory and of the answer after it",
        "off-policy: written beforehand by another writer",
    ),
    "DPO": (
        "a correct and a wrong trajectory of the question, as a pair",
        "how much more likely the correct one becomes than the wrong one, against the start (logistic loss)",
        "off-policy: written beforehand by another writer",
    ),
    "GRPO": (
        "a group of trajectories of the question",
        "the expected reward of Eq. 21, by a clipped policy gradient with rewards relative to the group",
        "on-policy: sampled from the model as it is being trained",
    ),
}


def techniques_table(found: Falls, deciding: Collection[tuple[str, Source]], confidence: float) -> Table:
    """The paper's table in words, with what decides the claim as its last column."""

    def measured(models: Sequence[str]) -> Cell:
        meant = [(model, source) for model, source in deciding if model in models]
        if not meant:
            return NONE
        model, source = meant[0]
        cell = _fall_cell(found.get((model, source)))
        return Cell(text=cell.text, small=f"{cell.small}; {MODEL_LABELS[model]}, {SOURCES[source]}".removeprefix("; "))

    return Table(
        caption="Three techniques as one inner and outer loop",
        corner="technique",
        columns=[
            Column(heading="inner loop reads"),
            Column(heading="outer loop optimises"),
            Column(heading="where trajectories come from"),
            Column(heading="fall of the outer loss (nats/token)"),
        ],
        rows=[
            Row(heading=technique, cells=[*(Cell(text=text) for text in words), measured(TECHNIQUES[technique])])
            for technique, words in WORDS.items()
        ],
        note=(
            "The inner loop is the same for all: a trajectory is read token by token, each of which acts on the answer "
            "as an update of the weights would, and the loss that counts is that of the answer after it (Eq. 8). The "
            f"last column is measured here, with {confidence:.0%} intervals: how far training lowers that loss on "
            "held-out questions, after trajectories from where the technique takes them."
        ),
        numeric=False,
    )


def falls_table(
    found: Falls, starts: Mapping[str, str], deciding: Collection[tuple[str, Source]], confidence: float
) -> Table:
    """The outer loss before and after, and its fall, for all trained models and both sources."""
    rows = []
    for technique, models in TECHNIQUES.items():
        for model in models:
            cells = []
            for source in SOURCES:
                one = found.get((model, source))
                if one is None:
                    cells += [NOT_RUN] * (3 if source == "oracle" else 4)
                    continue
                fall, mark = _fall_cell(one), "*" if (model, source) in deciding else ""
                cells += [interval_cell(one.before, ONE_QUESTION), interval_cell(one.after, ONE_QUESTION)]
                cells.append(Cell(text=f"{fall.text}{mark}", small=fall.small))
                if source == "own":
                    cells.append(interval_cell(one.among_right))
            start = f", from {MODEL_LABELS.get(starts[model], starts[model])}" if model in starts else ""
            rows.append(Row(heading=f"{MODEL_LABELS[model]}{start}", cells=cells, group=technique))
    marked = "* decides the claim. " if deciding else ""
    return Table(
        caption=f"Outer loss on held-out questions, nats per answer token, with {confidence:.0%} intervals",
        corner="model",
        columns=[
            Column(heading=heading, group=label)
            for source, label in SOURCES.items()
            for heading in ("before", "after", "fall", *(["fall, right ones alone"] if source == "own" else []))
        ],
        rows=rows,
        note=(
            f"{marked}Before: the model that training started from, on the same questions; its own trajectories are "
            "those that it wrote itself. A model that is right more often reads fewer wrong trajectories of its own, "
            "which alone lowers its loss; the last column compares right ones with right ones, of the questions that "
            "have both."
        ),
    )


def benchmarks_table(
    losses: pl.DataFrame, starts: Mapping[str, str], benchmarks: Sequence[str], bootstrap: Bootstrap
) -> Table:
    """The fall on each benchmark by itself."""
    present = trained_models(losses)

    def cell(model: str, source: Source, benchmark: str) -> Cell:
        if model not in present:
            return NOT_RUN
        on_it = losses.filter(source=source, benchmark=benchmark)
        fall = mean_fall(on_it, starts[model], model, bootstrap, source, benchmark)
        return interval_cell(fall, ONE_QUESTION)

    return Table(
        caption=f"Fall of the outer loss on each benchmark, with {bootstrap.confidence:.0%} intervals",
        corner="model",
        columns=[Column(heading=name, group=label) for label in SOURCES.values() for name in benchmarks],
        rows=[
            Row(
                heading=MODEL_LABELS[model],
                cells=[cell(model, source, name) for source in SOURCES for name in benchmarks],
                group=technique,
            )
            for technique, models in TECHNIQUES.items()
            for model in models
        ],
    )


def readings_table(found: Mapping[tuple[str, Source], Reading], confidence: float) -> Table:
    """The inner loop: the answer NLL without and after a trajectory, for every model."""

    def cells(model: str, source: Source) -> list[Cell]:
        reading = found.get((model, source))
        if reading is None:
            return [NOT_RUN] * (3 if source == "oracle" else 5)
        values = [interval_cell(one, ONE_QUESTION) for one in (reading.without, reading.after, reading.fall)]
        if source == "oracle":
            return values
        cut = NONE if reading.cut_off is None else Cell(text=percent(reading.cut_off))
        return [*values, Cell(text=percent(reading.right)), cut]

    return Table(
        caption=f"What reading a trajectory does, nats per answer token, with {confidence:.0%} intervals",
        corner="model",
        columns=[
            Column(heading=heading, group=SOURCES[source])
            for source in SOURCES
            for heading in ("without", "after", "fall", *(["right, %", "cut off, %"] if source == "own" else []))
        ],
        rows=[
            Row(heading=label, cells=[cell for source in SOURCES for cell in cells(model, source)])
            for model, label in MODEL_LABELS.items()
        ],
        note=(
            "Without: the answer forced after an empty trajectory. All oracle trajectories are right. Cut off: the "
            "share of the model's samples that did not end within the limit of tokens; those are left out of all else."
        ),
    )


def _fall_cell(one: Fall | None) -> Cell:
    return NOT_RUN if one is None else interval_cell(one.fall, ONE_QUESTION)
