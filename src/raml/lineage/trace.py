"""Where a number comes from: its files, the rules that made them, configuration, code, seeds and machine.

What a file says of itself (the metadata of tables, `raml.json` beside models) comes first; of files that are not here
the exhibits keep what was read when they were drawn.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from raml import records
from raml.claims.result import ClaimResult
from raml.claims.results import load_results
from raml.errors import DataError, InputError
from raml.lineage.environment import Environment, read_environment
from raml.lineage.jobs import BY_HAND, Job, jobs_behind
from raml.storage import Provenance, file_hash, read_provenance

RECORDED: Final = ("scale", "config_hash", "code_version", "seed", "model_hash")


class File(BaseModel):
    """An output: whether it is here, and what is recorded of how it was made."""

    path: str
    sha256: str | None  # first 12 hex digits
    here: bool
    provenance: Provenance | None
    recorded_in: str | None  # the file that says so
    config_hash: str | None  # of what its job was given; what the file itself names may be a part of that
    code: str | None  # digest that its job was given


class Stage(BaseModel):
    """Jobs of one rule with one configuration; the code's version is that of the code as it is now."""

    rule: str
    module: str
    command: str  # of the first job
    config_hash: str
    code_version: str
    code: str
    jobs: int
    seeds: list[int]
    files: list[File]

    def recorded(self, name: str) -> list[str]:
        """What is recorded of `name`, each value once: of the configuration by Snakemake, else by the files."""
        values = [getattr(file.provenance, name) for file in self.files if file.provenance]
        if name == "config_hash" and any(file.config_hash for file in self.files):
            values = [file.config_hash for file in self.files]
        return list(dict.fromkeys(str(value) for value in values if value is not None))

    def code_now_and_recorded(self) -> tuple[str, list[str]]:
        """The digest of the code that Snakemake knows of, if the records are kept; else the versions in the files."""
        if known := [file.code for file in self.files if file.code]:
            return self.code, list(dict.fromkeys(known))
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


@dataclass(frozen=True)
class Kept:
    """What `raml.records` keeps of a file: 12 hex digits each, of the file as it was recorded."""

    sha256: str
    config_hash: str
    code: str | None


@dataclass(frozen=True)
class Target:
    """What was asked for: a file, and the claim in it if it was one."""

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
    path = target.path.as_posix()
    results = Path("results", target.scale)
    machine = results / "environment.json"
    claim = _claim(target)
    found = Trace(
        target=name,
        scale=target.scale,
        path=path,
        claim=claim,
        made_by=None,
        stages=[],
        machine=read_environment(machine) if machine.is_file() else None,
    )
    if command := BY_HAND.get(target.path.name):
        return found.model_copy(update={"made_by": command.format(scale=target.scale)})
    if claim is not None and claim.verdict == "not_run":
        return found
    jobs = jobs_behind(path, target.scale, claim.artifacts if claim else ())
    return found.model_copy(update={"stages": _stages(jobs, _recorded(results / "figures"), _kept(target.scale))})


def find(name: str, scale: str) -> Target:
    """The file, and the claim, that `name` stands for.

    An ending may be left out where it is clear; a folder of a model stands for its weights.

    Raises:
        InputError: it is no path below `results/`, or several files begin with it.
    """
    parts = Path(name).parts
    if "results" in parts and len(parts) > parts.index("results") + 2:
        below = parts[parts.index("results") + 1 :]
        scale, parts = below[0], below[1:]
    if not parts or Path(*parts).is_absolute() or ".." in parts:
        raise InputError(f"{name!r} is neither claims/<id> nor a file below results/<scale>/, such as tables/tab1.md")
    results = Path("results", scale)
    if parts[0] == "claims" and len(parts) == 2:
        return Target(scale, results / "claims.json", parts[1])
    path = results.joinpath(*parts)
    if parts[0] == "models" and not path.suffix:
        return Target(scale, path / "model.safetensors")
    if not path.exists() and path.parent.is_dir():
        alike = [file for file in sorted(path.parent.glob(f"{path.name}.*")) if file.is_file()]
        # An exhibit's figure and its numbers are made by one job.
        if len({file.stem for file in alike}) == 1:
            return Target(scale, alike[0])
    return Target(scale, path)


def _claim(target: Target) -> ClaimResult | None:
    if target.claim is None:
        return None
    claims = {claim.id: claim for claim in load_results(target.path)}
    if target.claim not in claims:
        raise InputError(f"{target.path} has no claim {target.claim!r}; it has {', '.join(claims)}")
    return claims[target.claim]


def _stages(jobs: Iterable[Job], recorded: dict[str, tuple[Provenance, str]], kept: dict[str, Kept]) -> list[Stage]:
    """Jobs of a rule with equal configuration together, in the order of the first of them."""
    groups: dict[tuple[str, str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.rule, job.module, job.config_hash), []).append(job)
    return [
        Stage(
            rule=group[0].rule,
            module=group[0].module,
            command=group[0].command,
            config_hash=group[0].config_hash,
            code_version=group[0].code_version,
            code=group[0].code,
            jobs=len(group),
            seeds=sorted({job.seed for job in group if job.seed is not None}),
            files=[_file(Path(path), recorded, kept) for job in group for path in job.outputs if _counts(path)],
        )
        for group in groups.values()
    ]


def _counts(path: str) -> bool:
    """Whether a file of a folder stands for itself: of a model the weights do, of a tokenizer its vocabulary."""
    if "/models/" in path:
        return path.endswith(".safetensors")
    return "/tokenizer/" not in path or path.endswith("/tokenizer.json")


def _file(path: Path, recorded: dict[str, tuple[Provenance, str]], kept: dict[str, Kept]) -> File:
    provenance, source = recorded.get(path.as_posix(), (None, None))
    known = kept.get(path.as_posix())
    if path.is_file() and path.suffix == ".parquet":
        provenance, source = read_provenance(path), path.as_posix()
    elif path.is_file() and (beside := path.parent / "raml.json").is_file():
        provenance, source = _of_model(beside), beside.as_posix()
    return File(
        path=path.as_posix(),
        sha256=file_hash(path)[:12] if path.is_file() else known.sha256 if known else None,
        here=path.is_file(),
        provenance=provenance,
        recorded_in=source,
        config_hash=known.config_hash if known else None,
        code=known.code if known else None,
    )


def _kept(scale: str) -> dict[str, Kept]:
    """What the kept records say of each file."""
    found = {}
    for path, job in records.kept_jobs(scale).items():
        words = shlex.split(job["shellcmd"])
        config = words[words.index("--config") + 1] if "--config" in words else ""
        digests = [match[1] for text in job["params"] if (match := re.fullmatch(r"'([0-9a-f]{12})'", text))]
        found[path] = Kept(
            sha256=job["outputs"][path][:12],
            config_hash=hashlib.sha256(config.encode()).hexdigest()[:12],
            code=digests[0] if len(digests) == 1 else None,
        )
    return found


def _of_model(path: Path) -> Provenance:
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise DataError(f"{path} does not say where its model comes from; delete the model and rerun") from None


def _recorded(figures: Path) -> dict[str, tuple[Provenance, str]]:
    """What exhibits keep of the files that they were drawn from, by path."""
    found: dict[str, tuple[Provenance, str]] = {}
    for path in sorted(figures.glob("*.json")):
        try:
            sources = json.loads(path.read_text(encoding="utf-8"))["sources"]
            for source in sources:
                found[source["path"]] = (Provenance(**{name: source[name] for name in RECORDED}), path.as_posix())
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(f"{path} is no exhibit with its sources; delete it and rerun") from None
    return found


def alike(paths: Iterable[str]) -> list[str]:
    """Paths that differ only in the training seed as one, `seed{0,1,2}`."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        seed = re.search(r"(?<=seed)\d+", path)
        groups.setdefault(re.sub(r"(?<=seed)\d+", "{}", path, count=1), []).append(seed[0] if seed else "")
    return [
        name.replace("{}", seeds[0] if len(seeds) == 1 else f"{{{','.join(sorted(set(seeds)))}}}")
        for name, seeds in groups.items()
    ]
