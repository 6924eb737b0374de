"""The results of a scale as a research object: `ro-crate-metadata.json` says what each file is and where it comes from.

    python -m raml.lineage.crate --scale S --config '<the scale>' --citation CITATION.cff \
        --environment results/S/environment.json --files results/S/claims.json .. --out results/S/ro-crate-metadata.json

The crate (https://www.researchobject.org/ro-crate/) is the folder with the files that git keeps. It carries the date of
the release and no other, so that the same results give the same bytes.
"""

import json
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from raml.config import Scale, config_hash
from raml.errors import DataError
from raml.lineage.citation import Citation, read_citation
from raml.lineage.environment import Environment, read_environment
from raml.step import Step, run
from raml.storage import file_hash, read_json, read_provenance, write_json

# What a file is, by the first pattern that fits; {stem} is its name without the ending, {label} the exhibit's.
CONTENTS: Final = {
    "claims.json": "Every claim of the paper: what was measured, its interval and the verdict",
    "environment.json": "The machine and the packages of the run",
    "evaluations/*": "Correct samples of each model, question and seed",
    "questions/*": "Questions with their answers: {stem}",
    "tables/quantities.parquet": "Every quantity of each seed and question, from which claims are decided",
    "tables/effects.parquet": "Every effect with its interval",
    "tables/models.json": "Sizes and hashes of the models",
    "tables/claims.json": "Verdicts and numbers of the claims, for dvc metrics",
    "tables/metrics.*": "Pass@k, mG-Pass@k and Avg@k of each model and benchmark with intervals",
    "tables/training.parquet": "What trainers logged at each step",
    "tables/training/*": "What trainers logged at each step, mean over seeds: {stem}",
    "tables/*": "{label} as a table",
    "figures/forest*.svg": "Every claim's effects against their thresholds",
    "figures/*.svg": "{label} as a figure",
    "figures/*.json": "{label}: numbers, captions, and the files that it was drawn from",
    "report/*": "The report: {stem}",
}
FORMATS: Final = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".svg": "image/svg+xml",
}


def main(step: Step[Scale]) -> None:
    """Write the crate's metadata.

    Raises:
        DataError: a file lies outside the results' folder, or is not of this scale.
    """
    out, citation = step.files["out"], read_citation(step.files["citation"])
    machine = read_environment(step.files["environment"])
    write_json(describe(out.parent, step.lists["files"], step.config, citation, machine), out)


def describe(
    folder: Path, files: Iterable[Path], scale: Scale, citation: Citation, environment: Environment
) -> dict[str, Any]:
    """The metadata of the crate `folder`, which holds `files`.

    Raises:
        DataError: a file lies outside `folder`, or carries the provenance of another scale.
    """
    crate = ROCrate()
    crate.name = f"{citation.title}: results at scale {scale.scale}"
    crate.description = citation.abstract.strip()
    crate.datePublished = citation.released
    root = crate.root_dataset
    root["version"] = citation.version
    root["author"] = root["publisher"] = _add(crate, "#maintainers", "Organization", name=citation.maintainers)
    none_yet = "No licence has been granted so far; ask the maintainers before reusing any of it."
    crate.license = _add(crate, "#licence", "CreativeWork", name="No licence yet", description=none_yet)
    people = [person.name for person in citation.authors]
    authors = [_add(crate, f"#{name.replace(' ', '-')}", "Person", name=name) for name in people]
    paper = {"name": citation.paper, "datePublished": str(citation.year), "author": authors}
    root["isBasedOn"] = _add(crate, citation.url, "ScholarlyArticle", **paper)
    described = [_file(crate, path, folder, scale.scale) for path in sorted(set(files))]
    root["mentions"] = _run(crate, described, scale, citation, environment)
    generated: dict[str, Any] = json.loads(json.dumps(crate.metadata.generate(), default=str))
    return generated


def title(exhibit: Path) -> str:
    """What an exhibit says that it is, `Figure 3: ...`.

    Raises:
        DataError: the file is missing or no exhibit.
    """
    try:
        return str(read_json(exhibit)["title"])
    except (KeyError, TypeError):
        raise DataError(f"{exhibit} is not an exhibit: it has no title; delete it and rerun") from None


def _add(crate: ROCrate, identifier: str, kind: str, /, **properties: Any) -> ContextEntity:
    entity = crate.add(ContextEntity(crate, identifier, properties={"@type": kind}))
    for name, value in properties.items():
        entity[name] = value
    return entity


def _file(crate: ROCrate, path: Path, folder: Path, scale: str) -> Any:
    if not path.is_relative_to(folder):
        raise DataError(f"{path} lies outside of {folder}, which is what the crate describes")
    name = path.relative_to(folder).as_posix()
    properties = {
        "name": _contents(path, name),
        "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
        "contentSize": str(path.stat().st_size),
        "sha256": file_hash(path),
    }
    entity = crate.add_file(dest_path=name, properties=properties)
    if path.suffix == ".parquet":
        provenance = read_provenance(path)
        if provenance.scale != scale:
            raise DataError(f"{path} is of scale {provenance.scale!r}, but this crate is of scale {scale!r}")
        entity["additionalProperty"] = [
            _add(crate, f"#{name}/{key}", "PropertyValue", name=key, value=str(value))
            for key, value in provenance.model_dump(exclude={"scale"}, exclude_none=True).items()
        ]
    return entity


def _contents(path: Path, name: str) -> str:
    text = next((text for pattern, text in CONTENTS.items() if fnmatch(name, pattern)), "{stem}")
    exhibit = path.parents[1] / "figures" / f"{path.stem}.json"
    label = title(exhibit).partition(":")[0] if "{label}" in text and exhibit.is_file() else path.stem
    return text.format(stem=path.stem, label=label)


def _run(crate: ROCrate, files: list[Any], scale: Scale, citation: Citation, environment: Environment) -> ContextEntity:
    """The workflow as what made the files."""
    address = "https://snakemake.github.io"
    version = environment.packages.get("snakemake", "unknown")
    packages = [f"{name}=={installed}" for name, installed in sorted(environment.packages.items())]
    engine = {"name": "Snakemake", "url": address, "version": version, "softwareRequirements": packages}
    repository = "Snakefile, workflow/rules and the package raml of the repository that this folder is part of"
    workflow = {"name": citation.title, "version": citation.version, "description": repository}
    configuration = f"hash of config/scales/{scale.scale}.yaml as it was run"
    return _add(
        crate,
        "#run",
        "CreateAction",
        name=f"snakemake --config scale={scale.scale}",
        description=f"Run on {environment.in_words()}",
        instrument=_add(crate, address, "SoftwareApplication", **engine),
        object=[
            _add(crate, "#workflow", "CreativeWork", **workflow),
            _add(crate, "#configuration", "PropertyValue", name=configuration, value=config_hash(scale)),
        ],
        result=files,
    )


if __name__ == "__main__":
    run(main, Scale, inputs=["citation", "environment"], many=["files"], outputs=["out"])
