"""What pages show, gathered from stored results, and the Jinja environment that renders them."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from raml.claims.labels import MODEL_LABELS, model_label
from raml.claims.result import ClaimResult
from raml.errors import DataError
from raml.report import downloads, numbers, theme
from raml.report.board import effect_texts, stands, strip
from raml.report.context import PAPER_MODEL
from raml.report.exhibit import Column, Exhibit, Row, Source, read_exhibit

TEMPLATES = Path(__file__).parent / "templates"

_IN_DVC = (
    *("trajectories", "models", "probes", "development"),
    *(f"evaluations/{name}" for name in ("samples", "sweeps", "efficiency", "community")),
)

OWN_PAGES = ("training", "times")
"""Exhibits that are none of the paper's."""


@dataclass(frozen=True)
class Section:
    """An exhibit with its figure, ready to stand in a page, and the claims that it decides."""

    exhibit: Exhibit
    path: str
    figure: Markup
    figure_path: str
    claims: list[ClaimResult]

    @property
    def sources(self) -> dict[str, Source]:
        """What it was made from, by path."""
        return {source.path: source for source in self.exhibit.sources}

    @property
    def from_a_whole_run(self) -> bool:
        """Whether a source is a file that git does not keep, so that a clone cannot draw the figure again."""
        return not all(map(in_git, self.sources))

    @property
    def command(self) -> str:
        """What draws it again."""
        return made_by(self.figure_path, self.exhibit.scale, force=True)


class Site(NamedTuple):
    """What all pages of a report know of it: the pages that each links to, as names and files."""

    scale: str
    pages: list[tuple[str, str]]


def site(scale: str, exhibits: Sequence[str]) -> Site:
    """The report of a scale that has these exhibits."""
    pages = [("Results", "index.html"), ("Exhibits", "index.html#exhibits"), ("Trajectories", "trajectories.html")]
    pages += [(label(name), f"{name}.html") for name in OWN_PAGES if name in exhibits]
    return Site(scale, [*pages, ("Scales", "scales.html"), ("Provenance", "provenance.html")])


def made_by(path: str, scale: str, *, force: bool = False) -> str:
    """The command that makes a file of a scale, with `force` whether or not it is up to date."""
    return f"snakemake --cores 2 {'--force ' if force else ''}{path} --config scale={scale}"


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
        "p_value": numbers.p_value,
        "count": numbers.count,
        "short": numbers.short,
        "reported": reported,
        "in_git": in_git,
        "row_groups": row_groups,
        "runs": runs,
        "heat": heat,
        "label": label,
        "anchor": anchor,
        "claim_name": claim_name,
        "strip": strip,
        "effect_texts": effect_texts,
        "model_label": model_label,
        "in_order": in_order,
        "attrs": lambda one, *names: [getattr(one, name) for name in names],
        "csv": downloads.address,
        "table_lines": downloads.of_table,
        "effect_lines": downloads.of_effects,
    }
    jinja.tests["stands"] = stands
    jinja.globals |= {"style": theme, "millions": numbers.millions, "paper_model": PAPER_MODEL}
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
        svg = inline_svg(figure, made_by(figure.as_posix(), exhibit.scale))
        sections.append(Section(exhibit, path.as_posix(), svg, figure.as_posix(), decided))
    return sections


def inline_svg(path: Path, command: str = "") -> Markup:
    """A figure of `raml.report.charts.svg` as an element of the page: its colours follow the page's theme.

    Raises:
        DataError: the file is missing or not an SVG; `command` is what makes it.
    """
    command = command or f"snakemake --cores 2 {path}"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); `{command}` makes it") from None
    start = text.find("<svg")
    if start < 0 or not text.rstrip().endswith("</svg>"):
        raise DataError(f"{path} is not a whole SVG; delete it, then `{command}` makes it")
    text = text[start:].strip()
    root, rest = text.split(">", 1)
    text = re.sub(r' (?:width|height)="[^"]*"', "", root) + ">" + rest
    for name, colour in theme.LIGHT.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup(text.replace("font-family: sans-serif", "font-family: var(--sans)"))


def in_git(path: str) -> bool:
    """Whether a file of the results comes with a clone; the others DVC holds (docs/architecture.md)."""
    return not any(f"/{folder}/" in f"/{path}" for folder in _IN_DVC)


def label(exhibit: str) -> str:
    """An exhibit's name for people: `Figure 3` for `fig3`, `Training` for `training`."""
    kinds = {"fig": "Figure", "tab": "Table", "prop": "Proposition", "sec": "Section"}
    if exhibit in OWN_PAGES:
        return exhibit.capitalize()
    match = re.fullmatch(r"([a-z]+)([0-9].*)", exhibit)
    return f"{kinds.get(match[1], match[1])} {match[2]}" if match else exhibit


def claim_name(claim: str) -> str:
    """A claim's name for people: `Figure 5` for `fig5`, `Figure 5, end` for `fig5-end`."""
    exhibit, _, rest = claim.partition("-")
    plain = {"grpo": "GRPO", "cross": "other domains", "worse": "final NLL"}.get(rest, rest.replace("-", " "))
    return f"{label(exhibit)}, {plain}" if rest else label(exhibit)


def in_order(models: Sequence[str]) -> list[str]:
    """Models in the order of the paper's Table 2, others after them."""
    order = list(MODEL_LABELS)
    return sorted(models, key=lambda name: order.index(name) if name in order else len(order))


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
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            pairs.append((str(key).replace("_", " "), text))
    return pairs


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


def anchor(path: str) -> str:
    """A file's place on the page of provenance."""
    return "file-" + re.sub(r"[^A-Za-z0-9._-]+", "-", path)


def embedded(value: object) -> Markup:
    """JSON that stands in a `<script>` element: no text in it can end the element or open a comment.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def content_hash(text: str) -> str:
    """The source expression by which a content security policy allows an inline element with this `text`."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
