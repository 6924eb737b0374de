"""The report of a scale: the verdict board, a page for each exhibit, and where the numbers come from.

Each page is one file that asks no network for anything. No dates, so the same results give the same bytes.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from markupsafe import Markup

from raml.claims.results import load_results
from raml.config import Scale, Section, config_hash
from raml.errors import DataError
from raml.lineage.environment import read_environment
from raml.report.board import board
from raml.report.checks import check_claims, check_sections
from raml.report.listing import followed_model
from raml.report.models import model_card
from raml.report.page import Section as ExhibitSection
from raml.report.page import content_hash, environment, read_sections, site
from raml.step import Step, check_lengths, run
from raml.storage import file_hash, write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["claims", "lock", "machine"],
    "many": ["exhibits", "figures", "models"],
    "outputs": ["index", "origins"],
    "many_outputs": ["pages"],
}

# The packages that results depend on; the lock has the others.
PACKAGES: Final = (
    "torch",
    "transformers",
    "trl",
    "tokenizers",
    "safetensors",
    "reasoning-gym",
    "math-verify",
    "numpy",
    "scipy",
    "polars",
    "matplotlib",
    "snakemake",
    "dvc",
)


def main(step: Step[Scale]) -> None:
    """Write the pages: `index`, `origins` (of provenance), and `pages` in the order of `exhibits`.

    Raises:
        ConfigError: not as many pages as exhibits.
        DataError: an input is missing, malformed, stale or of another scale.
    """
    files, lists, scale = step.files, step.lists, step.config
    check_lengths({"exhibits": lists["exhibits"], "pages": lists["pages"]})
    claims = load_results(files["claims"])
    check_claims(claims, files["claims"], step.scale)
    sections = read_sections(lists["exhibits"], lists["figures"], claims)
    check_sections(sections, step.scale)
    cards = [model_card(folder) for folder in lists["models"]]
    ids = [section.exhibit.id for section in sections]
    jinja = environment()
    jinja.globals |= {
        "scale": scale,
        "site": site(step.scale, ids),
        "link": lambda path: os.path.relpath(path, files["index"].parent),
        "is_made": lambda path: Path(path).suffix != ".svg" or Path(path).stem in ids,
    }
    script = jinja.get_template("board.js.j2").render()
    index = jinja.get_template("index.html.j2").render(
        here="index.html",
        claims=claims,
        board=board(claims, ids),
        sections=sections,
        parameters=max(card.parameters for card in cards),
        script=Markup(script),
        script_hash=content_hash(script),
    )
    sources = {source.path: source for section in sections for source in section.exhibit.sources}
    origins = jinja.get_template("provenance.html.j2").render(
        here="provenance.html",
        cards=cards,
        sources=sorted(sources.items()),
        readers={path: readers(sections, path) for path in sources},
        hashes=section_hashes(scale),
        machine=read_environment(files["machine"]),
        packages=read_lock(files["lock"]),
        lock=(files["lock"].as_posix(), file_hash(files["lock"])[:12]),
        provenance=step.provenance(),
    )
    template = jinja.get_template("exhibit.html.j2")
    by_id = dict(zip(ids, sections, strict=True))
    for before, section, after, path in zip([None, *ids], sections, [*ids[1:], None], lists["pages"], strict=False):
        page = template.render(
            here=f"{section.exhibit.id}.html",
            section=section,
            before=before and by_id[before].exhibit,
            after=after and by_id[after].exhibit,
            model=followed_model(section.exhibit.id, scale.probing.models),
        )
        write_text(page, path)
    write_text(origins, files["origins"])
    write_text(index, files["index"])


def readers(sections: Sequence[ExhibitSection], path: str) -> list[str]:
    """The exhibits that were made from the file at `path`."""
    return [section.exhibit.id for section in sections if path in {source.path for source in section.exhibit.sources}]


def section_hashes(scale: Scale) -> dict[str, str]:
    """The hash of each section of the configuration, and of the whole."""
    parts = {name: value for name in type(scale).model_fields if isinstance(value := getattr(scale, name), Section)}
    parts |= {f"sft.{style}": sft for style, sft in scale.sft.items()}
    return {name: config_hash(section) for name, section in parts.items()} | {"whole file": config_hash(scale)}


def read_lock(path: Path) -> dict[str, str]:
    """Versions of `PACKAGES` pinned in a compiled lock (`name==version` lines).

    Raises:
        DataError: the file pins none of them.
    """
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    versions = {name: pins[name] for name in PACKAGES if name in pins}
    if not versions:
        raise DataError(f"{path} pins none of {', '.join(PACKAGES)}; pass the compiled lock")
    return versions


if __name__ == "__main__":
    run(main, Scale, **FILES)
