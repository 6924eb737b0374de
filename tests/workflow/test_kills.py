"""`kill -9` of anything at any moment: the next plain command goes on, and the end is what an undisturbed run makes.

make test-faults            the same moments each time, as far as the machine is as fast
make test-faults SEED=7     others
"""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TextIO

import psutil
import pytest
from checkout import Built, Checkout, environment
from versioned import initialise

from raml.running.remains import RUN, mark

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]

KILLS = 32
VICTIMS = ("snakemake", "job", "child", "dvc")
ENDS = {0, 1, 255}  # of a run that nobody killed: done, a job failed, a job failed under DVC


@dataclass
class Killing:
    """A checkout whose run is killed again and again."""

    checkout: Checkout
    chooser: random.Random
    told: TextIO
    done: Counter[str] = field(default_factory=Counter)
    process: subprocess.Popen[bytes] | None = None
    by_dvc: bool = False

    def start(self, *, by_dvc: bool) -> None:
        """Start the plain command anew."""
        dvc = [str(Path(sys.executable).with_name("dvc")), "repro"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.by_dvc = by_dvc
        self.process = subprocess.Popen(
            dvc if by_dvc else self.checkout.command(),
            cwd=self.checkout.root,
            env={**environment(), "PATH": path},
            stdout=self.told,
            stderr=subprocess.STDOUT,
        )

    def go_on(self, *, by_dvc: bool) -> None:
        """Start a run if none is at work; one that ended may have failed, since jobs were killed, but on no lock."""
        if self.process is not None and self.process.poll() is not None:
            assert self.process.returncode in ENDS, self.output()[-5000:]
            self.process = None
        if self.process is None:
            self.start(by_dvc=by_dvc)

    def jobs_done(self) -> int:
        """How many jobs have ended well, at least once."""
        return len(self.benchmarks())

    def benchmarks(self) -> list[Path]:
        return list((self.checkout.root / "benchmarks" / "minimal").rglob("*.tsv"))

    def length(self) -> float:
        """Seconds that a job takes here."""
        found = []
        for path in self.benchmarks():
            with contextlib.suppress(ValueError, IndexError):
                found.append(float(path.read_text().splitlines()[1].split("\t")[0]))
        return median(found) if found else 4.0

    def candidates(self, victim: str) -> list[psutil.Process]:
        """The living processes that a kind of victim is chosen from."""
        assert self.process is not None
        if victim == "dvc":
            return [psutil.Process(self.process.pid)] if self.by_dvc and self.process.poll() is None else []
        snakemakes = [process for process in psutil.process_iter() if self.is_snakemake(process)]
        if victim == "snakemake":
            return snakemakes
        found = []
        for snakemake in snakemakes:
            with contextlib.suppress(psutil.Error):
                jobs = [process for process in snakemake.children() if self.is_of_run(process)]
                found += jobs if victim == "job" else [child for job in jobs for child in job.children(recursive=True)]
        return found

    def is_snakemake(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, IndexError):
            return (
                Path(process.cmdline()[1]).name == "snakemake"
                and process.cwd() == str(self.checkout.root)
                and not self.is_of_run(process)
            )
        return False

    def is_of_run(self, process: psutil.Process) -> bool:
        return process.environ().get(RUN, "") == mark(self.checkout.root)

    def kill(self, victims: list[str]) -> str:
        """Kill a process that is of one of the kinds, in that order of preference; which it was."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            for victim in victims:
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    if found := self.candidates(victim):
                        chosen = self.chooser.choice(sorted(found, key=lambda process: process.pid))
                        chosen.kill()
                        return victim
            self.go_on(by_dvc="dvc" in victims)
            time.sleep(0.05)
        raise AssertionError(f"nothing to kill in 600 s: {self.output()[-5000:]}")

    def end(self) -> None:
        """End all that is at work in the checkout."""
        if self.process is not None:
            self.process.kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self.is_snakemake(process) or self.is_of_run(process):
                    process.kill()

    def reach(self, jobs: int, *, by_dvc: bool) -> None:
        """Let the run go on until so many jobs are done."""
        deadline = time.monotonic() + 1800
        while self.jobs_done() < jobs:
            assert time.monotonic() < deadline, self.output()[-5000:]
            self.go_on(by_dvc=by_dvc)
            time.sleep(0.1)
        self.go_on(by_dvc=by_dvc)

    def output(self) -> str:
        return Path(self.told.name).read_text(errors="replace")


def test_killed_all_over_the_dag_it_ends_as_an_undisturbed_run(
    built: Built, new_checkout: Callable[[], Checkout], tmp_path: Path
) -> None:
    seed = int(os.environ.get("RAML_FAULT_SEED") or 0)
    expected = built.checkout.artifacts()
    jobs = len(list((built.checkout.root / "benchmarks" / "minimal").rglob("*.tsv")))
    checkout, began = new_checkout(), time.monotonic()
    initialise(checkout.root)
    print(f"\nseed {seed}, {KILLS} kills over {jobs} jobs in {checkout.root}")
    with (tmp_path / "told.txt").open("a") as told:
        killing = Killing(checkout, random.Random(seed), told)
        victims = [victim for victim in VICTIMS for _ in range(KILLS // len(VICTIMS))]
        killing.chooser.shuffle(victims)
        try:
            for number in range(KILLS):
                by_dvc = victims[0] == "dvc"
                killing.reach(number * jobs // KILLS, by_dvc=by_dvc)
                time.sleep(killing.chooser.uniform(0, 1.5 * killing.length()))
                victim = killing.kill(victims[:1] if killing.by_dvc >= by_dvc else victims)
                victims.remove(victim)
                killing.done[victim] += 1
                under = "dvc repro" if killing.by_dvc else "snakemake"
                done = killing.jobs_done()
                print(f"{time.monotonic() - began:5.0f} s, {done} jobs done: kill -9 of {victim} under `{under}`")
                if (
                    victim in ("snakemake", "dvc")
                    and killing.process is not None
                    and (victim == "dvc" or not killing.by_dvc)
                ):
                    assert killing.process.wait() == -9
                    killing.process = None
            assert killing.process is None or killing.process.wait() in ENDS
        finally:
            killing.end()

    last = checkout.run()
    assert last.returncode == 0, last.stdout + last.stderr
    made = {path: digest for path, digest in checkout.artifacts().items() if not path.endswith("/.gitignore")}
    assert made == expected
    assert checkout.planned() == {}
    assert "another run is at work" not in killing.output()
    assert killing.done == {victim: KILLS // len(VICTIMS) for victim in VICTIMS}
    print(f"{time.monotonic() - began:5.0f} s, the same {len(made)} files as of an undisturbed run")
