"""A claim that was made once more, in a folder of its own, against what is recorded of it.

*identical*: every file that the claim's chain of jobs makes, from the questions to the measurements, has the same
bytes, and so has what is said of the claim. *within tolerance*: files differ, but the verdict is the same, each
deciding effect lies in its recorded interval, and each number that is set against the paper's is there and has moved
by no more than its tolerance in `config/claims.yaml`. *different*: anything else.

Holm's correction takes all claims of a scale, which are not made again: `p_holm` and `verdict_holm` are not compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel

from raml import records
from raml.claims.decide import decide
from raml.claims.effects import Quantities
from raml.claims.registry import load_registry
from raml.claims.result import ClaimResult
from raml.config import Scale
from raml.errors import DataError, InputError
from raml.evaluation.intervals import Bootstrap
from raml.lineage.jobs import Job, jobs_behind, option
from raml.lineage.trace import claim_called
from raml.quantities.job import job_of
from raml.quantities.measure import TABLES, measure, paths_of
from raml.quantities.table import tables_of
from raml.schemas import Question
from raml.storage import file_hash, read_table

Outcome = Literal["identical", "within tolerance", "different"]

FAMILY: Final = {"p_holm", "verdict_holm"}
GIVEN: Final = ("questions", "trajectories", "models")  # folders of `results/<scale>/` that can be taken as they are


class Number(BaseModel):
    """A number as it was recorded and as it came out now; `allowed` is how far or between what the second may lie."""

    name: str
    recorded: float
    remade: float
    allowed: tuple[float, float]
    source: str
    within: bool


class Difference(BaseModel):
    """The first file that differs, in the order in which jobs run, and what of its job is not as recorded."""

    path: str
    rule: str
    recorded: str  # SHA-256
    remade: str | None
    changed: list[str]  # configuration, code, or both; neither where the machine computes differently


class Verification(BaseModel):
    """What came of making a claim again. `differing` are files, and `fields` what is said of the claim otherwise."""

    claim: str
    scale: str
    outcome: Outcome
    verdict_recorded: str
    verdict_remade: str
    jobs: int
    compared: int
    unrecorded: list[str]
    differing: list[str]
    first: Difference | None
    fields: list[str]
    numbers: list[Number]


@dataclass(frozen=True)
class Chain:
    """A claim with the job that decides it and all jobs before that, each before those that need what it makes."""

    claim: ClaimResult
    scale: str
    decides: Job
    jobs: list[Job]

    @property
    def files(self) -> dict[str, Job]:
        """The files that jobs make, in order, with their jobs."""
        return {path: job for job in self.jobs for path in job.outputs}


def chain_of(name: str, scale: str) -> Chain:
    """The chain of the claim called `name` in `results/<scale>/claims.json`.

    Raises:
        InputError: there is no such claim, or nothing was measured for it.
        DataError: there are no decided claims of the scale.
    """
    path = Path("results", scale, "claims.json")
    claim = claim_called(name.removeprefix("claims/"), path, scale)
    if claim.verdict == "not_run":
        raise InputError(f"claim {claim.id!r} was not tested at scale {scale}, so that there is nothing to verify")
    decides, *jobs = jobs_behind(path.as_posix(), scale, claim.artifacts, drawn=True)
    return Chain(claim, scale, decides, jobs[::-1])


def given_files(chain: Chain) -> list[Path]:
    """Questions, trajectories and models of the chain, which are to be taken as they are.

    Raises:
        DataError: one is missing or not as recorded.
    """
    recorded = records.kept_hashes(chain.scale)
    paths = [Path(path) for path in chain.files if Path(path).parts[2] in GIVEN]
    for path in paths:
        if not path.is_file() or recorded.get(path.as_posix()) != file_hash(path):
            wrong = f"is not as recorded in results/{chain.scale}/records" if path.is_file() else "is not here"
            hint = f"`raml restore --scale {chain.scale}` fetches it; without --given it is made anew"
            raise DataError(f"{path} {wrong}; {hint}")
    return paths


def recorded_hashes(chain: Chain) -> dict[str, str]:
    """SHA-256 of the chain's files: of those that are here, of others what the records say.

    Raises:
        InputError: nothing is known of an artifact of the claim.
    """
    known = {path: sha256 for path, sha256 in records.kept_hashes(chain.scale).items() if path in chain.files}
    known |= {path: file_hash(Path(path)) for path in chain.files if Path(path).is_file()}
    if unknown := [path for path in chain.claim.artifacts if path not in known]:
        raise InputError(f"{unknown[0]} is neither here nor recorded; `snakemake --cores 2 {unknown[0]}` makes it")
    return known


def verification(chain: Chain, folder: Path, recorded: Mapping[str, str]) -> Verification:
    """Compare what lies in the checkout `folder` after its run with what was recorded.

    Args:
        chain: of the claim.
        folder: the other checkout.
        recorded: SHA-256 of files by path, see `recorded_hashes`.
    """
    remade = {path: file_hash(folder / path) if (folder / path).is_file() else None for path in chain.files}
    differing = [path for path, sha256 in remade.items() if path in recorded and sha256 != recorded[path]]
    claim, again = chain.claim, decide_again(chain, folder)
    before, after = (one.model_dump(mode="json", exclude=FAMILY) for one in (claim, again))
    fields = [name for name, value in before.items() if value != after[name]]
    numbers = [*_numbers(claim, again)]
    complete = len(numbers) == len(claim.interval or {}) + len(claim.against_reported or [])
    same = again.verdict == claim.verdict and bool(numbers) and all(number.within for number in numbers)
    different: Outcome = "within tolerance" if same and complete else "different"
    return Verification(
        claim=claim.id,
        scale=chain.scale,
        outcome=different if differing or fields else "identical",
        verdict_recorded=claim.verdict,
        verdict_remade=again.verdict,
        jobs=len(chain.jobs),
        compared=len(remade.keys() & recorded.keys()),
        unrecorded=[path for path in remade if path not in recorded],
        differing=differing,
        first=_difference(chain, differing[0], recorded[differing[0]], remade[differing[0]]) if differing else None,
        fields=fields,
        numbers=numbers,
    )


def decide_again(chain: Chain, folder: Path) -> ClaimResult:
    """The claim, decided from the measurements in `folder` as the workflow decides it; without Holm's correction.

    Raises:
        DataError: a table is missing or broken.
    """
    scale = Scale.model_validate_json(option(chain.decides.command, "config")[0])
    registry = load_registry(Path("config", "claims.yaml"), Path("config", "reported.yaml"))
    registry = replace(registry, claims=[one for one in registry.claims if one.id == chain.claim.id])
    if not registry.claims:
        raise InputError(f"config/claims.yaml has no claim {chain.claim.id!r} any more; decide the claims again")
    needed = {table for effect in chain.claim.effects for table in tables_of(effect.quantity, effect.model)}
    tables = {
        name: pl.concat(read_table(folder / path, TABLES[name]) for path in paths_of(name, scale))
        for name in TABLES
        if name in needed
    }
    questions = read_table(folder / f"results/{scale.scale}/questions/benchmarks.parquet", Question)
    bootstrap = Bootstrap(0, scale.evaluation.bootstrap_resamples, scale.evaluation.confidence)
    return decide(registry, Quantities(measure(tables, questions, job_of(scale)), bootstrap), scale)[0]


def _numbers(one: ClaimResult, other: ClaimResult) -> Iterator[Number]:
    """The deciding effects, and the numbers that stand beside the paper's, as recorded and as they are now."""
    estimates = {effect.name: effect.estimate for effect in other.effects}
    for effect in one.effects:
        now = estimates.get(effect.name)
        if effect.estimate is not None and effect.interval is not None and now is not None:
            yield _number(effect.name, effect.estimate, now, effect.interval, "the recorded interval")
    entries: dict[Any, dict[str, Any]] = {entry["key"]: entry for entry in other.against_reported or []}
    for entry in one.against_reported or []:
        if again := entries.get(entry["key"]):
            before, tolerance = float(str(entry["measured"])), float(again["tolerance"])
            source = f"config/claims.yaml, tolerance {tolerance:g}"
            allowed = before - tolerance, before + tolerance
            yield _number(str(entry["key"]), before, float(again["measured"]), allowed, source)


def _number(name: str, recorded: float, remade: float, allowed: tuple[float, float], source: str) -> Number:
    within = allowed[0] <= remade <= allowed[1]
    return Number(name=name, recorded=recorded, remade=remade, allowed=allowed, source=source, within=within)


def _difference(chain: Chain, path: str, recorded: str, remade: str | None) -> Difference:
    job, record = chain.files[path], records.kept_jobs(chain.scale).get(path)
    changed = []
    if record:
        if option(record["shellcmd"], "config")[:1] != option(job.command, "config")[:1]:
            changed.append("configuration")
        if repr(job.code) not in record["params"]:
            changed.append("code")
        if Path(path).is_file() and record["outputs"][path] != file_hash(Path(path)):
            changed.append("the file here, which is not as recorded")
    return Difference(path=path, rule=job.rule, recorded=recorded, remade=remade, changed=changed)
