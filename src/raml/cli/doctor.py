"""`raml doctor`: what this machine has, what a scale needs of it, and how to repair what is missing."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from raml.cli import dvc_paths
from raml.cli.options import Json, Scale
from raml.cli.output import coloured, print_json, print_table
from raml.errors import InputError, RamlError

if TYPE_CHECKING:
    from raml.config import Scale as ScaleConfig

LOCK = Path("requirements", "core.lock")
FREE_GB = 5.0  # the micro scale takes 1 GB, the environment up to 9
MEMORY_GB = 4.0  # of the micro scale's largest two jobs at once
ANSWER_SECONDS = 5.0
IMPORT_SECONDS = 180.0


@dataclass(frozen=True)
class Finding:
    """The state of one thing; `hint` says what to do where something is wrong, which a run may do without."""

    name: str
    detail: str
    hint: str = ""
    needed: bool = False

    @property
    def status(self) -> str:
        """`ok`, `warning` or `error`."""
        return ("error" if self.needed else "warning") if self.hint else "ok"


def doctor(scale: Scale = "micro", as_json: Json = False) -> None:
    """Check Python, packages, processor, GPU, vLLM, disk, caches, the Hub, DVC's remote and Slurm; exit 1 on an error.

    A warning is about something that the scale can do without.
    """
    from raml.config import load_scale

    findings = list(examine(load_scale(scale)))
    if as_json:
        names = ("name", "status", "detail", "hint")
        print_json([{name: getattr(one, name) for name in names} for one in findings])
    else:
        rows = [
            (coloured(one.status), one.name, f"{one.detail}\n→ {one.hint}".removesuffix("\n→ ")) for one in findings
        ]
        print_table(f"This machine, for scale {scale}", ("status", "what", "detail"), rows, texts=2, wide="detail")
    if failed := [one.name for one in findings if one.status == "error"]:
        raise RamlError(f"scale {scale} cannot run here as it is: {', '.join(failed)}")


def examine(scale: "ScaleConfig") -> Iterator[Finding]:
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
    right = platform.python_version_tuple()[:2] == ("3", "11")
    hint = "" if right else "use Python 3.11: `make PYTHON=/path/to/python3.11 reproduce`"
    return Finding("Python", f"{platform.python_version()} at {sys.executable}", hint, needed=True)


def _packages(lock: Path) -> Finding:
    if not lock.is_file():
        return Finding("packages", f"{lock} is not here", "call raml in the folder of a checkout", needed=True)
    pins = dict(line.split("==") for line in lock.read_text(encoding="utf-8").split() if "==" in line)
    versions = {name: _version(name) for name in pins}
    wrong = [name for name, pin in sorted(pins.items()) if versions[name] not in (pin, f"{pin}+cpu")]
    if not wrong:
        return Finding("packages", f"all {len(pins)} have the versions of {lock}")
    listed = ", ".join(f"{name} {versions[name]} (lock: {pins[name]})" for name in wrong[:5])
    detail = f"{len(wrong)} of {len(pins)} differ from {lock}: {listed}"
    return Finding("packages", detail, "remove .venv and run `make test`", needed=True)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _tools() -> Finding:
    missing = " ".join(tool for tool in ("git", "gcc", "make") if shutil.which(tool) is None)
    if missing:
        return Finding("tools", f"missing: {missing}", f"apt-get install {missing}", needed=True)
    return Finding("tools", "git, gcc and make")


def _processor() -> Finding:
    from raml.lineage.environment import instructions, processor

    known = instructions()
    detail = f"{os.cpu_count()} cores, {processor()}, {', '.join(known) or 'no vector instructions known'}"
    return Finding("processor", detail, "" if "avx2" in known else "runs take several times longer without AVX2")


def _memory() -> Finding:
    import psutil  # type: ignore[import-untyped]

    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB are free"
    few = memory.available < MEMORY_GB * 1e9
    return Finding("memory", detail, f"end other programs: jobs want {MEMORY_GB:.0f} GB" if few else "")


def _gpu(needed: int) -> Finding:
    from raml.lineage.environment import gpus

    names = gpus("name,driver_version,memory.total")
    hint = f"the scale asks for {needed}: run it where there are as many" if len(names) < needed else ""
    return Finding("GPU", "; ".join(names) or ("none" if needed else "none; the scale needs none"), hint, needed=True)


def _vllm(needed: bool) -> Finding:
    if find_spec("vllm") is None:
        hint = "`make vllm` installs it" if needed else ""
        return Finding("vLLM", f"not installed{'' if needed else '; not needed'}", hint, needed)
    command = [sys.executable, "-c", "import vllm; print(vllm.__version__)"]
    quiet = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS, env=quiet, check=True)
    except subprocess.SubprocessError as error:
        reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
        return Finding("vLLM", f"cannot be imported: {reason}", "`make vllm` installs it again", needed)
    return Finding("vLLM", f"{ran.stdout.strip().splitlines()[-1]} can be imported")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 1e9
    hint = f"free at least {FREE_GB:.0f} GB; `make clean-work` deletes what unfinished jobs left"
    return Finding("disk", f"{free:.1f} GB are free here", hint if free < FREE_GB else "")


def _caches() -> Finding:
    hub = os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")
    folders = {"unfinished jobs": Path(".cache"), "DVC": Path(".dvc", "cache"), "Hugging Face": Path(hub)}
    sizes = [f"{name} {_size(folder) / 1e9:.1f} GB ({folder})" for name, folder in folders.items() if folder.is_dir()]
    return Finding("caches", ", ".join(sizes) or "none yet")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _hub(needed: bool) -> Finding:
    import httpx

    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        answer = httpx.head(address, timeout=ANSWER_SECONDS, follow_redirects=True)
        if answer.status_code < 500:
            return Finding("Hub", f"{address} answers")
        reason = f"it answers {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = type(error).__name__
    detail = f"{address} cannot be reached ({reason})"
    if not needed:
        return Finding("Hub", f"{detail}; the scale does not need it")
    hint = "go online, set HF_ENDPOINT to a mirror, or name folders in the scale in place of models and data sets"
    return Finding("Hub", detail, hint, needed)


def _remote() -> Finding:
    try:
        remotes = dvc_paths.remotes()
    except InputError as error:
        return Finding("DVC", str(error), "call raml in a git checkout")
    if not remotes:
        hint = "`dvc remote add --default store URL` lets `raml restore` fetch models and trajectories"
        return Finding("DVC", "no remote is configured", hint)
    detail = f"remotes {', '.join(remotes)}"
    if lost := [name for name, url in remotes.items() if url.startswith("/") and not Path(url).is_dir()]:
        return Finding("DVC", f"{detail}; no folder behind {', '.join(lost)}", "`dvc remote modify`")
    return Finding("DVC", detail)


def _slurm() -> Finding:
    if shutil.which("sinfo") is None:
        return Finding("Slurm", "not on this machine; a cluster has it (docs/slurm.md)")
    ran = subprocess.run(["sinfo", "--noheader", "--format=%P %a %D"], capture_output=True, text=True, check=False)
    if ran.returncode:
        return Finding("Slurm", f"sinfo fails: {' '.join(ran.stderr.split()):.200}", "is slurmctld running?")
    return Finding("Slurm", "; ".join(ran.stdout.strip().splitlines()) or "no partitions")
