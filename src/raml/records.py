"""Snakemake's records of how results were made, kept beside them in git, so that a clone knows what it has.

    results/<scale>/records/<phase>.json

Snakemake looks in `.snakemake/metadata` for the rule, code, parameters and inputs that a file was made with, and
without them either reruns everything or trusts what it finds. `save` copies the records to where git keeps them, each
with the SHA-256 of the file that it is about; `synchronise` brings them back, only to files of those very bytes, made
from the inputs that are there. What nobody has a record of counts as made by other means: its job runs. No time stamp
of a file is taken for a sign of what it was made from.

The layout of the records is Snakemake's own affair; they are read and written through its `FilePersistence`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from raml.errors import DataError

if TYPE_CHECKING:
    from snakemake.persistence import MetadataRecord
    from snakemake.persistence.file import FilePersistence

PHASES: Final = ("questions", "trajectories", "training", "analysis", "development")
FOLDER: Final = "records"
UNKNOWN: Final = "made by other means than this workflow, or by a version of it that left no record"

_FOLDER_PHASES: Final = {"questions": "questions", "trajectories": "trajectories", "models": "training"}
_DEVELOPMENT_RULES: Final = ("sample_development", "measurability")  # which no phase asks for
_NOT_KEPT: Final = {"starttime", "endtime", "job_hash", "incomplete", "external_jobid"}  # of one run on one machine
_SEEN: Final = Path(".snakemake", "raml-seen.json")


@dataclass
class _Seen:
    """What the files were like when they were last looked at: by path time, size, hash and the record's digest."""

    files: dict[str, list[Any]] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def load(cls) -> Self:
        try:
            return cls(json.loads(_SEEN.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return cls()

    def save(self) -> None:
        if self.changed:
            _write(json.dumps(self.files), _SEEN)

    def hash(self, path: str) -> str:
        """SHA-256 of a file, read again only if its time or size has changed."""
        time, size = _stat(path)
        known = self.files.get(path)
        if known is None or known[:2] != [time, size]:
            with Path(path).open("rb") as file:
                self.files[path] = [time, size, hashlib.file_digest(file, "sha256").hexdigest(), ""]
            self.changed = True
        return str(self.files[path][2])

    def is_done(self, path: str, digest: str) -> bool:
        """Whether the file has been compared with that record before and is as it was then."""
        known = self.files.get(path)
        return known is not None and known[:2] == _stat(path) and known[3] == digest

    def done(self, path: str, digest: str) -> None:
        self.hash(path)
        self.files[path][3] = digest
        self.changed = True


def synchronise(scale: str) -> None:
    """Give Snakemake the kept records of all files below `results/<scale>` that have the recorded bytes.

    A record that Snakemake made itself of the file as it is stays. A file without any gets one that fits no job.

    A file that was made from other inputs than are there now is none of those, whatever is the older one.

    Raises:
        DataError: a file of records is damaged.
    """
    kept = {path: (sha256, record) for path, sha256, record in _kept(scale)}
    seen = _Seen.load()
    persistence = None
    for path in _results(scale):
        sha256, record = kept.get(path, ("", {}))
        digest = f"{sha256}{hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]}"
        if seen.is_done(path, digest):
            continue
        persistence = persistence or _persistence()
        own = persistence._read_record(path)
        if own is None or own.endtime != Path(path).stat().st_mtime:
            fits = seen.hash(path) == sha256 and _inputs_fit(record, seen)
            _bring(persistence, path, record if fits else {"rule": own and own.rule, "params": [repr(UNKNOWN)]})
        seen.done(path, digest)
    seen.save()


def save(scale: str) -> None:
    """Keep Snakemake's records of all files below `results/<scale>`; what has not changed is not written anew."""
    seen, persistence = _Seen.load(), _persistence()
    jobs: dict[str, dict[str, dict[str, Any]]] = {phase: {} for phase in PHASES}
    for path in _results(scale):
        record = persistence._read_record(path)
        if record is None or record.params == [repr(UNKNOWN)]:
            continue
        made = {name: value for name, value in record.model_dump().items() if name not in _NOT_KEPT}
        job = jobs[_phase(scale, path, record)].setdefault(json.dumps(made, sort_keys=True), made | {"outputs": {}})
        job["outputs"][path] = seen.hash(path)
    for phase, found in jobs.items():
        target = _file(scale, phase)
        if found:
            in_order = sorted(found.values(), key=lambda job: min(job["outputs"]))
            text = json.dumps({"jobs": in_order}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            if not target.exists() or target.read_text(encoding="utf-8") != text:
                _write(text, target)
    seen.save()


def recorded(scale: str) -> dict[str, str]:
    """The SHA-256 of each file that the kept records are about, by path.

    Raises:
        DataError: a file of records is damaged.
    """
    return {path: sha256 for path, sha256, _ in _kept(scale)}


def jobs(scale: str) -> dict[str, dict[str, Any]]:
    """The kept record of the job that made each file, by path: rule, shellcmd, params, input, outputs and so on.

    Raises:
        DataError: a file of records is damaged.
    """
    return {path: job for phase in PHASES for job in _jobs(scale, phase) for path in job["outputs"]}


def _kept(scale: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, SHA-256 and record of each output."""
    for phase in PHASES:
        for job in _jobs(scale, phase):
            record = {name: value for name, value in job.items() if name != "outputs"}
            for path, sha256 in job["outputs"].items():
                yield path, sha256, record


def _jobs(scale: str, phase: str) -> list[dict[str, Any]]:
    path = _file(scale, phase)
    try:
        jobs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["jobs"]
        if not all(isinstance(job["outputs"], dict) for job in jobs):
            raise ValueError
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged; take it from git again (`git checkout {path}`) or delete it") from None
    return jobs


def _inputs_fit(record: dict[str, Any], seen: _Seen) -> bool:
    """Whether the inputs that are there have the bytes that the output was made from."""
    checksums = {path: checksum.rpartition(":")[2] for path, checksum in record["input_checksums"].items()}
    return all(seen.hash(path) == sha256 for path, sha256 in checksums.items() if Path(path).is_file())


def _bring(persistence: "FilePersistence", path: str, record: dict[str, Any]) -> None:
    from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

    time = Path(path).stat().st_mtime
    times = {"starttime": time, "endtime": time, "incomplete": False}
    defaults = {"record_format_version": RECORD_FORMAT_VERSION}
    persistence._write_record(path, MetadataRecord.model_validate(defaults | record | times))
    persistence._clear_cache()


def _persistence() -> "FilePersistence":
    from snakemake.persistence.file import FilePersistence

    return FilePersistence(path=Path(".snakemake"))


def _results(scale: str) -> list[str]:
    """All finished files of a scale, in order, but for the records."""
    root = Path("results", scale)
    found = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.as_posix() for path in found if path.relative_to(root).parts[0] != FOLDER)


def _phase(scale: str, path: str, record: "MetadataRecord") -> str:
    if record.rule in _DEVELOPMENT_RULES:
        return "development"
    return _FOLDER_PHASES.get(Path(path).relative_to("results", scale).parts[0], "analysis")


def _file(scale: str, phase: str) -> Path:
    return Path("results", scale, FOLDER, f"{phase}.json")


def _stat(path: str) -> list[int]:
    found = Path(path).stat()
    return [found.st_mtime_ns, found.st_size]


def _write(text: str, path: Path) -> None:
    """As `storage.write_text`, without the import of polars at each start of Snakemake."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
