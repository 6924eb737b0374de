"""The tables of `prop21`: residuals of blocks, equality of the logits, norms and cosines of updates."""

from typing import Final

import polars as pl

from raml.claims.decision import interval_or_none
from raml.claims.downhill import QUARTERS, SOURCES, quarters
from raml.evaluation.intervals import Bootstrap, Interval, cells
from raml.report.exhibit import Cell, Column, Row, Table
from raml.report.numbers import measurement, number, percent
from raml.report.prop21_figure import SOURCE_LABELS

PROJECTIONS: Final = ("output", "value")
DRAWN: Final = "output"  # the projection that the figure shows
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
    """Errors of the paper's construction on random blocks; `means` as from `construction.random_means`."""
    paper = means.filter(construction="paper")
    if paper.is_empty():
        return []
    lengths = sorted(paper["prompt_length"].unique())
    rows = [
        Row(
            heading=f"width {dimension}",
            cells=[
                Cell(
                    text=number(row["relative_error"], 2),
                    small=f"{number(row['lowest'], 2)} to {number(row['highest'], 2)}",
                )
                for row in paper.filter(dimension=dimension).sort("prompt_length").iter_rows(named=True)
            ],
        )
        for dimension in sorted(paper["dimension"].unique())
    ]
    worst = means.filter(construction="exact")["highest"].to_list()
    return [
        Table(
            caption="Relative error of a random block's output, the paper's construction: mean, lowest and highest",
            corner="block",
            columns=[Column(heading=str(length), group="prompt length (tokens)") for length in lengths],
            rows=rows,
            note=f"The exact rank-one update of the same blocks leaves at most {number(max(worst), 2)}."
            if worst
            else "",
        )
    ]


def model_table(blocks: pl.DataFrame, bootstrap: Bootstrap, confidence: float) -> list[Table]:
    """Residuals of both constructions on each of the model's layers."""
    of_model = blocks.filter(pl.col("source") != "random")
    rows = []
    for layer in sorted(of_model["layer"].unique()):
        by_name = [of_model.filter(layer=layer, construction=name) for name in ("paper", "exact")]
        rows.append(
            Row(
                heading=f"layer {layer}",
                cells=[
                    _cell(interval_or_none(cells(chosen, value), bootstrap, "block", str(layer), value, str(place)))
                    for place, chosen in enumerate(by_name)
                    for value in ("relative_error", "relative_norm")
                ],
            )
        )
    if not rows:
        return []
    return [
        Table(
            caption=f"The model's own blocks, with {confidence:.0%} intervals",
            corner="block",
            columns=[
                Column(heading=heading, group=group)
                for group in ("the paper's construction", "exact update")
                for heading in ("error of the output", "change of the weights")
            ],
            rows=rows,
            note="Both relative. The further token is the first one of a correct trajectory.",
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


def _cell(interval: Interval | None) -> Cell:
    if interval is None:
        return NONE
    if 0 < abs(interval.estimate) < 1e-4:
        small = f"{number(interval.lower, 2)} to {number(interval.upper, 2)}"
        return Cell(text=number(interval.estimate, 2), small=small)
    text, small = measurement(interval.estimate, (interval.lower, interval.upper))
    return Cell(text=text, small=small)
