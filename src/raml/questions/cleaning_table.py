"""What cleaning left out, as a page of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

LONGEST: Final = 300  # characters of an example


def markdown(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Rows of `schemas.CleaningCount` as a table of counts and below it examples of each filter."""
    total = rows[0]["dropped"] + rows[0]["left"] if rows else 0
    lines = [
        f"# What was left out of {name}",
        "",
        f"{total:,} questions; each is dropped by the first filter that applies.",
        "",
        "| filter | what it drops | dropped | share | left |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        share = f"{100 * row['dropped'] / total:.1f}%" if total else "0%"
        lines.append(f"| {row['filter']} | {row['description']} | {row['dropped']:,} | {share} | {row['left']:,} |")
    for row in rows:
        if row["examples"]:
            lines += ["", f"## {row['filter'].capitalize()}", ""]
        for example in row["examples"]:
            lines.append(f"- row {example['row']}: {_code(example['question'])}, answer {_code(example['answer'])}")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """`text` on one line as code, cut; fenced by more backticks than stand in it."""
    short = " ".join(text.split())
    short = short if len(short) <= LONGEST else f"{short[: LONGEST - 1]}…"
    if not short:
        return "(empty)"
    fence = "`" * (1 + max((len(run) for run in "".join(c if c == "`" else " " for c in short).split()), default=0))
    return f"{fence} {short} {fence}" if "`" in short else f"`{short}`"
