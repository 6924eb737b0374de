"""A Slurm cluster of one node, and a checkout whose jobs run on it."""

from collections.abc import Callable, Iterator

import pytest
from checkout import Checkout
from cluster import Cluster, started
from submitting import PROFILE, Reproduced, Submitting
from versioned import initialise


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of all tests; taken down after them."""
    with started() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def reproduced(cluster: Cluster, new_checkout: Callable[[], Checkout]) -> Reproduced:
    """The minimal DAG, made by `dvc repro` with the profile; the scale's device is a GPU, which costs nothing here."""
    checkout = new_checkout()
    root = checkout.root
    initialise(root)
    scale = root / "config" / "scales" / "minimal.yaml"
    scale.write_text(scale.read_text().replace("device: {name: CPU core, kind: cpu,", "device: {name: GPU, kind: gpu,"))
    # As the profile is, but for how often it looks after its jobs.
    profile = root / PROFILE / "config.yaml"
    often = "\nslurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n"
    profile.write_text(profile.read_text() + often)
    submitting = Submitting(checkout, cluster)
    before = len(cluster.jobs())
    ran = submitting.call("dvc", "repro", SNAKEMAKE_PROFILE=PROFILE)
    return Reproduced(submitting, ran, cluster.jobs()[before:])
