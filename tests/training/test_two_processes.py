"""Two processes end with the model that one would have trained: DDP over gloo, and FSDP2 as GPU nodes run it."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from grpo_start import grpo, save_questions, save_start
from off_policy import LORA, PROVENANCE, Place, dpo, hardware, sft, trajectories
from safetensors.torch import load_file

from raml.config import Hardware, Training, canonical_json, load_scale
from raml.schemas import Trajectory
from raml.storage import file_hash, write_table
from raml.training.loop import Job

pytestmark = pytest.mark.timeout(900)
LIMIT = 600  # seconds; a quarter of a minute of it is work, but nobody says what else the machine does

ROOT = Path(__file__).parents[2]
DDP, FSDP = (ROOT / "config" / "accelerate" / f"{name}.yaml" for name in ("ddp_cpu", "fsdp"))
TWO = hardware(processes=2, launcher="ddp_cpu")
SHARDED = hardware(processes=2, launcher="fsdp", sharded=True)
LIKE_THE_PAPER = SHARDED.model_copy(update={"precision": "bf16", "gradient_checkpointing": True})
SFT_RUN, DPO_RUN, LORA_RUN = sft(), dpo(batch_size=4), sft(lora={**LORA, "dropout": 0.0})
# Of GRPO's update these are means over the rows that go through the model. Where one process has more rows with an
# advantage than another, that one passes some without through as well (`PolicyTrainer`): other rows, another mean.
UNWEIGHTED = {"entropy", "clip_fraction"}
GRPO_RUN = grpo(steps=3, evaluate_at=[2], update_trajectories=8)


def start(command: Sequence[str], **environment: str) -> "subprocess.Popen[str]":
    """A process of one thread whose output is kept, in a group of its own."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start_processes(config: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`accelerate launch` with two processes."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    ports = ["--num_processes", "2", "--main_process_port", "0"]  # 0: any that is free
    return start([*command, *ports, *arguments], ACCELERATE_USE_CPU="true")


def output_of(process: "subprocess.Popen[str]", *, code: int = 0) -> str:
    """What a process printed that ends with `code`; nothing runs on if it does not."""
    try:
        printed, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == code, printed[-4000:]
        return printed
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def off_policy_arguments(place: Place, run: Training, device: Hardware) -> list[str]:
    """The command line of SFT or DPO."""
    step = place.step([run], device)
    tables = [part for name, path in step.files.items() if name != "work" for part in (f"--{name}", str(path))]
    return ["--scale", "test", "--config", canonical_json(step.config), "--seed", "0", *tables,
            "--work", str(place.work), "--starts", str(place.folder / "start"),
            "--outs", *map(str, place.outs([run]))]  # fmt: skip


def prepare_grpo(folder: Path) -> Path:
    """A folder with a start and questions."""
    folder.mkdir(parents=True)
    save_start(folder / "start")
    save_questions(folder / "questions.parquet")
    return folder


def grpo_arguments(folder: Path, device: Hardware) -> list[str]:
    """The command line of GRPO."""
    job = Job[type(GRPO_RUN)](runs=[GRPO_RUN], hardware=device)  # type: ignore[misc]
    return ["--scale", "test", "--config", canonical_json(job), "--seed", "0", "--work", str(folder / "work"),
            "--questions", str(folder / "questions.parquet"), "--starts", str(folder / "start"),
            "--outs", str(folder / "models" / "run0")]  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What one process trains, by technique: folders that hold `models/run0`."""
    root = tmp_path_factory.mktemp("alone")
    runs: dict[str, Any] = {"sft": SFT_RUN, "dpo": DPO_RUN, "lora": LORA_RUN}
    for name, run in runs.items():
        Place(root / name, "dpo" if name == "dpo" else "sft").prepare().train([run])
    arguments = grpo_arguments(prepare_grpo(root / "grpo"), hardware())
    output_of(start([sys.executable, "-m", "raml.training.grpo", *arguments]))
    return {name: root / name for name in [*runs, "grpo"]}


def check_equal(folder: Path, expected: Path, *, models: Sequence[str] = ("run0",)) -> None:
    """Every step's numbers and all weights are those of one process, but for rounding; no process left a file more."""
    for model in models:
        ours, theirs = folder / "models" / model, expected / "models" / model
        records, one = ([json.loads(line) for line in (path / "training.jsonl").open()] for path in (ours, theirs))
        assert len(records) == len(one)
        for record, other in zip(records, one, strict=True):
            # Half of differences between sums of log-probabilities, of some hundred nats each.
            of_sums = [name for name in record if name.startswith("rewards_")]
            close = 1e-4 if of_sums else 1e-5
            assert record["loss"] == pytest.approx(other["loss"], rel=close, abs=close)
            loose = {name: record.pop(name) for name in UNWEIGHTED & record.keys()}
            assert loose == pytest.approx({name: other.pop(name) for name in loose}, rel=0.05, abs=0.01)
            rewards = {name: record.pop(name) for name in of_sums}
            assert rewards == pytest.approx({name: other.pop(name) for name in rewards}, rel=2e-4, abs=1e-4)
            assert record == pytest.approx(other, rel=2e-4, abs=1e-5)
        weights, others = load_file(ours / "model.safetensors"), load_file(theirs / "model.safetensors")
        assert weights.keys() == others.keys()
        for name, value in weights.items():
            torch.testing.assert_close(
                value, others[name], rtol=1e-3, atol=5e-4, msg=lambda text, n=name: f"{n}: {text}"
            )
    assert files_of(folder) == files_of(expected)


def losses_of(folder: Path) -> list[float]:
    """Of every step."""
    return [json.loads(line)["loss"] for line in (folder / "models" / "run0" / "training.jsonl").open()]


def files_of(folder: Path) -> set[Path]:
    """All files below a folder, by their paths in it."""
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_two_processes_train_as_one(alone: dict[str, Path], tmp_path: Path) -> None:
    place = Place(tmp_path / "sft", "sft").prepare()
    folder = prepare_grpo(tmp_path / "grpo")
    processes = [
        start_processes(DDP, "-m", "raml.training.sft", *off_policy_arguments(place, SFT_RUN, TWO)),
        start_processes(DDP, "-m", "raml.training.grpo", *grpo_arguments(folder, TWO)),
    ]
    for process in processes:
        output_of(process)
    check_equal(place.folder, alone["sft"])
    check_equal(folder, alone["grpo"], models=["run0", "run0_step2"])


def launcher_of_the_workflow(device: Hardware) -> list[str]:
    """How `workflow/rules/batches.smk` starts a training step on this hardware; on a port that is free."""
    scale = load_scale("micro", {"hardware": {"processes": device.processes, "launcher": device.launcher}})
    rules: dict[str, Any] = {"SCALE": scale}
    exec((ROOT / "workflow" / "rules" / "batches.smk").read_text(), rules)
    words = rules["launcher"](next(batch for batch in rules["BATCHES"] if batch.technique == "sft")).split()
    assert words[:4] == ["python", "-m", "raml.training.launch", "--config_file"]
    return words


def test_what_all_processes_refuse_is_said_once(tmp_path: Path) -> None:
    place = Place(tmp_path, "sft").prepare()
    table = place.folder / "trajectories.parquet"
    write_table(trajectories().clear(), Trajectory, table, PROVENANCE)
    process = start(
        [*launcher_of_the_workflow(TWO), "raml.training.sft", *off_policy_arguments(place, SFT_RUN, TWO)],
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    printed = output_of(process, code=1)  # the launcher's own, whatever the processes end with
    error = f"error: {table}: nothing to train on; of 0 trajectories 0 are wrong, "
    assert [line for line in printed.splitlines() if line.startswith("error")] == [
        line for line in printed.splitlines() if line.startswith(error)
    ]
    assert len([line for line in printed.splitlines() if line.startswith(error)]) == 1
    assert printed.count("Traceback") == 1  # the launcher's
    *_, last, rule = printed.splitlines()
    assert last.startswith(f"  traceback : {error}") and set(rule) == {"="}  # where `tail` shows it
    assert "exitcode  : 2" in printed


@pytest.mark.workflow
def test_sharded_models_are_trained_resumed_and_saved_whole(alone: dict[str, Path], tmp_path: Path) -> None:
    runs: dict[str, Any] = {"sft": SFT_RUN, "dpo": DPO_RUN, "lora": LORA_RUN, "resumed": SFT_RUN}
    runs |= {"sft_bf16": SFT_RUN, "dpo_bf16": DPO_RUN, "lora_bf16": LORA_RUN}
    places = {name: Place(tmp_path / name, "dpo" if "dpo" in name else "sft").prepare() for name in runs}
    commands = {}
    for name, place in places.items():
        device = LIKE_THE_PAPER if "bf16" in name else SHARDED
        commands[name] = [f"raml.training.{place.technique}", *off_policy_arguments(place, runs[name], device)]
    folder = prepare_grpo(tmp_path / "grpo")
    script = [
        *(command for name, command in commands.items() if name != "resumed"),
        ["raml.training.grpo", *grpo_arguments(folder, SHARDED)],
        ["interrupted", *commands["resumed"]],
        commands["resumed"],
    ]
    steps = Path(__file__).with_name("sharded_steps.py")
    output_of(start_processes(FSDP, "--mixed_precision", "no", str(steps), json.dumps(script)))
    for name in ("sft", "dpo", "lora"):
        check_equal(places[name].folder, alone[name])
    check_equal(folder, alone["grpo"], models=["run0", "run0_step2"])
    for name in ("sft", "dpo", "lora"):
        loss, expected = (losses_of(folder) for folder in (places[f"{name}_bf16"].folder, alone[name]))
        assert loss[:3] == pytest.approx(expected[:3], rel=0.1, abs=0.05)  # two updates in bf16 arithmetic
    # bf16 log-probabilities, or a reference with rounded rotary frequencies, would not give ln 2 here.
    assert losses_of(places["dpo_bf16"].folder)[0] == pytest.approx(math.log(2), abs=1e-4)
    models = [places[name].outs([SFT_RUN])[0] / "model.safetensors" for name in ("sft", "resumed")]
    assert file_hash(models[0]) == file_hash(models[1])
