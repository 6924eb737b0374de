"""Tables of Table 3: in the paper's layout, by the base's long share, and the lead on each benchmark."""

from collections.abc import Sequence

from raml.report.exhibit import NONE, ONE_QUESTION, Cell, Column, Row, Table
from raml.report.numbers import MINUS
from raml.report.scores import (
    NOT_RUN,
    PAPER_MODEL,
    Reported,
    bounded,
    columns_beside,
    lead_cell,
    measured_cells,
    reported_cells,
    score_cell,
)
from raml.report.style import MODEL_LABELS
from raml.report.tab3_scores import COLD, REPORTED, ROLES, ZERO, Inputs, Scores, cold_lead, members, share_label
from raml.runs import Regime

LEAD = "cold start's lead"


def comparison(given: Inputs, reported: Reported, upper: Sequence[Scores], size: str) -> Table:
    """The paper's table: both ways, and the lead of the second; ours on the left and the paper's on the right."""
    measured = given.measured
    leads = [one.leads[row] for row, _ in enumerate(measured.benchmarks) for one in upper]
    run = {ZERO, COLD} <= set(measured.models)
    zero, cold = (reported_cells(reported, REPORTED[model]) for model in (ZERO, COLD))
    rows = [
        Row(heading=MODEL_LABELS[model], cells=[*measured_cells(measured, model), *reported_cells(reported, name)])
        for model, name in REPORTED.items()
    ]
    ours = [lead_cell(one, ONE_QUESTION if run else NOT_RUN) for one in leads]
    theirs = [_difference(*cells) for cells in zip(cold, zero, strict=True)]
    return Table(
        caption=(
            f"Ours and the paper's on the main base model, in per cent (the lead in points), with "
            f"{given.bootstrap.confidence:.0%} intervals where measured here"
        ),
        corner="technique",
        columns=columns_beside(measured, reported, size),
        rows=[*rows, Row(heading=LEAD, cells=[*ours, *theirs])],
        note=(
            f"Not like for like: ours is a model of {size} parameters on its own benchmarks, the paper's is "
            f"{PAPER_MODEL} on competition mathematics. The paper's lead is the plain difference of its two rows."
        ),
    )


def shares_table(given: Inputs, lower: Sequence[Scores]) -> Table:
    """Scores and lead of every regime, benchmarks pooled."""
    present = set(given.evaluations["model"])

    def cells(number: int, regime: Regime) -> list[Cell]:
        found = []
        for one in lower:
            for dots, model in zip(one.roles, members(regime).values(), strict=True):
                found.append(score_cell(dots.intervals[number], ONE_QUESTION if model in present else NOT_RUN))
            run = {regime.zero_grpo, regime.sft_grpo} <= present
            found.append(lead_cell(one.leads[number], ONE_QUESTION if run else NOT_RUN))
        return found

    return Table(
        caption=(
            f"By the share of long trajectories in the base's documents, in per cent (the lead in points), with "
            f"{given.bootstrap.confidence:.0%} intervals"
        ),
        corner="long share",
        columns=[
            Column(heading=heading, group=metric)
            for metric in given.metrics
            for heading in (*(label for label, _ in ROLES.values()), LEAD)
        ],
        rows=[
            Row(
                heading=share_label(regime.long_share) + (" (main)" if regime.zero_grpo == ZERO else ""),
                cells=cells(number, regime),
            )
            for number, regime in enumerate(given.regimes)
        ],
        note=f"All questions of {', '.join(given.pooled)} together, each counting once.",
    )


def leads_table(given: Inputs) -> Table:
    """The lead on each benchmark by itself, for every regime."""
    present = set(given.evaluations["model"])

    def cell(benchmark: str, metric: str, zero: str, cold: str) -> Cell:
        if not {zero, cold} <= present:
            return NOT_RUN
        found = cold_lead(given.on([benchmark]), zero, cold, metric, given.bootstrap)
        return lead_cell(bounded(found.benchmarks[benchmark].difference), ONE_QUESTION)

    return Table(
        caption=f"The cold start's lead on each benchmark, in points, with {given.bootstrap.confidence:.0%} intervals",
        corner="benchmark",
        columns=[
            Column(heading=f"share {share_label(regime.long_share)}", group=metric)
            for metric in given.metrics
            for regime in given.regimes
        ],
        rows=[
            Row(
                heading=name,
                cells=[
                    cell(name, metric, regime.zero_grpo, regime.sft_grpo)
                    for metric in given.metrics
                    for regime in given.regimes
                ],
            )
            for name in given.pooled
        ],
    )


def _difference(cold: Cell, zero: Cell) -> Cell:
    """The paper's numbers, one less the other, with the decimals that it prints."""
    if NONE in (cold, zero):
        return NONE
    return Cell(text=f"{float(cold.text) - float(zero.text):+.2f}".replace("-", MINUS))
