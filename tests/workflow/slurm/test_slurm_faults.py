"""Jobs that are cancelled, a Snakemake that is killed beside its jobs: what comes next goes on from a checkpoint."""

import re
import signal
from pathlib import Path

import pytest
from checkout import Checkout, copy
from cluster import Cluster
from submitting import Submitting
from test_faults import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800), pytest.mark.xdist_group("slurm-jobs")]

STEPS = 240
MODEL = "results/minimal/models/seed0/sft_long"
TARGET = [
    *(f"{MODEL}/model.safetensors", "--config", "scale=minimal", 'hardware={"checkpoint_steps": 10}'),
    f'sft={{"long": {{"exposures_per_question": {STEPS * 4 // 6}}}}}',  # of 6 questions, 4 rows a step
]
LOG = Path("logs/minimal/train_sft_long/seed0.log")


@pytest.fixture(scope="module")
def undisturbed(trained: Submitting, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the model that nobody disturbs; trained without Slurm."""
    checkout = Checkout(tmp_path_factory.mktemp("undisturbed") / "copy")
    copy(trained.root, checkout.root)
    ran = checkout.run(*TARGET)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return model(checkout)


def model(checkout: Checkout) -> dict[str, str]:
    """The files of the model, by path."""
    return {path: digest for path, digest in checkout.artifacts().items() if path.startswith(f"{MODEL}/")}


def checkpoint(root: Path) -> int:
    """Steps of the last complete checkpoint; 0 if there is none."""
    found = (root / ".cache" / "training" / "minimal").glob("*/checkpoint-*/complete.json")
    return max((int(path.parent.name.removeprefix("checkpoint-")) for path in found), default=0)


def running(cluster: Cluster, *, after: int) -> dict[str, str] | None:
    """The training job that runs, submitted after the job `after`."""
    jobs = [job for job in cluster.jobs() if int(job["JobId"]) > after and job["JobState"] == "RUNNING"]
    return next((job for job in jobs if job["Comment"].startswith("rule_train_sft_long")), None)


def caught(submitting: Submitting, *, after: int, beyond: int) -> dict[str, str]:
    """The training job, once it runs and has a checkpoint of more than `beyond` steps."""
    job = wait_for(lambda: running(submitting.cluster, after=after), seconds=600)
    wait_for(lambda: checkpoint(submitting.root) > beyond, seconds=600)
    return job


def first_step(root: Path) -> int:
    """Where the last attempt began, by its progress line: 0, and at once the step that it goes on from."""
    return max(map(int, re.findall(rf"(\d+)/{STEPS} \[00:00<", (root / LOG).read_text())), default=0)


def last_job(cluster: Cluster) -> int:
    return max((int(job["JobId"]) for job in cluster.jobs()), default=0)


def test_a_cancelled_job_is_begun_again_with_more_and_goes_on(
    submitting: Submitting, undisturbed: dict[str, str]
) -> None:
    cluster, root = submitting.cluster, submitting.root
    before = last_job(cluster)
    run = submitting.start("--retries", "1", *TARGET)
    try:
        first = caught(submitting, after=before, beyond=0)
        seen = checkpoint(root)
        cluster.call("scancel", first["JobId"])
        second = caught(submitting, after=int(first["JobId"]), beyond=seen)
        assert seen <= first_step(root) < STEPS
        asked = [(job["MinMemoryNode"], job["TimeLimit"]) for job in (first, second)]
        assert asked == [("6000M", "04:00:00"), ("9000M", "08:00:00")]
        cluster.call("scancel", second["JobId"])
        assert run.wait(timeout=600) == 1
    finally:
        run.kill()
    said = (root / "snakemake.out").read_text()
    assert said.count("failed: Train sft_long") == 2 and said.count("Trying to restart job") == 1
    assert model(submitting.checkout) == {}

    left = checkpoint(root)
    again = submitting.call(*submitting.snakemake(*TARGET))
    assert again.returncode == 0, again.stdout + again.stderr
    assert first_step(root) >= left > 0
    states = {job["JobId"]: job["JobState"] for job in cluster.jobs()}
    assert [states[job["JobId"]] for job in (first, second)] == ["CANCELLED", "CANCELLED"]
    assert model(submitting.checkout) == undisturbed


def test_jobs_of_a_killed_snakemake_are_cancelled_by_the_next(
    submitting: Submitting, undisturbed: dict[str, str]
) -> None:
    cluster, root = submitting.cluster, submitting.root
    before = last_job(cluster)
    run = submitting.start(*TARGET)
    try:
        orphan = caught(submitting, after=before, beyond=0)
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    dry = submitting.call(*submitting.snakemake("--dry-run", *TARGET))
    assert dry.returncode == 0 and running(cluster, after=int(orphan["JobId"]) - 1)  # looking ends nothing
    left = checkpoint(root)
    again = submitting.call(*submitting.snakemake(*TARGET))
    assert again.returncode == 0, again.stdout + again.stderr
    jobs = [job for job in cluster.jobs() if job["WorkDir"] == str(root)]
    # Its processes are on this machine too, where the next run ends them before it asks Slurm to.
    assert jobs[0]["JobState"] in ("CANCELLED", "FAILED") and [job["JobState"] for job in jobs[1:]] == ["COMPLETED"]
    assert first_step(root) >= left > 0
    assert model(submitting.checkout) == undisturbed
