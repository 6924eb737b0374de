"""The machine and the packages that a run's analysis ran on: without dates and names, so that equal machines agree.

    python -m raml.lineage.environment --scale S --config {} --lock requirements/core.lock \
        --claims results/S/claims.json --out results/S/environment.json

It is written after the claims, and again whenever they are: on one machine it holds for all jobs, on a cluster for the
last ones.
"""

import platform
import re
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from raml.config import Section
from raml.errors import DataError
from raml.lineage.parsing import parse
from raml.step import Step, run
from raml.storage import read_json, write_json

# Instructions that change how sums are rounded, as /proc/cpuinfo calls them.
INSTRUCTIONS: Final = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


class Environment(BaseModel, extra="forbid", frozen=True):
    """What `results/<scale>/environment.json` says."""

    processor: str
    architecture: str
    instructions: list[str]
    gpus: list[str]
    system: str
    python: str
    packages: dict[str, str]  # as installed, by the names of the lock

    def in_words(self) -> str:
        """One line: processor, instructions, GPUs, system and Python."""
        machine = f"{self.processor} ({self.architecture}; {' '.join(self.instructions)})"
        return "; ".join([machine, *filter(None, [", ".join(self.gpus)]), self.system, f"Python {self.python}"])


def main(step: Step[Section]) -> None:
    """Write the record, which depends on no configuration."""
    write_json(environment(step.files["lock"]).model_dump(mode="json"), step.files["out"])


def environment(lock: Path) -> Environment:
    """This machine, and the installed versions of what `lock` pins; packages that are not installed are left out.

    Raises:
        DataError: the lock pins nothing.
    """
    names = re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if not names:
        raise DataError(f"{lock} pins no package; pass the compiled lock")
    packages: dict[str, str] = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return Environment(
        processor=processor(),
        architecture=platform.machine(),
        instructions=instructions(),
        gpus=gpus("name"),
        system=f"{platform.system()}, {' '.join(filter(None, platform.libc_ver()))}".removesuffix(", "),
        python=platform.python_version(),
        packages=packages,
    )


def read_environment(path: Path) -> Environment:
    """What a run wrote.

    Raises:
        DataError: the file is missing, not JSON or something else.
    """
    return parse(Environment, read_json(path), f"{path} describes no machine", "; delete it and rerun")


def processor() -> str:
    """The name of this machine's processor."""
    return _cpuinfo("model name") or (platform.processor() or platform.machine()).strip()


def instructions() -> list[str]:
    """Those of `INSTRUCTIONS` that this machine's processor has."""
    flags = _cpuinfo("flags|Features").split()
    return [name for name in INSTRUCTIONS if name in flags]


def gpus(fields: str) -> list[str]:
    """What `nvidia-smi` says in these `fields` of each NVIDIA GPU that answers."""
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        return sorted(subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines())
    return []


def _cpuinfo(names: str) -> str:
    with suppress(OSError):
        line = re.search(rf"^(?:{names})\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        return line[1].strip() if line else ""
    return ""


if __name__ == "__main__":
    run(main, Section, inputs=["lock", "claims"], outputs=["out"])
