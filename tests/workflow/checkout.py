"""Checkouts of this repository in temporary folders, in which the workflow really runs."""

import hashlib
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [
    "Snakefile",
    "CITATION.cff",
    "dvc.yaml",
    "pyproject.toml",
    "config",
    "profiles",
    "requirements",
    "src",
    "workflow",
]
# Which no file and no line of output may hold afterwards.
SECRETS = {
    "HF_TOKEN": "hf_notarealtokenbutaslong0123456789",
    "VLLM_API_KEY": "key-of-a-server-4711",
    "OPENAI_API_KEY": "sk-notarealkeybutaslong0123456789",
    "AWS_ACCESS_KEY_ID": "AKIANOTAREALKEY01234",
    "AWS_SECRET_ACCESS_KEY": "secret/of/a+bucket/0123456789",
}
MINIMAL = ["--config", "scale=minimal"]


@dataclass(frozen=True)
class Checkout:
    """A copy of the sources with results of its own."""

    root: Path

    def command(self, *arguments: str) -> list[str]:
        """`snakemake ARGUMENTS` at minimal scale, unless they configure it themselves."""
        configured = [*arguments] if "--config" in arguments else [*arguments, *MINIMAL]
        return [str(Path(sys.executable).with_name("snakemake")), "--cores", "2", *configured]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end."""
        return subprocess.run(
            self.command(*arguments), cwd=self.root, env=environment(), capture_output=True, text=True, timeout=800
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake and go on."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.root,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """The number of jobs of each rule that a run would do, the target rule left out."""
        dry = self.run("--dry-run", *arguments)
        assert dry.returncode == 0, dry.stderr
        jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", dry.stdout, re.MULTILINE)}
        assert jobs or "Nothing to be done" in dry.stderr + dry.stdout
        return {rule: count for rule, count in jobs.items() if rule not in ("total", "all") and "_phase" not in rule}

    def artifacts(self) -> dict[str, str]:
        """SHA-256 of every file below results/, by path."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.root / "results").rglob("*"))
            if path.is_file()
        }


@dataclass(frozen=True)
class Built:
    """A checkout in which the whole DAG ran, and what that took."""

    checkout: Checkout
    ran: subprocess.CompletedProcess[str]
    seconds: float
    cpu_seconds: float


def environment() -> dict[str, str]:
    """The environment without what the tests' own run has set, and with secrets."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("RAML_")}
    return own | SECRETS


def copy(source: Path, target: Path) -> None:
    """Copy a file, folder or link with its times, compiled Python left out."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def scramble_times(root: Path) -> None:
    """Give all files below `root` times that mean nothing."""
    generator = random.Random(0)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            time = 1.7e9 + generator.random() * 1e7
            os.utime(path, (time, time))


def children_cpu_seconds() -> float:
    """CPU time of all ended children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
