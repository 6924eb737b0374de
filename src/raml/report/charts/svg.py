"""Deterministic, accessible SVG out of matplotlib figures.

The same figure gives the same bytes: no date, a fixed salt for ids, text kept as text. Ids carry the
exhibit's name, so that several figures can stand in one page.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

from raml.report.theme import LIGHT
from raml.storage import write_text

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "raml",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib's own: the layout is the same on every machine
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": LIGHT["neutral"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.titlecolor": LIGHT["ink"],
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.6,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a question may hold dollar signs
    "xtick.color": LIGHT["neutral"],
    "ytick.color": LIGHT["neutral"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["muted"],
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": LIGHT["surface"],
}


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's settings while a figure is drawn and saved.

    Text stays text, so that a glyph which matplotlib's own font lacks is none of its concern.
    """
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        yield


def write_svg(figure: Figure, path: Path, *, name: str, title: str, description: str, rounded: bool = False) -> None:
    """Save `figure` as SVG with `title` and `description` for screen readers; all ids start with `name-`.

    Call it inside `drawing()`. Elements that were given a gid keep it as `name-gid`. Positions `rounded` to a hundredth
    of a point halve a file of many small shapes.

    Raises:
        RamlError: the file cannot be written.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue().decode()  # with ids of clip paths that hash the last bits of the layout
    for number, clip in enumerate(re.findall(r'<clipPath id="(\w+)"', text), 1):
        text = text.replace(clip, f"clip{number}")
    root = ElementTree.fromstring(_allowed(text))
    _name_ids(root, name)
    for defs in root.findall(f"{{{SVG}}}defs"):
        for rule in defs.findall(f"{{{SVG}}}style"):
            defs.remove(rule)  # it would hold for a whole page; the root's attributes say the same
    root.attrib.update({"style": "stroke-linejoin: round; stroke-linecap: butt", "role": "img"})
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text, element.tail = _allowed(text), "\n"
        root.insert(position, element)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    text = ElementTree.tostring(root, encoding="unicode").replace("'DejaVu Sans', sans-serif", "sans-serif")
    if rounded:
        text = re.sub(r' d="[^"]+"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), text)
    write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n', path)


def _allowed(text: str) -> str:
    """`text` with a replacement character for each that XML does not allow."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def _name_ids(root: ElementTree.Element, name: str) -> None:
    """Prefix the ids that are referred to or were set as gids; drop matplotlib's running numbers."""
    automatic = re.compile(r"(figure|axes|patch|line2d|text|xtick|ytick|legend|matplotlib\.axis|\w+Collection)_\d+")
    reference = re.compile(r"url\(#([^)]+)\)")
    for element in root.iter():
        identity = element.get("id")
        if identity is not None:
            if automatic.fullmatch(identity):
                del element.attrib["id"]
            else:
                element.set("id", f"{name}-{identity}")
        for key, value in element.attrib.items():
            if key == f"{{{XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, reference.sub(rf"url(#{name}-\1)", value))
