"""Snakemake's records of how results were made, kept beside them in git, so that a clone knows what it has.

    results/<scale>/records/<phase>.json

Snakemake looks in `.snakemake/metadata` for the rule, code, parameters and inputs that a file was made with, and
without them either reruns everything or trusts what it finds. `save` copies the records to where git keeps them, each
with the SHA-256 of the file that it is about; `synchronise` brings them back, only to files of those very bytes, made
from the inputs that are there. What nobody has a fitting record of counts as made by other means: its job runs. No time
stamp of a file is taken for a sign of what it was made from; where a record has the file's own, it is about that file.

The layout of the records is Snakemake's own affair; they are read and written through its `FilePersistence`.
"""

import json
import stat
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
_NO_PARAMS: Final = [repr(UNKNOWN)]
_HASHES: Final = Path(".snakemake", "raml-hashes.json")


@dataclass
class _Hashes:
    """SHA-256 of files, each read again only if its times or size have changed, and looked at once in a process."""

    known: dict[str, list[Any]]  # times, size and hash by path
    current: dict[str, str] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def load(cls) -> Self:
        try:
            return cls(json.loads(_HASHES.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return cls({})

    def save(self) -> None:
        if self.changed:
            _write(json.dumps(self.known), _HASHES)

    def of(self, path: str) -> str:
        """The file's hash; empty if there is no such file."""
        if path not in self.current:
            self.current[path] = self._read(path)
        return self.current[path]

    def _read(self, path: str) -> str:
        try:
            found = Path(path).stat()
        except (OSError, ValueError):
            return ""
        if not stat.S_ISREG(found.st_mode):  # reading a device may never end
            return ""
        state = [found.st_mtime_ns, found.st_ctime_ns, found.st_size]  # the second changes whatever sets the first
        if path not in self.known or self.known[path][:3] != state:
            from raml.storage import file_hash  # and with it polars, which most starts of Snakemake do without

            self.known[path] = [*state, file_hash(Path(path))]
            self.changed = True
        return str(self.known[path][3])


def synchronise(scale: str) -> None:
    """Let Snakemake's records of all files of `results/<scale>` be about the files that are there.

    A record that Snakemake made itself of the file as it is stays; else the kept one comes if it is about the same
    bytes, and to files that are not there. In either case the inputs have to have the bytes that they had then, however
    old they look. A file without such a record gets one that fits no job.

    Raises:
        DataError: a file of records is damaged.
    """
    kept = {path: (sha256, record) for path, sha256, record in _kept(scale)}
    hashes, persistence = _Hashes.load(), _persistence()
    for path in sorted({*_results(scale), *kept}):
        sha256, record = kept.get(path, (None, None))
        own = persistence._read_record(path)
        if not Path(path).is_file():
            if own is None and record is not None:
                _bring(persistence, path, record)
        elif own is not None and own.params != _NO_PARAMS and _is_of(own, path) and _fits(own.input_checksums, hashes):
            continue
        elif record is not None and hashes.of(path) == sha256 and _fits(record["input_checksums"], hashes):
            _bring(persistence, path, record)
        elif own is None or own.params != _NO_PARAMS or not _is_of(own, path):
            _bring(persistence, path, {"rule": own and own.rule, "params": _NO_PARAMS})
    hashes.save()


def save(scale: str, *, complete: bool) -> None:
    """Keep Snakemake's records of all files below `results/<scale>`; what has not changed is not written anew.

    Args:
        scale: whose results.
        complete: all that the workflow makes is there. If not, what is kept of files that are not there stays.
    """
    hashes, persistence = _Hashes.load(), _persistence()
    made: dict[str, dict[str, dict[str, Any]]] = {phase: {} for phase in PHASES}
    for path in _results(scale):
        record = persistence._read_record(path)
        if record is None or record.params == _NO_PARAMS or not _is_of(record, path):
            continue
        entry = {name: value for name, value in record.model_dump().items() if name not in _NOT_KEPT}
        entry["input_checksums"] = _checksums(entry, hashes)
        _add(made[_phase(scale, path, str(record.rule))], entry, path, hashes.of(path))
    if not complete:
        for path, sha256, entry in _kept(scale):
            if not Path(path).exists():
                _add(made[_phase(scale, path, entry["rule"])], entry, path, sha256)
    for phase, found in made.items():
        target = _file(scale, phase)
        if found:
            in_order = sorted(found.values(), key=lambda job: min(job["outputs"]))
            text = json.dumps({"jobs": in_order}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            if not target.exists() or target.read_text(encoding="utf-8") != text:
                _write(text, target)
    hashes.save()


def kept_hashes(scale: str) -> dict[str, str]:
    """The SHA-256 of each file that the kept records are about, by path.

    Raises:
        DataError: a file of records is damaged.
    """
    return {path: sha256 for path, sha256, _ in _kept(scale)}


def kept_jobs(scale: str) -> dict[str, dict[str, Any]]:
    """The kept record of the job that made each file, by path: rule, shellcmd, params, input, outputs and so on.

    Raises:
        DataError: a file of records is damaged.
    """
    return {path: job for phase in PHASES for job in _read(scale, phase) for path in job["outputs"]}


def _kept(scale: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, SHA-256 and record of each output."""
    for phase in PHASES:
        for job in _read(scale, phase):
            record = {name: value for name, value in job.items() if name != "outputs"}
            for path, sha256 in job["outputs"].items():
                yield path, sha256, record


def _read(scale: str, phase: str) -> list[dict[str, Any]]:
    path = _file(scale, phase)
    try:
        jobs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["jobs"]
        if not all(isinstance(job[part], dict) for job in jobs for part in ("outputs", "input_checksums")):
            raise ValueError
        if not all(isinstance(job[part], str) for job in jobs for part in ("rule", "shellcmd")):
            raise ValueError
        if not all(_is_below(path, scale) for job in jobs for path in job["outputs"]):
            raise ValueError
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path} is damaged; take it from git again (`git checkout {path}`) or delete it") from None
    return jobs


def _is_below(path: str, scale: str) -> bool:
    """Whether an output is a result of `scale`: what is recorded elsewhere would be written elsewhere."""
    parts = Path(path).parts
    return parts[:2] == ("results", scale) and len(parts) > 2 and ".." not in parts


def _checksums(entry: dict[str, Any], hashes: _Hashes) -> dict[str, str]:
    """Those that Snakemake has, and of larger inputs, of which it takes none, those of what is there."""
    known = entry["input_checksums"] or {}
    inputs = [name for name in entry["input"] or [] if name in known or hashes.of(name)]
    return {name: known.get(name) or f"sha256:{hashes.of(name)}" for name in inputs}


def _add(jobs: dict[str, dict[str, Any]], entry: dict[str, Any], path: str, sha256: str) -> None:
    """Enter an output into the job of the same record."""
    jobs.setdefault(json.dumps(entry, sort_keys=True), entry | {"outputs": {}})["outputs"][path] = sha256


def _is_of(record: "MetadataRecord", path: str) -> bool:
    """Whether Snakemake made the record of the file as it is: it notes the file's time."""
    return bool(record.endtime == Path(path).stat().st_mtime)


def _fits(checksums: dict[str, str] | None, hashes: _Hashes) -> bool:
    """Whether the inputs that are there have the bytes that the output was made from."""
    found = ((hashes.of(path), checksum.rpartition(":")[2]) for path, checksum in (checksums or {}).items())
    return all(now in ("", then) for now, then in found)


def _bring(persistence: "FilePersistence", path: str, record: dict[str, Any]) -> None:
    from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

    time = Path(path).stat().st_mtime if Path(path).is_file() else 0.0
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


def _phase(scale: str, path: str, rule: str) -> str:
    if rule in _DEVELOPMENT_RULES:
        return "development"
    return _FOLDER_PHASES.get(Path(path).relative_to("results", scale).parts[0], "analysis")


def _file(scale: str, phase: str) -> Path:
    return Path("results", scale, FOLDER, f"{phase}.json")


def _write(text: str, path: Path) -> None:
    from raml.storage import write_text

    write_text(text, path)
