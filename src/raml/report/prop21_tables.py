"""The tables of `prop21`: residuals of blocks, equality of the logits, norms and cosines of updates."""

from typing import Final

import polars as pl

from raml.claims.construction import CONSTRUCTIONS
from raml.claims.decision import interval_or_none
from raml.claims.downhill import QUARTERS, SOURCES, quarters
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.report.exhibit import Cell, Column, Row, Table, interval_cell
from raml.report.numbers import number, percent
from raml.report.prop21_figure import CONSTRUCTION_LABELS, SOURCE_LABELS

PROJECTIONS: Final = ("output", "value")
DRAWN: Final = "output"  # the projection that the figure shows
BASELINES: Final = (
    "Two baselines: the weights unchanged, so that the further token is simply not read, and the paper's changed query "
    "alone, with keys and values as they are."
)
NONE: Final = Cell(text="\N{EN DASH}", small="too few questions")


def by_layer(layers: pl.DataFrame, bootstrap: Bootstrap) -> dict[str, list[Interval | None]]:
    """By source the mean cosine of each layer, all prefixes."""
    return {
        source: [
            interval_or_none(cells(of_layer, "cosine"), bootstrap, "layer", str(layer), source)
            for layer in sorted(layers["layer"].unique())
            for of_layer in [layers.filter(source=source, layer=layer)]
        ]
        for source in SOURCES
    }


def random_table(means: pl.DataFrame) -> list[Table]:
    """Errors of all constructions on random blocks; `means` as from `construction.random_means`."""
    lengths = sorted(means["prompt_length"].unique())
    rows = [
        Row(
            heading=f"{CONSTRUCTION_LABELS[name]}, width {dimension}",
            cells=[
                Cell(
                    text=number(row["relative_error"], 2),
                    small=f"{number(row['lowest'], 2)} to {number(row['highest'], 2)}",
                )
                for row in of_width.sort("prompt_length").iter_rows(named=True)
            ],
        )
        for name in CONSTRUCTIONS
        for dimension in sorted(means["dimension"].unique())
        if (of_width := means.filter(construction=name, dimension=dimension)).height
    ]
    if not rows:
        return []
    return [
        Table(
            caption="Relative error of a random block's output: mean, lowest and highest of its draws",
            corner="block",
            columns=[Column(heading=str(length), group="prompt length (tokens)") for length in lengths],
            rows=rows,
            note=BASELINES,
        )
    ]


def model_table(blocks: pl.DataFrame, bootstrap: Bootstrap, confidence: float) -> list[Table]:
    """Residuals of all constructions on each of the model's layers."""
    of_model = blocks.filter(pl.col("source") != "random")
    measured = [
        (name, value)
        for name in CONSTRUCTIONS
        for value in ("relative_error", "relative_norm")
        if (name, value) != ("none", "relative_norm")
    ]
    rows = [
        Row(
            heading=f"layer {layer}",
            cells=[
                _cell(
                    interval_or_none(
                        cells(of_model.filter(layer=layer, construction=name), value),
                        bootstrap,
                        "block",
                        str(layer),
                        value,
                        name,
                    )
                )
                for name, value in measured
            ],
        )
        for layer in sorted(of_model["layer"].unique())
    ]
    if not rows:
        return []
    headings = {"relative_error": "error of the output", "relative_norm": "change of the weights"}
    return [
        Table(
            caption=f"The model's own blocks, with {confidence:.0%} intervals",
            corner="block",
            columns=[Column(heading=headings[value], group=CONSTRUCTION_LABELS[name]) for name, value in measured],
            rows=rows,
            note=(
                "Both relative. The further token is the first one of a correct trajectory. A changed query is turned "
                f"as at that token's position. {BASELINES} The claim is judged by layer 0."
            ),
        )
    ]


def same_output_table(updates: pl.DataFrame, bootstrap: Bootstrap, confidence: float) -> list[Table]:
    """How near the changed model comes, for either projection; correct trajectories."""
    prefixes = updates.filter(pl.col("correct"), layer=0, source="trajectory")
    rows = []
    for projection in PROJECTIONS:
        chosen = prefixes.filter(projection=projection)
        if chosen.height:
            difference = chosen["logit_difference"]
            within = percent(float((difference <= 1e-3).to_numpy().mean()))
            cells_ = [
                _cell(interval_or_none(cells(chosen, "logit_difference"), bootstrap, "same output", projection)),
                Cell(text=number(difference.to_numpy().max(), 2)),
                Cell(text=within),
                _cell(interval_or_none(cells(chosen, "nll_difference"), bootstrap, "same nll", projection)),
            ]
            rows.append(Row(heading=f"{projection} projections", cells=cells_))
    if not rows:
        return []
    headings = [
        "largest difference of a logit",
        "worst prefix",
        "prefixes below 0.001, %",
        "difference of the NLL (nats)",
    ]
    return [
        Table(
            caption=f"The whole model under the update against reading the trajectory, with {confidence:.0%} intervals",
            corner="changed",
            columns=[Column(heading=heading) for heading in headings],
            rows=rows,
            note=(
                "One change has to serve all positions that predict answer tokens. Neighbouring positions attend "
                "almost alike, so the value projections' conditions nearly repeat one another, and where the answers "
                "to them differ the least-norm change is far larger than the weights, more than single precision holds."
            ),
        )
    ]


def along_table(directions: pl.DataFrame, bootstrap: Bootstrap, confidence: float) -> list[Table]:
    """Cosines and relative norms at each quarter of the trajectory."""
    tables = []
    for value, what in (
        ("cosine", "Cosine with the negative gradient"),
        ("relative_norm", "Norm against the weights'"),
    ):
        rows = []
        for projection in PROJECTIONS:
            for correct in (True, False):
                for source in SOURCES:
                    chosen = directions.filter(pl.col("correct") == correct, projection=projection, source=source)
                    if chosen.height:
                        kind = "correct" if correct else "incorrect"
                        found = quarters(chosen, value, bootstrap)
                        rows.append(
                            Row(
                                heading=f"{projection}, {kind}, {SOURCE_LABELS[source]}",
                                cells=[_cell(interval) for interval in found.values()],
                            )
                        )
        if rows:
            tables.append(
                Table(
                    caption=f"{what}, with {confidence:.0%} intervals",
                    corner="projection, trajectories, order",
                    columns=[
                        Column(heading=f"{quarter / len(QUARTERS):.0%}", group="share of the trajectory read")
                        for quarter in QUARTERS
                    ],
                    rows=rows,
                )
            )
    return tables


def loss_table(directions: pl.DataFrame, bootstrap: Bootstrap, confidence: float) -> list[Table]:
    """The answer NLL's change under the update, to first order and actual, at each quarter of the trajectory."""
    rows = []
    for correct in (True, False):
        for source in SOURCES:
            chosen = directions.filter(pl.col("correct") == correct, projection=DRAWN, source=source)
            if chosen.is_empty():
                continue
            kind = f"{'correct' if correct else 'incorrect'}, {SOURCE_LABELS[source]}"
            for value, label in (("first_order", "to first order"), ("actual", "actual")):
                found = quarters(chosen, value, bootstrap)
                rows.append(Row(heading=f"{kind}: {label}", cells=[_cell(interval) for interval in found.values()]))
            agreed = quarters(chosen, "agreement", bootstrap)
            rows.append(
                Row(heading=f"{kind}: signs agree, %", cells=[_percent_cell(interval) for interval in agreed.values()])
            )
    if not rows:
        return []
    return [
        Table(
            caption=f"Change of the gold answer's NLL under the update (nats), with {confidence:.0%} intervals",
            corner="trajectories, order",
            columns=[
                Column(heading=f"{quarter / len(QUARTERS):.0%}", group="share of the trajectory read")
                for quarter in QUARTERS
            ],
            rows=rows,
            note=(
                "Output projections. To first order: minus the inner product of the update with the negative "
                "gradient. Actual: the NLL with the prefix, which is that under the update, less the NLL without it."
            ),
        )
    ]


def layers_table(layers: pl.DataFrame, bootstrap: Bootstrap, confidence: float) -> list[Table]:
    """Cosines of each layer."""
    meant = layers.filter(pl.col("correct"), projection=DRAWN)
    found = by_layer(meant, bootstrap)
    numbers = sorted(meant["layer"].unique())
    if not numbers:
        return []
    return [
        Table(
            caption=f"Cosine with the negative gradient by layer, output projections, with {confidence:.0%} intervals",
            corner="trajectories",
            columns=[Column(heading=str(layer), group="layer") for layer in numbers],
            rows=[
                Row(heading=SOURCE_LABELS[source], cells=[_cell(interval) for interval in found[source]])
                for source in SOURCES
            ],
            note="Correct trajectories and the nulls made from them; all prefixes.",
        )
    ]


def _percent_cell(interval: Interval | None) -> Cell:
    if interval is None:
        return NONE
    return Cell(text=percent(interval.estimate), small=f"{percent(interval.lower)} to {percent(interval.upper)}")


def _cell(interval: Interval | None) -> Cell:
    if interval is not None and 0 < abs(interval.estimate) < 1e-4:
        small = f"{number(interval.lower, 2)} to {number(interval.upper, 2)}"
        return Cell(text=number(interval.estimate, 2), small=small)
    return interval_cell(interval, NONE)
