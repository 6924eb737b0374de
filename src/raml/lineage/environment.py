"""The machine and the packages that a run's analysis ran on: without dates and names, so that equal machines agree.

    python -m raml.lineage.environment --scale S --config {} --lock requirements/core.lock \
        --claims results/S/claims.json --out results/S/environment.json

It is written after the claims, and again whenever they are: on one machine it holds for all jobs, on a cluster for the
last ones.
"""

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from raml.config import Section
from raml.errors import DataError
from raml.lineage.timings import processor
from raml.step import Step, run
from raml.storage import read_json, write_json

# Instructions that change how sums are rounded, as /proc/cpuinfo calls them.
INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


class Job(Section):
    """What the record depends on besides the machine: nothing."""


class Environment(BaseModel):
    """What `results/<scale>/environment.json` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    processor: str
    architecture: str
    instructions: list[str]
    gpus: list[str]
    system: str
    python: str
    packages: dict[str, str]  # as installed, by the names of the lock

    def in_words(self) -> str:
        """One line: processor, instructions, GPUs, system and Python."""
        gpus = f"; {', '.join(self.gpus)}" if self.gpus else ""
        return (
            f"{self.processor} ({self.architecture}; {' '.join(self.instructions)}){gpus}; {self.system}; "
            f"Python {self.python}"
        )


def main(step: Step[Job]) -> None:
    """Write the record."""
    write_json(environment(step.files["lock"]).model_dump(mode="json"), step.files["out"])


def environment(lock: Path) -> Environment:
    """This machine, and the installed versions of what `lock` pins; packages that are not installed are left out.

    Raises:
        DataError: the lock pins nothing.
    """
    names = re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if not names:
        raise DataError(f"{lock} pins no package; pass the compiled lock")
    return Environment(
        processor=processor(),
        architecture=platform.machine(),
        instructions=_instructions(),
        gpus=_gpus(),
        system=f"{platform.system()}, {' '.join(part for part in platform.libc_ver() if part)}".removesuffix(", "),
        python=platform.python_version(),
        packages={name: version for name in names if (version := _version(name))},
    )


def read_environment(path: Path) -> Environment:
    """What a run wrote.

    Raises:
        DataError: the file is missing, not JSON or something else.
    """
    try:
        return Environment.model_validate(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"{path} describes no machine: {where}: {problem['msg']}; delete it and rerun") from None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _instructions() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    flags = re.search(r"^(?:flags|Features)\s*: (.*)", text, re.MULTILINE)
    return [name for name in INSTRUCTIONS if flags and name in flags[1].split()]


def _gpus() -> list[str]:
    """The names of NVIDIA GPUs that answer, one each."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        ran = subprocess.run(query, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return sorted(ran.stdout.splitlines()) if ran.returncode == 0 else []


if __name__ == "__main__":
    run(main, Job, inputs=["lock", "claims"], outputs=["out"])
