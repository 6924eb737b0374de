"""What the page shows, gathered from stored results, and the Jinja environment that renders it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from raml.claims.result import ClaimResult
from raml.errors import DataError
from raml.report import numbers, style
from raml.report.exhibit import Column, Exhibit, Row, read_exhibit
from raml.report.scores import PAPER_MODEL

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """An exhibit with its figure, ready to stand in the page, and the claims that it decides."""

    exhibit: Exhibit
    figure: Markup
    figure_path: str
    claims: list[ClaimResult]


def environment() -> Environment:
    """Jinja with everything escaped and undefined names refused."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters |= {
        "number": numbers.number,
        "measurement": numbers.measurement,
        "reported": reported,
        "row_groups": row_groups,
        "runs": runs,
        "heat": heat,
        "label": label,
        "model_label": model_label,
        "in_order": in_order,
    }
    jinja.globals |= {"style": style, "millions": numbers.millions, "paper_model": PAPER_MODEL}
    return jinja


def read_sections(exhibits: Sequence[Path], figures: Sequence[Path], claims: Sequence[ClaimResult]) -> list[Section]:
    """The exhibits in the given order, each with the figure of its name.

    Raises:
        DataError: an exhibit or figure is missing or malformed.
    """
    by_name = {path.stem: path for path in figures}
    sections = []
    for path in exhibits:
        exhibit = read_exhibit(path)
        if exhibit.id not in by_name:
            raise DataError(f"no figure {exhibit.id}.svg for {path}; --figures has {', '.join(sorted(by_name))}")
        figure = by_name[exhibit.id]
        decided = [claim for claim in claims if claim.exhibit == exhibit.id]
        sections.append(Section(exhibit, inline_svg(figure), figure.as_posix(), decided))
    return sections


def inline_svg(path: Path) -> Markup:
    """A figure of `raml.report.svg` as an element of the page: its colours follow the page's theme.

    Raises:
        DataError: the file is missing or not an SVG.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); `snakemake --cores 2 {path}` makes it") from None
    start = text.find("<svg")
    if start < 0 or not text.rstrip().endswith("</svg>"):
        raise DataError(f"{path} is not a whole SVG; delete it and rerun")
    text = text[start:].strip()
    text = re.sub(r' (?:width|height)="[^"]*pt"', "", text, count=2)
    for name, colour in style.LIGHT.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup(text.replace("font-family: sans-serif", "font-family: var(--sans)"))


def label(exhibit: str) -> str:
    """An exhibit's name for people: `Figure 3` for `fig3`, `Training` for `training`."""
    kinds = {"fig": "Figure", "tab": "Table", "prop": "Proposition", "sec": "Section"}
    if exhibit in ("training", "times"):
        return exhibit.capitalize()
    match = re.fullmatch(r"([a-z]+)([0-9].*)", exhibit)
    return f"{kinds.get(match[1], match[1])} {match[2]}" if match else exhibit


def in_order(models: Sequence[str]) -> list[str]:
    """Models in the order of the paper's Table 2, others after them."""
    order = list(style.MODEL_LABELS)
    return sorted(models, key=lambda name: order.index(name) if name in order else len(order))


def model_label(name: str) -> str:
    """A model's name for people: `SFT long` for `sft_long`."""
    return style.MODEL_LABELS.get(name, name)


def reported(values: dict[str, object] | None) -> list[tuple[str, str]]:
    """What the paper reports as (name, value) pairs, nested names joined; values as they stand.

    The name of the exhibit itself (`figure7`) is left out.
    """
    pairs: list[tuple[str, str]] = []
    for key, value in (values or {}).items():
        if isinstance(value, dict):
            outer = "" if re.fullmatch(r"(figure|table)\d+", key) else f"{key.replace('_', ' ')} "
            pairs.extend((f"{outer}{name}", text) for name, text in reported(value))
        elif value is not None:
            pairs.append((str(key).replace("_", " "), _plain(value)))
    return pairs


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)


def row_groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Neighbouring rows of the same group, each with its heading."""
    return [(heading, list(group)) for heading, group in groupby(rows, lambda row: row.group)]


def runs(columns: Sequence[Column], *attributes: str) -> list[tuple[Column, int]]:
    """Neighbouring columns that share `attributes`, each as its first column and their number."""

    def key(column: Column) -> tuple[Any, ...]:
        return tuple(getattr(column, attribute) for attribute in attributes)

    groups = (list(group) for _, group in groupby(columns, key))
    return [(group[0], len(group)) for group in groups]


def heat(nll: float, start: float) -> str:
    """A token's tint: how unlikely the gold answer still is, from 0 (certain) to 1 (as before thinking, or worse)."""
    return f"{min(nll / start, 1) if start > 0 and math.isfinite(nll) else 0:.2f}"
