"""The HTML page of a scale: verdicts first, then every exhibit, then where the numbers come from.

One self-contained file: no script, no network, no dates, so the same results give the same bytes.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from raml.claims.table import load_results
from raml.config import Scale, Section, config_hash
from raml.errors import DataError
from raml.report.models import model_card
from raml.report.page import environment, read_sections
from raml.step import Step, run
from raml.storage import file_hash, write_text

FILES: Final[Mapping[str, list[str]]] = {
    "inputs": ["claims", "lock"],
    "many": ["exhibits", "figures", "models"],
    "outputs": ["out"],
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
    """Write the page.

    Raises:
        DataError: an input is missing, malformed or of another scale.
    """
    files, lists = step.files, step.lists
    claims = load_results(files["claims"])
    sections = read_sections(lists["exhibits"], lists["figures"], claims)
    for path, section in zip(lists["exhibits"], sections, strict=True):
        if section.exhibit.scale != step.scale:
            raise DataError(f"{path} is of scale {section.exhibit.scale!r}, but this report is of scale {step.scale!r}")
    cards = [model_card(folder) for folder in lists["models"]]
    page = (
        environment()
        .get_template("page.html.j2")
        .render(
            scale=step.config,
            claims=claims,
            sections=sections,
            cards=cards,
            parameters=max(card.parameters for card in cards),
            sources=sorted({source.path: source for s in sections for source in s.exhibit.sources}.items()),
            hashes=section_hashes(step.config),
            packages=read_lock(files["lock"]),
            lock=(files["lock"].as_posix(), file_hash(files["lock"])[:12]),
            provenance=step.provenance(),
            link=lambda path: os.path.relpath(path, files["out"].parent),
        )
    )
    write_text(page, files["out"])


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
