"""Tables as CSV in the page itself: a link to a `data:` address, made when the page is built."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from raml.claims.result import ClaimResult
from raml.report.exhibit import Table
from raml.report.numbers import MINUS

Lines = Sequence[Sequence[object]]
EFFECTS = ("claim", "effect", "unit", "estimate", "lower", "upper", "side", "threshold", "questions", "seeds")
VERDICTS = ("verdict of the effect", "verdict of the claim", "verdict after Holm", "p", "p after Holm")


def address(lines: Lines) -> str:
    """The `data:` address of a CSV file with these lines; nothing stands for None."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return f"data:text/csv;charset=utf-8,{quote(text.getvalue())}"


def of_table(table: Table) -> Lines:
    """A table's lines: numbers are plain, and the two ends of an interval have columns of their own."""
    grouped = any(row.group for row in table.rows)
    header: list[object] = [*["group"] * grouped, table.corner]
    parts = []
    for place, column in enumerate(table.columns):
        name = ", ".join(filter(None, (column.side, column.group, column.heading)))
        smalls = [row.cells[place].small for row in table.rows]
        ends, note = any(map(_ends, smalls)), any(small and not _ends(small) for small in smalls)
        header += [name, *([f"{name}, lower", f"{name}, upper"] if ends else []), *[f"{name}, note"] * note]
        parts.append((ends, note))
    lines = [header]
    for row in table.rows:
        line: list[object] = [*[row.group] * grouped, row.heading]
        for cell, (ends, note) in zip(row.cells, parts, strict=True):
            found = _ends(cell.small)
            line += [plain(cell.text), *((found or ("", "")) if ends else ()), *["" if found else cell.small] * note]
        lines.append(line)
    return lines


def of_effects(claims: Iterable[ClaimResult]) -> Lines:
    """The effects that decide the claims, with all digits."""
    lines: list[tuple[object, ...]] = [(*EFFECTS, *VERDICTS)]
    for claim in claims:
        whole = (claim.verdict, claim.verdict_holm, claim.p, claim.p_holm)
        for one in claim.effects:
            ends = one.interval or (None, None)
            place = (one.side, one.threshold, one.questions, one.seeds)
            lines.append((claim.id, one.label, one.unit, one.estimate, *ends, *place, one.verdict, *whole))
        if not claim.effects:
            lines.append((claim.id, *[None] * len(EFFECTS), *whole))
    return lines


def plain(text: str) -> str:
    """A number as programs read it, `-1436.2` for a printed one with a real minus sign and commas; other text as is."""
    number = text.replace(MINUS, "-").replace(",", "").removeprefix("+")
    return number if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", number) else text


def _ends(small: str) -> tuple[str, str] | None:
    """The two ends of a printed interval, `−0.1 to 0.3`."""
    ends = [plain(part) for part in small.split(" to ")]
    if len(ends) == 2 and all(re.fullmatch(r"-?[\d.]+(e-?\d+)?", end) for end in ends):
        return ends[0], ends[1]
    return None
