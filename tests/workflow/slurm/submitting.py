"""A checkout from which Snakemake and DVC send jobs to a cluster."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from checkout import MINIMAL, Checkout, environment
from cluster import Cluster

PROFILE = "workflow/profiles/slurm"
MODEL = "results/minimal/models/seed0/sft_short"
AT_ONCE = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]


@dataclass(frozen=True)
class Submitting:
    """A checkout from which Snakemake and DVC send jobs to a cluster."""

    checkout: Checkout
    cluster: Cluster

    @property
    def root(self) -> Path:
        return self.checkout.root

    def call(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment in the checkout to its end."""
        return subprocess.run(command, cwd=self.root, env=self._environment(variables), capture_output=True, text=True)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake and go on; what it prints goes to `snakemake.out`."""
        with (self.root / "snakemake.out").open("wb") as out:
            return subprocess.Popen(
                self.snakemake(*arguments), cwd=self.root, env=self._environment({}), stdout=out, stderr=out
            )

    def snakemake(self, *arguments: str) -> list[str]:
        """`snakemake --profile workflow/profiles/slurm ARGUMENTS`, at minimal scale."""
        configured = [*arguments] if "--config" in arguments else [*arguments, *MINIMAL]
        return ["snakemake", "--profile", PROFILE, *AT_ONCE, *configured]

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        on_cluster = environment() | self.cluster.environment
        programs = f"{Path(sys.executable).parent}{os.pathsep}{on_cluster['PATH']}"
        return on_cluster | {"PATH": programs} | variables


@dataclass(frozen=True)
class Reproduced:
    """A checkout with the results of `dvc repro`, how that went, and the jobs of Slurm's that it took."""

    submitting: Submitting
    ran: subprocess.CompletedProcess[str]
    jobs: list[dict[str, str]]
