"""An exhibit's two files: `<id>.yaml.j2`, what is drawn and tabulated, and `<id>.md.j2`, what is said of it.

Both are Jinja over `raml.report.context`. The first renders to YAML (`Entry`): items that each name a part of an
effect, a row, a column, a series, a panel; where they cross, the effect of all parts together is shown. The second
renders to Markdown with the sections `caption`, `description`, `what was done` and `where this differs`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from pydantic import Field

from raml.config import Section, validate
from raml.errors import ConfigError

EXHIBITS: Final = Path(__file__).parent / "exhibits"
SECTIONS: Final = ("caption", "description", "what was done", "where this differs")
PARTS: Final = ("quantity", "model", "baseline", "share", "over")

Chart = Literal["dots", "lines", "curves", "surfaces", "bars"]
Format = Literal["percent", "points", "plain", "count", "estimate"]
Point = tuple[float, float] | tuple[float, float, float, float]
"""Place and number, and the ends of an interval if there is one."""


class Parts(Section):
    """Of an effect."""

    quantity: str | None = None
    model: str | None = None
    baseline: str | None = None
    share: float | None = None
    over: str | None = None


class Item(Parts):
    """A part of an effect, with its name for people.

    `like` is a style of `raml.report.theme`, `value` a place on an axis or a bar's length, `reported` the paper's
    number in the unit shown, `cells` what a table's cell says in place of an effect.
    """

    label: str = ""
    group: str = ""
    small: str = ""
    side: str = ""
    parts: dict[str, Parts] = Field(default={}, description="further parts by the label of a crossing item")
    like: str = "ink"
    value: float | None = None
    show: Format | None = Field(default=None, description="how numbers are shown; by default as the unit asks")
    count: Literal["questions", "seeds", "n"] | None = Field(default=None, description="a count in place of the effect")
    reported: dict[str, float] = Field(default={}, description="the paper's numbers by the label of the crossing item")
    cells: dict[str, str | tuple[str, str]] = Field(
        default={}, description="texts, with small print if there are two, by the label of the crossing item"
    )
    points: list[Point] | None = Field(default=None, description="of a line, in place of effects")
    tinted: list[str] = Field(default=[], description="labels of the panels in which its row is tinted")
    thin: bool = Field(default=False, description="whether its line is thin and without marks, as of a single seed")
    paper: bool = Field(default=False, description="the paper's numbers, not ours")
    hollow: bool = False
    mark: bool = Field(default=True, description="whether a line has a mark and an interval at this place")
    strength: float = Field(default=1.0, gt=0, le=1, description="of a series' colour, where series have an order")


class Panel(Item):
    """One pair of axes; its part of the effects is common to all that it shows, its group a heading above it."""

    title: str = ""
    x: str = Field(default="", description="the axis' label")
    y: str = ""
    row: int = Field(default=0, ge=0, description="its place in the grid")
    column: int = Field(default=0, ge=0)
    zero: bool = Field(default=False, description="whether it shows differences around a line at 0")
    sides: tuple[str, str] | None = Field(default=None, description="what the sides of 0 mean")
    least: float = Field(default=0.0, ge=0, description="reach to both sides of 0 in any case, in the unit shown")
    log: Literal["", "x", "y", "both"] = ""
    ticks: dict[float, str] | None = None
    rows: list[Item] | None = Field(default=None, description="in place of the figure's")
    series: list[Item] | None = Field(default=None, description="in place of the figure's")
    at: list[Item] | None = Field(default=None, description="in place of the figure's")


class FigureEntry(Section):
    """What a chart draws: panels, crossed with rows and series (`dots`) or with series and places (`lines`)."""

    panels: list[Panel] = Field(default=[])
    rows: list[Item] = Field(default=[])
    series: list[Item] = Field(default=[])
    at: list[Item] = Field(default=[], description="places along the x axis, of which each has a `value`")
    note: str = ""
    options: dict[str, Any] = Field(default={}, description="of the chart")


class TableEntry(Section):
    """A table: effects where rows and columns cross."""

    caption: str
    corner: str
    rows: list[Item]
    columns: list[Item]
    note: str = ""
    numeric: bool = True
    deciding: bool = Field(default=False, description="whether it holds the effects that decide the exhibit's claims")


class Entry(Section):
    """An exhibit as data."""

    title: str = Field(min_length=1)
    lead: str = Field(min_length=1)
    chart: Chart
    source: Literal["effects", "training", "times"] = Field(default="effects", description="what its numbers are from")
    figure: FigureEntry = FigureEntry()
    tables: list[TableEntry] = Field(default=[])
    n: list[tuple[str, int]] = Field(default=[], description="what was counted, and how many")
    markdown: bool = Field(default=False, description="whether its tables are written to tables/<id>.md too")


@dataclass(frozen=True)
class Prose:
    """What is said of an exhibit."""

    caption: str
    description: str
    done: list[str]
    differs: list[str]


def exhibit_ids(folder: Path = EXHIBITS) -> list[str]:
    """All exhibits that there are, propositions first, then figures and tables by number, then the project's own."""
    names = [path.name.removesuffix(".yaml.j2") for path in folder.glob("*.yaml.j2")]
    kinds = ("prop", "fig", "tab", "training")

    def place(name: str) -> tuple[int, float, str]:
        kind, number = re.fullmatch(r"([a-z]+)([\d.]*)", name).groups()  # type: ignore[union-attr]
        return (kinds.index(kind) if kind in kinds else len(kinds), float(number or 0), name)

    return sorted(names, key=place)


def render(exhibit: str, context: Mapping[str, Any], folder: Path = EXHIBITS) -> tuple[Entry, Prose]:
    """An exhibit's entry and prose.

    Raises:
        ConfigError: a file is missing, names something that is not there, is no YAML, has an unknown key or chart, or
            lacks a section; one line names the file and what is allowed.
    """
    jinja = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    texts = []
    for kind in ("yaml", "md"):
        path = folder / f"{exhibit}.{kind}.j2"
        try:
            texts.append(jinja.get_template(path.name).render(context))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except (TemplateError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from None
    try:
        raw = yaml.safe_load(texts[0])
    except yaml.YAMLError as error:
        raise ConfigError(f"{folder / exhibit}.yaml.j2 renders to no YAML: {' '.join(str(error).split())}") from None
    entry = validate(Entry, raw, f"{folder / exhibit}.yaml.j2")
    return entry, prose(texts[1], folder / f"{exhibit}.md.j2")


def prose(text: str, path: Path) -> Prose:
    """The sections of a rendered text.

    Raises:
        ConfigError: one is missing or unknown.
    """
    parts = re.split(r"^## *(.+?) *$", text, flags=re.MULTILINE)
    found = {name.lower(): body for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    if set(found) != set(SECTIONS):
        wrong = sorted(set(found) ^ set(SECTIONS))[0]
        raise ConfigError(f"{path}: section {wrong!r} is missing or unknown; a text has {', '.join(SECTIONS)}")
    caption, description, done, differs = (found[name] for name in SECTIONS)
    return Prose(_line(caption), _line(description), _items(done), _items(differs))


def _items(body: str) -> list[str]:
    """The points of a list, each in one line."""
    return [_line(item) for item in re.split(r"^- ", body, flags=re.MULTILINE) if item.strip()]


def _line(text: str) -> str:
    return " ".join(text.split())
