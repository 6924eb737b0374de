"""Where a number comes from: its files, the rules that made them, configuration, code, seeds and machine.

What a file says of itself (the metadata of tables, `raml.json` beside models) comes first; of files that are not here
the exhibits keep what was read when they were drawn.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from raml import records
from raml.claims.result import ClaimResult
from raml.claims.results import load_results
from raml.errors import InputError
from raml.lineage.environment import Environment, read_environment
from raml.lineage.jobs import BY_HAND, Job, Made, jobs_behind, option
from raml.lineage.parsing import parse
from raml.storage import Provenance, file_hash, read_json, read_provenance


class File(BaseModel):
    """An output: whether it is here, and what is recorded of how it was made."""

    path: str
    sha256: str | None  # first 12 hex digits
    here: bool
    provenance: Provenance | None
    recorded_in: str | None  # the file that says so
    config_hash: str | None  # of what its job was given; what the file itself names may be a part of that
    code: str | None  # digest that its job was given


class Stage(Made, frozen=True):
    """Jobs of one rule with one configuration; the command is of the first, the code's version is as it is now."""

    jobs: int
    seeds: list[int]
    files: list[File]

    def recorded(self, name: str) -> list[str]:
        """What is recorded of `name`, each value once: of the configuration by Snakemake, else by the files."""
        values = [file.config_hash for file in self.files] if name == "config_hash" else []
        if not any(values):
            values = [getattr(file.provenance, name, None) for file in self.files]
        return list(dict.fromkeys(str(value) for value in values if value is not None))

    def code_now_and_recorded(self) -> tuple[str, list[str]]:
        """The digest of the code that Snakemake knows of, if the records are kept; else the versions in the files."""
        if digests := [file.code for file in self.files if file.code]:
            return self.code, list(dict.fromkeys(digests))
        return self.code_version, self.recorded("code_version")


class Trace(BaseModel):
    """The chain behind a file or a claim, from what was asked for down to the questions."""

    target: str
    scale: str
    path: str
    claim: ClaimResult | None
    made_by: str | None  # the command, of a file that no rule makes
    stages: list[Stage]
    machine: Environment | None


class Source(Provenance, extra="ignore"):
    """A file that an exhibit was drawn from, and what it said of itself."""

    path: str


class Sources(BaseModel):
    """An exhibit, as far as it says what it was drawn from."""

    sources: list[Source]


class Target(NamedTuple):
    """A file to trace, and the claim in it to trace, if any."""

    scale: str
    path: Path
    claim: str | None = None


def trace(name: str, scale: str) -> Trace:
    """Follow `name` (`claims/tab2`, or a path, from `results/` or below `results/<scale>/`) to the questions.

    Raises:
        InputError: there is no such claim or file, or no rule makes it.
        DataError: a file that is here cannot be read.
    """
    target = find(name, scale)
    path, results = target.path.as_posix(), Path("results", target.scale)
    claim = claim_called(target.claim, target.path, target.scale) if target.claim else None
    by_hand = BY_HAND.get(target.path.name)
    jobs = []
    if not by_hand and (claim is None or claim.verdict != "not_run"):
        jobs = jobs_behind(path, target.scale, claim.artifacts if claim else ())
    machine = results / "environment.json"
    return Trace(
        target=name,
        scale=target.scale,
        path=path,
        claim=claim,
        made_by=by_hand and by_hand.format(scale=target.scale),
        stages=_stages(jobs, results),
        machine=read_environment(machine) if machine.is_file() else None,
    )


def find(name: str, scale: str) -> Target:
    """The file, and the claim, that `name` stands for.

    An ending may be left out where it is clear; a folder of a model stands for its weights.

    Raises:
        InputError: it is no path below `results/`.
    """
    parts = Path(name).parts
    if "results" in parts and len(parts) > parts.index("results") + 2:
        scale, *below = parts[parts.index("results") + 1 :]
        parts = tuple(below)
    if not parts or Path(*parts).is_absolute() or ".." in parts:
        raise InputError(f"{name!r} is neither claims/<id> nor a file below results/<scale>/, such as tables/tab1.md")
    results = Path("results", scale)
    if parts[0] == "claims" and len(parts) == 2:
        return Target(scale, results / "claims.json", parts[1])
    path = results.joinpath(*parts)
    if parts[0] == "models" and not path.suffix:
        return Target(scale, path / "model.safetensors")
    # An exhibit's figure and its numbers are made by one job.
    same_stem = [] if path.exists() else sorted(filter(Path.is_file, path.parent.glob(f"{path.name}.*")))
    return Target(scale, same_stem[0] if len({file.stem for file in same_stem}) == 1 else path)


def claim_called(name: str, path: Path, scale: str) -> ClaimResult:
    """What is said of the claim `name` in the `claims.json` at `path`.

    Raises:
        InputError: there is no such claim.
        DataError: the file is missing, no list of claims or of another scale.
    """
    claims = {claim.id: claim for claim in load_results(path, scale)}
    if name not in claims:
        raise InputError(f"{path} has no claim {name!r}; it has {', '.join(claims)}")
    return claims[name]


def alike(paths: Iterable[str]) -> list[str]:
    """Paths that differ only in the training seed as one, `seed{0,1,2}`."""
    groups: dict[str, set[str]] = {}
    for path in paths:
        seed = re.search(r"(?<=seed)\d+", path)
        groups.setdefault(re.sub(r"(?<=seed)\d+", "{}", path, count=1), set()).add(seed[0] if seed else "")
    return [
        name.replace("{}", "".join(seeds) if len(seeds) == 1 else f"{{{','.join(sorted(seeds))}}}")
        for name, seeds in groups.items()
    ]


def _stages(jobs: Iterable[Job], results: Path) -> list[Stage]:
    """Jobs of a rule with equal configuration together, in the order of the first of them."""
    sources, recorded = _sources(results / "figures"), records.kept_jobs(results.name)
    groups: dict[tuple[str, str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.rule, job.module, job.config_hash), []).append(job)
    return [
        Stage(
            **group[0].model_dump(include={*Made.model_fields}),
            jobs=len(group),
            seeds=sorted({job.seed for job in group if job.seed is not None}),
            files=[_file(path, sources, recorded.get(path)) for job in group for path in job.outputs if _counts(path)],
        )
        for group in groups.values()
    ]


def _counts(path: str) -> bool:
    """Whether a file of a folder stands for itself: of a model the weights do, of a tokenizer its vocabulary."""
    if "/models/" in path:
        return path.endswith(".safetensors")
    return "/tokenizer/" not in path or path.endswith("/tokenizer.json")


def _file(name: str, sources: Mapping[str, tuple[Provenance, str]], record: Mapping[str, Any] | None) -> File:
    path = Path(name)
    here, beside = path.is_file(), path.parent / "raml.json"
    provenance, source = sources.get(name, (None, None))
    if here and path.suffix == ".parquet":
        provenance, source = read_provenance(path), name
    elif here and beside.is_file():
        what = f"{beside} does not say where its model comes from"
        provenance, source = parse(Provenance, read_json(beside), what, "; delete the model and rerun"), str(beside)
    config = "".join(option(record["shellcmd"], "config")[:1]) if record else ""
    digests = re.findall(r"(?m)^'([0-9a-f]{12})'$", "\n".join(record["params"])) if record else []
    return File(
        path=name,
        sha256=file_hash(path)[:12] if here else record["outputs"][name][:12] if record else None,
        here=here,
        provenance=provenance,
        recorded_in=source,
        config_hash=hashlib.sha256(config.encode()).hexdigest()[:12] if record else None,
        code=digests[0] if len(digests) == 1 else None,
    )


def _sources(figures: Path) -> dict[str, tuple[Provenance, str]]:
    """What exhibits keep of the files that they were drawn from, by path, and which exhibit."""
    hint = "; delete it and rerun"
    return {
        source.path: (source, str(path))
        for path in sorted(figures.glob("*.json"))
        for source in parse(Sources, read_json(path), f"{path} is no exhibit with its sources", hint).sources
    }
