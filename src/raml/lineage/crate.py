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

from rocrate.model import ContextEntity, Person
from rocrate.rocrate import ROCrate

from raml.config import Scale, config_hash
from raml.errors import DataError
from raml.lineage.citation import Citation, read_citation
from raml.lineage.environment import Environment, read_environment
from raml.report.page import label
from raml.step import Step, run
from raml.storage import file_hash, read_provenance, write_json

FORMATS: Final = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".svg": "image/svg+xml",
}

# What a file is, by the first pattern that fits; {stem} is its name without the ending.
CONTENTS: Final = {
    "claims.json": "Every claim of the paper: what was measured, its interval and the verdict",
    "environment.json": "The machine and the packages of the run",
    "evaluations/*": "Correct samples of each model, question and seed",
    "questions/*": "Questions with their answers: {stem}",
    "tables/claims.json": "Verdicts and numbers of the claims, for dvc metrics",
    "tables/metrics.*": "Pass@k, mG-Pass@k and Avg@k of each model and benchmark with intervals",
    "tables/training.parquet": "What trainers logged at each step",
    "tables/training/*": "What trainers logged at each step, mean over seeds: {stem}",
    "tables/*": "{label} as a table",
    "figures/*.svg": "{label} as a figure",
    "figures/*.json": "{label}: numbers, captions, and the files that it was drawn from",
    "report/*": "The report: {stem}",
}


def main(step: Step[Scale]) -> None:
    """Write the crate's metadata.

    Raises:
        DataError: a file lies outside the results' folder, or is not of this scale.
    """
    out = step.files["out"]
    crate = describe(
        out.parent,
        step.lists["files"],
        step.config,
        read_citation(step.files["citation"]),
        read_environment(step.files["environment"]),
    )
    write_json(crate, out)


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
    crate.root_dataset["version"] = citation.version
    maintainers = _add(crate, "#maintainers", "Organization", name=citation.authors[0].name)
    crate.root_dataset["author"] = crate.root_dataset["publisher"] = maintainers
    crate.license = _add(
        crate,
        "#licence",
        "CreativeWork",
        name="No licence yet",
        description="No licence has been granted so far; ask the maintainers before reusing any of it.",
    )
    crate.root_dataset["isBasedOn"] = _paper(crate, citation)
    described = [_file(crate, path, folder, scale.scale) for path in sorted(set(files))]
    crate.root_dataset["mentions"] = _run(crate, described, scale, citation, environment)
    generated: dict[str, Any] = json.loads(json.dumps(crate.metadata.generate(), default=str))
    return generated


def _add(crate: ROCrate, identifier: str, kind: str, /, **properties: Any) -> ContextEntity:
    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _paper(crate: ROCrate, citation: Citation) -> ContextEntity:
    paper = citation.paper
    authors = [
        crate.add(Person(crate, f"#{person.name.replace(' ', '-')}", properties={"name": person.name}))
        for person in paper.authors
    ]
    entity = _add(crate, paper.url, "ScholarlyArticle", name=paper.title, datePublished=str(paper.year))
    entity["author"] = authors
    return entity


def _file(crate: ROCrate, path: Path, folder: Path, scale: str) -> Any:
    if not path.is_relative_to(folder):
        raise DataError(f"{path} lies outside of {folder}, which is what the crate describes")
    name = path.relative_to(folder).as_posix()
    entity = crate.add_file(
        dest_path=name,
        properties={
            "name": _contents(name),
            "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
            "contentSize": str(path.stat().st_size),
            "sha256": file_hash(path),
        },
    )
    if path.suffix == ".parquet":
        provenance = read_provenance(path)
        if provenance.scale != scale:
            raise DataError(f"{path} is of scale {provenance.scale!r}, but this crate is of scale {scale!r}")
        recorded = provenance.model_dump(exclude={"scale"}, exclude_none=True)
        entity["additionalProperty"] = [
            _add(crate, f"#{name}/{key}", "PropertyValue", name=key, value=str(value))
            for key, value in recorded.items()
        ]
    return entity


def _contents(name: str) -> str:
    text = next((text for pattern, text in CONTENTS.items() if fnmatch(name, pattern)), "{stem}")
    stem = Path(name).stem
    return text.replace("{stem}", stem).replace("{label}", label(stem))


def _run(
    crate: ROCrate, results: list[Any], scale: Scale, citation: Citation, environment: Environment
) -> ContextEntity:
    """The workflow as what made the files."""
    address = "https://snakemake.github.io"
    version = environment.packages.get("snakemake", "unknown")
    engine = _add(crate, address, "SoftwareApplication", name="Snakemake", url=address, version=version)
    engine["softwareRequirements"] = [f"{name}=={found}" for name, found in sorted(environment.packages.items())]
    workflow = _add(
        crate,
        "#workflow",
        "CreativeWork",
        name=citation.title,
        version=citation.version,
        description="Snakefile, workflow/rules and the package raml of the repository that this folder is part of",
    )
    configuration = _add(
        crate,
        "#configuration",
        "PropertyValue",
        name=f"hash of config/scales/{scale.scale}.yaml as it was run",
        value=config_hash(scale),
    )
    action = _add(
        crate,
        "#run",
        "CreateAction",
        name=f"snakemake --config scale={scale.scale}",
        description=f"Run on {environment.in_words()}",
    )
    action["instrument"], action["object"], action["result"] = engine, [workflow, configuration], results
    return action


if __name__ == "__main__":
    run(main, Scale, inputs=["citation", "environment"], many=["files"], outputs=["out"])
