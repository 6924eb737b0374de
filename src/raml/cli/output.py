"""How commands print: lines, tables and JSON."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from raml.redaction import redacted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PIPED_COLUMNS = 120
COLOURS = {
    **dict.fromkeys(("holds", "ok", "identical"), "green"),
    **dict.fromkeys(("contradicted", "error", "different"), "red"),
    **dict.fromkeys(("inconclusive", "warning", "within tolerance"), "yellow"),
    "not_run": "dim",
}


def print_line(*parts: "str | Text", style: str = "", wrap: bool = False) -> None:
    """Print a line; prose with `wrap` is broken between words, what people copy (paths, commands) is not."""
    _console().print(*map(_safe, parts), style=style, soft_wrap=not wrap, sep="")


def print_table(
    title: str,
    headings: Sequence[str],
    rows: "Iterable[Sequence[str | Text]]",
    *,
    texts: int = 1,
    wide: str = "",
    separate: bool = False,
) -> None:
    """Print a table as wide as the terminal, or as `PIPED_COLUMNS`; nothing is cut off at 80 columns.

    Args:
        title: stands above the table.
        headings: one for each column.
        rows: of cells, as many as headings.
        texts: the first so many columns are flush left, the others are numbers and flush right.
        wide: the column, if any, that takes what room is left and breaks its lines.
        separate: with a line between rows.
    """
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    table.show_lines = separate
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if place < texts or heading == wide else "right"
        vertical: Literal["top", "bottom"] = "top" if wide else "bottom"
        ratio = 1 if heading == wide else None
        table.add_column(
            heading, justify=justify, vertical=vertical, no_wrap=heading != wide, overflow="fold", ratio=ratio
        )
    for row in rows:
        table.add_row(*map(_safe, row))
    _console().print(table)


def coloured(word: str) -> "Text":
    """A verdict, status or outcome in its colour."""
    from rich.text import Text

    return Text(word, COLOURS.get(word, ""))


def print_json(value: Any) -> None:
    """A model, a dataclass, or a list or mapping of such, with sorted keys as `raml.storage.write_json` has them."""
    from pydantic_core import to_jsonable_python

    print(redacted(json.dumps(to_jsonable_python(value), indent=2, sort_keys=True, ensure_ascii=False)))


def _safe(part: "str | Text") -> "str | Text":
    return redacted(part) if isinstance(part, str) else part


def _console() -> "Console":
    from rich.console import Console

    terminal = Console(markup=False, highlight=False, emoji=False)
    if not (terminal.is_terminal or "COLUMNS" in os.environ):
        terminal.width = PIPED_COLUMNS
    return terminal
