"""What there is to say about one exhibit beside its figure: text, numbers and where they come from.

It stands as JSON next to the SVG; the page is a pure function of these files.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raml.errors import DataError
from raml.storage import file_hash, read_json, read_provenance, write_json


class Record(BaseModel):
    """A part of an exhibit: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Source(Record):
    """An input file and the provenance that its metadata carries."""

    path: str
    sha256: str
    scale: str
    config_hash: str
    code_version: str
    seed: int | None
    model_hash: str | None


class Cell(Record):
    """A value, with its interval or a remark in small print under it."""

    text: str
    small: str = ""


NONE = Cell(text="\N{EN DASH}")


class Column(Record):
    """A column's heading; neighbours with the same group, or the same side above it, share those headings."""

    heading: str
    group: str = ""
    side: str = Field(default="", description="who measured it, where a table shows both")
    reported: bool = Field(default=False, description="the paper's number, not ours")


class Row(Record):
    """A row's heading and its cells, one for each column; neighbours with the same group share a heading above them."""

    heading: str
    cells: list[Cell]
    group: str = ""


class Table(Record):
    """A table whose first column heads the rows."""

    caption: str
    corner: str = Field(description="heading of the column of row headings")
    columns: list[Column]
    rows: list[Row]
    note: str = ""
    numeric: bool = True

    def markdown(self) -> str:
        """GitHub-flavoured Markdown: a table for each side, group and heading joined, small print in brackets.

        The heading of a group of rows is a row of its own, in bold and without cells.
        """
        parts = [f"**{self.caption}**"]
        for side in dict.fromkeys(column.side for column in self.columns):
            kept = [index for index, column in enumerate(self.columns) if column.side == side]
            parts += filter(None, (side, self._markdown_columns(kept)))
        return "\n\n".join([*parts, *filter(None, [self.note])])

    def _markdown_columns(self, kept: list[int]) -> str:
        columns = [self.columns[index] for index in kept]
        lines = [
            [self.corner, *(" ".join(filter(None, (column.group, column.heading))) for column in columns)],
            ["---", *("---:" if self.numeric else "---" for _ in columns)],
        ]
        group = ""
        for row in self.rows:
            if row.group != group:
                group = row.group
                lines.append([f"**{group}**" if group else "", *("" for _ in columns)])
            cells = [row.cells[index] for index in kept]
            lines.append([row.heading, *(f"{cell.text} ({cell.small})" if cell.small else cell.text for cell in cells)])
        return "\n".join("| " + " | ".join(_markdown_cell(cell) for cell in line) + " |" for line in lines)


class Token(Record):
    """A trajectory token and the answer NLL after reading it, in nats per answer token."""

    text: str
    nll: float = Field(ge=0)


class Reading(Record):
    """A trajectory as the probe reads it, token by token."""

    heading: str
    prompt: str
    gold_answer: str
    start_nll: float = Field(ge=0)
    tokens: list[Token]


class Exhibit(Record):
    """One exhibit of the paper as measured at one scale."""

    id: str = Field(pattern=r"^[a-z][a-z0-9.]*$")
    title: str
    lead: str = Field(description="what it shows, in a sentence")
    scale: str
    description: str = Field(description="the figure in words, for those who cannot see it")
    caption: str
    done: list[str] = Field(description="what was done")
    deviations: list[str] = Field(description="where this differs from the paper")
    n: list[tuple[str, int]] = Field(description="what was counted, and how many")
    tables: list[Table]
    readings: list[Reading] = []
    sources: list[Source]


def write_exhibit(exhibit: Exhibit, path: Path) -> None:
    """Write the exhibit as JSON.

    Raises:
        RamlError: the file cannot be written.
    """
    write_json(exhibit.model_dump(mode="json"), path)


def read_exhibit(path: Path) -> Exhibit:
    """Read an exhibit.

    Raises:
        DataError: the file is missing, not JSON or not an exhibit.
    """
    try:
        return Exhibit.model_validate(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"{path} is not an exhibit: {where}: {problem['msg']}; delete it and rerun") from None


def read_sources(paths: list[Path], scale: str) -> list[Source]:
    """The provenance of input tables, all of which must be of `scale`.

    Raises:
        DataError: a file carries no provenance, or was made at another scale.
    """
    sources = []
    for path in paths:
        provenance = read_provenance(path)
        if provenance.scale != scale:
            raise DataError(f"{path} was made at scale {provenance.scale!r}, but this report is of scale {scale!r}")
        sources.append(Source(path=path.as_posix(), sha256=file_hash(path)[:12], **provenance.model_dump()))
    return sources


def _markdown_cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
