"""The whole minimal DAG as jobs of a real Slurm, through `dvc repro` and by Snakemake alone."""

import re
from collections import Counter

import pytest
from submitting import Reproduced
from test_dag import TRAINED

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800), pytest.mark.xdist_group("slurm-dag")]

PREPARED = {"build_questions": 1, "build_tokenizer": 1, "write_oracles": 1, "write_held_out": 1}
TRAINED_ON_CPUS = {"pretrain", "train_base", "train_regimes_base"}
SAMPLED = {"sample_base": 1, "sample_sft": 1, "sample_policies": 1, "sample_sweep": 3, "efficiency": 1}
PROBED = {"probe": 2, "landscape": 1, "weight_updates": 2, "outer_loss": 1}
ON_CPUS = {**PREPARED, **{rule: TRAINED[rule] for rule in TRAINED_ON_CPUS}, "token_roles": 1, "score": 1}
ON_GPUS = {**{rule: n for rule, n in TRAINED.items() if rule not in TRAINED_ON_CPUS}, **SAMPLED, **PROBED}


def rule(job: dict[str, str]) -> str:
    """Of a job of Slurm's, by the comment that the executor gives it: `rule_NAME_wildcards_VALUES`."""
    return re.sub(r"^rule_|_wildcards_.*$", "", job["Comment"].strip())


def test_dvc_repro_makes_everything_by_jobs_of_slurm(reproduced: Reproduced) -> None:
    ran, jobs = reproduced.ran, reproduced.jobs
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert Counter(rule(job) for job in jobs) == {**ON_CPUS, **ON_GPUS}
    assert (reproduced.submitting.root / "results" / "minimal" / "report" / "index.html").is_file()


def test_jobs_have_the_gpus_partition_memory_and_time_that_they_ask_for(reproduced: Reproduced) -> None:
    for job in reproduced.jobs:
        gres, partition = ("gpu:1", "gpu") if rule(job) in ON_GPUS else ("(null)", "cpu")
        assert (job["JOB_GRES"].strip(), job["Partition"]) == (gres, partition), job["Comment"]
        assert (job["NumCPUs"], job["MinMemoryNode"], job["TimeLimit"]) == ("1", "6000M", "04:00:00"), job["Comment"]


def test_afterwards_nothing_is_left_to_do(reproduced: Reproduced) -> None:
    submitting = reproduced.submitting
    before = len(submitting.cluster.jobs())
    again = submitting.call(*submitting.snakemake())
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
    status = submitting.call("dvc", "status")
    assert "up to date" in status.stdout, status.stdout + status.stderr
    assert len(submitting.cluster.jobs()) == before


def test_snakemake_sends_what_is_missing(reproduced: Reproduced) -> None:
    submitting = reproduced.submitting
    curves = submitting.root / "results" / "minimal" / "probes" / "seed0" / "base" / "curves.parquet"
    artifacts, before = submitting.checkout.artifacts(), len(submitting.cluster.jobs())
    curves.unlink()
    ran = submitting.call(*submitting.snakemake())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [rule(job) for job in submitting.cluster.jobs()[before:]] == ["probe"]
    assert submitting.checkout.artifacts() == artifacts
