"""One training over the tasks of a job, as over nodes: started by srun, met through Slurm's variables."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from pydantic_core import to_jsonable_python
from safetensors.torch import load_file
from submitting import MODEL, Submitting

from raml.config import load_scale
from raml.runs import batches

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900), pytest.mark.xdist_group("slurm-jobs")]

RESULTS = Path("results/minimal")


def test_a_job_of_two_tasks_trains_what_one_process_does(trained: Submitting, tmp_path: Path) -> None:
    scale = load_scale("minimal", {"hardware": {"processes": 2, "launcher": "ddp_cpu"}}, folder=ROOT / "config/scales")
    [run] = next(batch for batch in batches(scale) if batch.name == "sft_short").runs
    job = json.dumps(to_jsonable_python({"runs": [run.settings], "hardware": scale.hardware}))
    launch = ["python", "-m", "raml.training.launch", "--config_file", "config/accelerate/ddp_cpu.yaml"]
    step = [
        *("-m", "raml.training.sft", "--scale", "minimal", "--config", job, "--seed", "0"),
        *("--starts", f"{RESULTS}/models/seed0/base", "--trajectories", f"{RESULTS}/trajectories/oracle_short.parquet"),
        *("--outs", str(tmp_path / "model"), "--work", str(tmp_path / "work")),
    ]  # fmt: skip
    wrapped = shlex.join([*launch, "--num_processes", "2", *step])
    log = tmp_path / "job.log"
    asked = ["--wait", "--ntasks", "2", "--gpus", "2", "--mem", "4000", "--output", str(log), "--wrap", wrapped]
    ran = trained.call(
        *("sbatch", *asked),
        PYTHONPATH=str(trained.root / "src"),
        OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1",
        RAML_WORKFLOW_PID="1073741824",  # of a Snakemake on another node: nothing here has it, and nothing may look
    )
    assert ran.returncode == 0, ran.stderr + log.read_text()
    check_equal(tmp_path / "model", trained.root / MODEL)
    assert trained.cluster.jobs()[-1]["NumTasks"] == "2"


def test_a_training_rule_runs_over_the_tasks_of_its_job(trained: Submitting, submitting: Submitting) -> None:
    nodes = submitting.root / "workflow" / "profiles" / "slurm-nodes" / "config.yaml"
    nodes.write_text(nodes.read_text().replace("nodes: 2", "nodes: 1"))
    settings = ["--config", "scale=minimal", 'hardware={"processes": 2, "launcher": "ddp_cpu"}']
    ran = submitting.call(
        *submitting.snakemake("--profile", "workflow/profiles/slurm-nodes", f"{MODEL}/model.safetensors", *settings)
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    check_equal(submitting.root / MODEL, trained.root / MODEL)
    job = submitting.cluster.jobs()[-1]
    assert (job["NumTasks"], job["CPUs/Task"], job["JOB_GRES"].strip()) == ("2", "1", "gpu:2")
    assert job["MinMemoryNode"] == "6000M"


def check_equal(model: Path, expected: Path) -> None:
    """Losses and weights differ by rounding alone."""
    losses = [[json.loads(line)["loss"] for line in (folder / "training.jsonl").open()] for folder in (model, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    weights, others = (load_file(folder / "model.safetensors") for folder in (model, expected))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, others[name], rtol=1e-3, atol=5e-4)
