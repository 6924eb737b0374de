"""Fixtures of the workflow tests: checkouts in temporary folders, one of them with the whole DAG run in it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT, SOURCES, Built, Checkout, children_cpu_seconds, copy


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Checkout]:
    """A function that makes a checkout without results."""

    def make() -> Checkout:
        root = tmp_path_factory.mktemp("checkout")
        for name in SOURCES:
            copy(ROOT / name, root / name)
        return Checkout(root)

    return make


@pytest.fixture(scope="session")
def built(new_checkout: Callable[[], Checkout]) -> Built:
    """The whole DAG, run once for all tests; they must not write into it (see `copy_of_built`)."""
    checkout = new_checkout()
    before, start = children_cpu_seconds(), time.monotonic()
    ran = checkout.run()
    return Built(checkout, ran, time.monotonic() - start, children_cpu_seconds() - before)


@pytest.fixture
def copy_of_built(built: Built, tmp_path: Path) -> Checkout:
    """The finished run in a folder of its own, to be changed."""
    root = tmp_path / "copy"
    copy(built.checkout.root, root)
    return Checkout(root)
