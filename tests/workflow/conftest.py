"""Fixtures of the workflow tests: checkouts in temporary folders, one of them with the whole DAG run in it."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT, SOURCES, Built, Checkout, children_cpu_seconds, copy
from filelock import FileLock
from versioned import publish


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Checkout]:
    """A function that makes a checkout without results."""
    return lambda: checkout_in(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def checkout(new_checkout: Callable[[], Checkout]) -> Checkout:
    """One for all tests of a file that only look at it."""
    return new_checkout()


def checkout_in(root: Path) -> Checkout:
    """The sources in the empty folder `root`."""
    for name in SOURCES:
        copy(ROOT / name, root / name)
    return Checkout(root)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The whole DAG, run once for all tests of all workers; they must not write into it (see `copy_of_built`)."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    described = folder / "ran.json"
    with FileLock(folder.with_suffix(".lock")):
        if not described.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what another worker could not end
            folder.mkdir()
            build(folder / "checkout", described)
    ran = json.loads(described.read_text())
    process = subprocess.CompletedProcess([], ran["returncode"], ran["stdout"], ran["stderr"])
    return Built(Checkout(folder / "checkout"), process, ran["seconds"], ran["cpu_seconds"])


def build(root: Path, described: Path) -> None:
    """Run the whole DAG in a new checkout and write down how that went."""
    root.mkdir()
    checkout = checkout_in(root)
    before, start = children_cpu_seconds(), time.monotonic()
    ran = checkout.run()
    outcome = {"returncode": ran.returncode, "stdout": ran.stdout, "stderr": ran.stderr}
    seconds = {"seconds": time.monotonic() - start, "cpu_seconds": children_cpu_seconds() - before}
    described.write_text(json.dumps(outcome | seconds))


@pytest.fixture
def copy_of_built(built: Built, tmp_path: Path) -> Checkout:
    """The finished run in a folder of its own, to be changed."""
    root = tmp_path / "copy"
    copy(built.checkout.root, root)
    return Checkout(root)


@pytest.fixture
def published(copy_of_built: Checkout, tmp_path: Path) -> Path:
    """A repository with the small results of the finished run, the others in a remote that is a folder."""
    publish(copy_of_built.root, tmp_path / "store")
    return copy_of_built.root
