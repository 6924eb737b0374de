"""A Slurm cluster of one node for each worker of the tests, and checkouts whose jobs run on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkout import Checkout, copy
from cluster import Cluster, started
from submitting import MODEL, PROFILE, Reproduced, Submitting
from versioned import initialise


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of all tests; taken down after them."""
    with started() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def reproduced(cluster: Cluster, new_checkout: Callable[[], Checkout]) -> Reproduced:
    """The minimal DAG, made by `dvc repro` with the profile."""
    checkout = on_a_gpu(new_checkout())
    initialise(checkout.root)
    # As the profile is, but for how often it looks after its jobs.
    profile = checkout.root / PROFILE / "config.yaml"
    often = "\nslurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n"
    profile.write_text(profile.read_text() + often)
    submitting = Submitting(checkout, cluster)
    before = len(cluster.jobs())
    ran = submitting.call("dvc", "repro", SNAKEMAKE_PROFILE=PROFILE)
    return Reproduced(submitting, ran, cluster.jobs()[before:])


@pytest.fixture(scope="session")
def trained(cluster: Cluster, new_checkout: Callable[[], Checkout]) -> Submitting:
    """A model, and what it comes from, made without Slurm."""
    checkout = on_a_gpu(new_checkout())
    ran = checkout.run(f"{MODEL}/model.safetensors")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return Submitting(checkout, cluster)


@pytest.fixture
def submitting(trained: Submitting, tmp_path: Path) -> Submitting:
    """A copy of the checkout with a model."""
    copy(trained.root, tmp_path / "copy")
    return Submitting(Checkout(tmp_path / "copy"), trained.cluster)


def on_a_gpu(checkout: Checkout) -> Checkout:
    """The checkout, once its scale's device is a GPU, which costs nothing here."""
    scale = checkout.root / "config" / "scales" / "minimal.yaml"
    scale.write_text(scale.read_text().replace("device: {name: CPU core, kind: cpu,", "device: {name: GPU, kind: gpu,"))
    return checkout
