"""The report of a scale: the results of all claims, a page for each exhibit, and where the numbers come from.

    python -m raml.report.build --scale S --config '<the scale>' --claims results/S/claims.json \
        --models results/S/tables/models.json --lock requirements/core.lock --machine results/S/environment.json \
        --others results/*/claims.json --exhibits E.json .. --figures E.svg .. --index index.html \
        --origins provenance.html --scales scales.html --forest figures/forest.svg figures/forest-narrow.svg \
        --pages E.html ..

Each page is one file that asks no network for anything. No dates, so the same results give the same bytes.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from markupsafe import Markup

from raml.claims.results import load_results
from raml.config import Scale, Section, config_hash
from raml.errors import DataError
from raml.lineage.environment import read_environment
from raml.report import scales
from raml.report.board import ORDER
from raml.report.charts.forest import NARROW, WIDE, forest
from raml.report.checks import check_claims, check_sections
from raml.report.listing import followed_model
from raml.report.models import read_models
from raml.report.page import content_hash, environment, inline_svg, read_sections, site
from raml.step import Step, check_lengths, run
from raml.storage import file_hash, write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["claims", "models", "lock", "machine"],
    "many": ["exhibits", "figures"],
    "many_or_none": ["others"],
    "outputs": ["index", "origins", "scales"],
    "many_outputs": ["forest", "pages"],
}

PACKAGES: Final = (
    *("torch", "transformers", "trl", "tokenizers", "safetensors", "reasoning-gym", "math-verify"),
    *("numpy", "scipy", "polars", "matplotlib", "snakemake", "dvc"),
)
"""Those that results depend on; the lock has the others."""


def main(step: Step[Scale]) -> None:
    """Write the forest plots and the pages; `pages` are in the order of `exhibits`, which is the site's too.

    Raises:
        ConfigError: not as many pages as exhibits, or not two forest plots, the wide one first.
        DataError: an input is missing, malformed, stale or of another scale.
    """
    files, lists, scale = step.files, step.lists, step.config
    check_lengths({"exhibits": lists["exhibits"], "pages": lists["pages"]})
    check_lengths({"layouts": (WIDE, NARROW), "forest plots": lists["forest"]})
    claims = load_results(files["claims"], step.scale)
    check_claims(claims, files["claims"], step.scale)
    sections = read_sections(lists["exhibits"], lists["figures"], claims)
    check_sections(sections, step.scale)
    models, packages = read_models(files["models"]), read_lock(files["lock"])
    ids = [section.exhibit.id for section in sections]
    jinja = environment()
    jinja.globals |= {
        "scale": scale,
        "site": site(step.scale, ids),
        "shown": frozenset(ids),
        "order": ORDER,
        "link": lambda path: os.path.relpath(path, files["index"].parent),
    }
    for path, layout in zip(lists["forest"], (WIDE, NARROW), strict=True):
        write_text(forest(claims, layout, scale.evaluation.confidence), path)
    for place, section in enumerate(sections):
        page = jinja.get_template("exhibit.html.j2").render(
            here=f"{section.exhibit.id}.html",
            section=section,
            before=sections[place - 1].exhibit if place else None,
            after=sections[place + 1].exhibit if place + 1 < len(sections) else None,
            model=followed_model(section.exhibit.id, scale.probing.models),
        )
        write_text(page, lists["pages"][place])
    compared = scales.compare(claims, step.scale, lists["others"])
    page = jinja.get_template("scales.html.j2").render(
        here="scales.html", compared=compared, lines=scales.lines(compared)
    )
    write_text(page, files["scales"])
    sources = {path: source for section in sections for path, source in section.sources.items()}
    page = jinja.get_template("provenance.html.j2").render(
        here="provenance.html",
        models=models,
        sources=sorted(sources.items()),
        readers={path: [one.exhibit.id for one in sections if path in one.sources] for path in sources},
        hashes=section_hashes(scale),
        machine=read_environment(files["machine"]),
        packages=packages,
        lock=(files["lock"].as_posix(), file_hash(files["lock"])[:12]),
        provenance=step.provenance(),
    )
    write_text(page, files["origins"])
    script = jinja.get_template("board.js.j2").render()
    page = jinja.get_template("index.html.j2").render(
        here="index.html",
        claims=claims,
        exhibits=list(dict.fromkeys(claim.exhibit for claim in claims)),
        sections=sections,
        parameters=max(model.parameters for model in models),
        forest=dict(zip(("broad", "narrow"), map(inline_svg, lists["forest"]), strict=True)),
        forest_path=lists["forest"][0].as_posix(),
        script=Markup(script),
        script_hash=content_hash(script),
    )
    write_text(page, files["index"])


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
