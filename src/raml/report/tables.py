"""Tables of effects: a cell where a row and a column of an entry cross."""

from raml.report.entry import Item, TableEntry
from raml.report.exhibit import NONE, Cell, Column, Row, Table
from raml.report.shown import ALIKE, Effects, cell


def build(entry: TableEntry, effects: Effects) -> Table:
    """The table with its numbers.

    Raises:
        ConfigError: a cell names an effect that nobody makes.
    """
    return Table(
        caption=entry.caption,
        corner=entry.corner,
        columns=[
            Column(heading=one.label, group=one.group, side=one.side, reported=one.paper) for one in entry.columns
        ],
        rows=[
            Row(heading=row.label, group=row.group, cells=[_cell(row, column, effects) for column in entry.columns])
            for row in entry.rows
        ],
        note=entry.note,
        numeric=entry.numeric,
    )


def _cell(row: Item, column: Item, effects: Effects) -> Cell:
    for one, other in ((row, column), (column, row)):
        for key in (other.label, f"{other.group} {other.label}".strip()):
            if key in one.cells:
                text, small = (said, "") if isinstance(said := one.cells[key], str) else said
                return Cell(text=text, small=small)
            if key in one.reported:
                return Cell(text=f"{one.reported[key]:.2f}")
    if row.paper or column.paper:
        return NONE
    found = effects.find(row, column)
    if (count := row.count or column.count) is not None:
        return Cell(text=f"{getattr(found, count):,}") if found else NONE
    if found is None and effects.alike(row, column):
        return ALIKE
    return cell(found, column.show or row.show)
