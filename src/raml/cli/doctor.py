"""`raml doctor`: what this machine has, what a scale needs of it, and how to mend what is missing."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from raml.cli import common
from raml.errors import InputError, RamlError
from raml.redaction import redacted

if TYPE_CHECKING:
    from raml.config import Scale

Status = Literal["ok", "warning", "error"]

COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red"}
LOCK: Final = Path("requirements", "core.lock")
FREE_GB: Final = 5.0  # the micro scale takes 1 GB, the environment up to 9
MEMORY_GB: Final = 4.0  # of the micro scale's largest two jobs at once
ANSWER_SECONDS: Final = 5.0
IMPORT_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` says what to do about a warning or an error."""

    name: str
    status: Status
    found: str
    mend: str = ""


def doctor(
    scale: Annotated[str, typer.Option("--scale", help="The scale that is to run here.")] = "micro",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check Python, packages, processor, GPU, vLLM, disk, caches, the Hub, DVC's remote and Slurm; exit 1 on an error.

    A warning is about something that the scale can do without.
    """
    from raml.config import load_scale

    findings = [replace(one, found=redacted(one.found), mend=redacted(one.mend)) for one in examine(load_scale(scale))]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    failed = [finding.name for finding in findings if finding.status == "error"]
    if failed:
        raise RamlError(f"scale {scale} cannot run here as it is: {', '.join(failed)}")


def examine(scale: "Scale") -> Iterator[Finding]:
    """All findings, in the order of the help text."""
    yield _python()
    yield _packages(LOCK)
    yield _tools()
    yield _processor()
    yield _memory()
    yield _gpu(needed=scale.hardware.processes if scale.device.kind == "gpu" else 0)
    yield _vllm(needed="vllm" in scale.engines or scale.hardware.rollouts == "vllm")
    yield _disk()
    yield _caches()
    yield _hub(needed=scale.published is not None)
    yield _remote()
    yield _slurm()


def _python() -> Finding:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if platform.python_version_tuple()[:2] == ("3", "11"):
        return Finding("Python", "ok", found)
    return Finding("Python", "error", found, "use Python 3.11: `make PYTHON=/path/to/python3.11 reproduce`")


def _packages(lock: Path) -> Finding:
    try:
        pins = dict(line.split("==") for line in lock.read_text(encoding="utf-8").split() if "==" in line)
    except OSError:
        return Finding("packages", "error", f"{lock} is not here", "call raml in the folder of a checkout")
    other = {name: found for name, pin in pins.items() if (found := _version(name)) not in (pin, f"{pin}+cpu")}
    if not other:
        return Finding("packages", "ok", f"all {len(pins)} have the versions of {lock}")
    shown = ", ".join(f"{name} {found or 'missing'} (lock: {pins[name]})" for name, found in sorted(other.items())[:5])
    return Finding(
        "packages",
        "error",
        f"{len(other)} of {len(pins)} differ from {lock}: {shown}",
        "remove .venv and run `make test`",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _tools() -> Finding:
    missing = [tool for tool in ("git", "gcc", "make") if shutil.which(tool) is None]
    if missing:
        return Finding("tools", "error", f"missing: {', '.join(missing)}", f"apt-get install {' '.join(missing)}")
    return Finding("tools", "ok", "git, gcc and make")


def _processor() -> Finding:
    from raml.lineage.environment import processor

    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split("flags", 1)[-1].split("\n")[0].split())
    except OSError:
        flags = set()
    useful = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    found = f"{os.cpu_count()} cores, {processor()}, {', '.join(useful) or 'no vector instructions known'}"
    if "avx2" not in flags:
        return Finding("processor", "warning", found, "runs take several times longer without AVX2")
    return Finding("processor", "ok", found)


def _memory() -> Finding:
    import psutil  # type: ignore[import-untyped]

    memory = psutil.virtual_memory()
    found = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB are free"
    if memory.available < MEMORY_GB * 1e9:
        return Finding("memory", "warning", found, f"end other programs: jobs want {MEMORY_GB:.0f} GB")
    return Finding("memory", "ok", found)


def _gpu(needed: int) -> Finding:
    query = "--query-gpu=name,driver_version,memory.total"
    try:
        asked = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True, timeout=30, check=True
        )
        found = asked.stdout.strip().splitlines()
    except (OSError, subprocess.SubprocessError):
        found = []
    named = "; ".join(found) or "none"
    if len(found) >= needed:
        return Finding("GPU", "ok", named if needed or found else "none; the scale needs none")
    return Finding("GPU", "error", named, f"the scale asks for {needed}: run it where there are as many")


def _vllm(needed: bool) -> Finding:
    if find_spec("vllm") is None:
        mend = "`make vllm` installs it" if needed else ""
        return Finding("vLLM", "error" if needed else "ok", "not installed" + ("" if needed else "; not needed"), mend)
    code = "import vllm; print(vllm.__version__)"
    quiet = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_SECONDS, env=quiet, check=True
        )
    except subprocess.SubprocessError as error:
        text = str(getattr(error, "stderr", "") or error).strip().splitlines()
        found = f"cannot be imported: {text[-1] if text else error}"
        return Finding("vLLM", "error" if needed else "warning", found, "`make vllm` installs it anew")
    return Finding("vLLM", "ok", f"{ran.stdout.strip().splitlines()[-1]} can be imported")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    if free < FREE_GB:
        mend = f"free at least {FREE_GB:.0f} GB; `make clean-work` deletes what unfinished jobs left"
        return Finding("disk", "warning", f"{free:.1f} GB are free here", mend)
    return Finding("disk", "ok", f"{free:.1f} GB are free here")


def _caches() -> Finding:
    folders = {
        "unfinished jobs": Path(".cache"),
        "DVC": Path(".dvc", "cache"),
        "Hugging Face": Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")),
    }
    sizes = [f"{name} {_size(folder) / 1e9:.1f} GB ({folder})" for name, folder in folders.items() if folder.is_dir()]
    return Finding("caches", "ok", ", ".join(sizes) or "none yet")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _hub(needed: bool) -> Finding:
    import httpx

    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        answer = httpx.head(address, timeout=ANSWER_SECONDS, follow_redirects=True)
        if answer.status_code < 500:
            return Finding("Hub", "ok", f"{address} answers")
        reason = f"it answers {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = type(error).__name__
    if not needed:
        return Finding("Hub", "ok", f"{address} cannot be reached ({reason}); the scale needs it not")
    mend = "go online, set HF_ENDPOINT to a mirror, or name folders in the scale in place of models and data sets"
    return Finding("Hub", "error", f"{address} cannot be reached ({reason})", mend)


def _remote() -> Finding:
    try:
        remotes = common.remotes()
    except InputError as error:
        return Finding("DVC", "warning", str(error), "call raml in a git checkout")
    if not remotes:
        mend = "`dvc remote add --default store URL` lets `raml restore` fetch models and trajectories"
        return Finding("DVC", "warning", "no remote is configured", mend)
    lost = [name for name, url in remotes.items() if url.startswith("/") and not Path(url).is_dir()]
    names = ", ".join(remotes)
    if lost:
        return Finding("DVC", "warning", f"remotes {names}; no folder behind {', '.join(lost)}", "`dvc remote modify`")
    return Finding("DVC", "ok", f"remotes {names}")


def _slurm() -> Finding:
    if shutil.which("sinfo") is None:
        return Finding("Slurm", "ok", "not on this machine; a cluster has it (docs/slurm.md)")
    asked = subprocess.run(["sinfo", "--noheader", "--format=%P %a %D"], capture_output=True, text=True, check=False)
    if asked.returncode:
        return Finding(
            "Slurm", "warning", "sinfo fails: " + " ".join(asked.stderr.split())[:200], "is slurmctld running?"
        )
    return Finding("Slurm", "ok", "; ".join(asked.stdout.strip().splitlines()) or "no partitions")


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for column in ("status", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in findings:
        mend = f"\n[bold]→ {escape(finding.mend)}[/]" if finding.mend else ""
        colour = COLOURS[finding.status]
        table.add_row(f"[{colour}]{finding.status}[/]", finding.name, f"{escape(finding.found)}{mend}")
    Console().print(table)
