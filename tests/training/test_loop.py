"""Work folders, checkpoints that count, records, and jobs that cannot be run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from off_policy import Place, hardware, sft
from safetensors import SafetensorError

from raml.errors import ConfigError, DataError, RamlError
from raml.step import run
from raml.training import loop
from raml.training import sft as module
from raml.training.loop import fit, launcher_hash, start_hash, train_all
from raml.training.watch import Watch, divergence, lines, tidy
from raml.training.work import Work


def checkpoint(work: Work, step: int, *, marked: bool = True) -> Path:
    folder = work.folder / f"checkpoint-{step}"
    (folder / "shards").mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    (folder / "shards" / "optimizer.pt").write_text("moments")
    if marked:
        work.mark(folder)
    return folder


def test_a_work_folder_belongs_to_its_identity(tmp_path: Path) -> None:
    one = Work.open(tmp_path, {"seed": 0, "settings": {"a": 1, "b": 2}})
    assert one == Work.open(tmp_path, {"settings": {"b": 2, "a": 1}, "seed": 0})
    assert one.folder == tmp_path / one.key
    assert len(one.key) == 16
    assert Work.open(tmp_path, {"seed": 1}).folder != one.folder
    (one.folder / "identity.json").write_text('{"seed": 2}')
    with pytest.raises(DataError, match=rf"^{one.folder} was written under another configuration; delete {one.folder}"):
        Work.open(tmp_path, {"seed": 0, "settings": {"a": 1, "b": 2}})


def test_the_last_complete_checkpoint_counts_and_others_are_deleted(tmp_path: Path) -> None:
    work = Work.open(tmp_path, {})
    assert work.last_checkpoint() is None
    checkpoint(work, 9)
    checkpoint(work, 10)
    truncated, bare, without = checkpoint(work, 11), checkpoint(work, 12, marked=False), checkpoint(work, 13)
    (truncated / "model.safetensors").write_text("weig")
    (without / "shards" / "optimizer.pt").unlink()
    garbled = checkpoint(work, 14)
    (garbled / "complete.json").write_text("{")
    assert work.last_checkpoint() == work.folder / "checkpoint-10"
    assert not any(folder.exists() for folder in (truncated, bare, without, garbled))
    assert (work.folder / "checkpoint-9").exists()


def test_the_identity_has_all_that_training_reads_of_its_start(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "raml.json"):
        (tmp_path / name).write_text(name)
    found = {start_hash(tmp_path)}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        (tmp_path / name).write_text("another")
        found.add(start_hash(tmp_path))
    assert len(found) == 5
    before = start_hash(tmp_path)
    (tmp_path / "raml.json").write_text("from elsewhere")
    assert start_hash(tmp_path) == before


def test_the_command_line_ends_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place(tmp_path, "sft").prepare()
    step = place.step([sft()])
    arguments = ["--scale", "test", "--config", step.config.model_dump_json(), "--seed", "0"]
    arguments += ["--starts", str(step.lists["starts"][0]), "--outs", str(step.lists["outs"][0])]
    arguments += ["--work", str(place.work), "--trajectories", str(step.files["trajectories"])]
    with pytest.raises(KeyboardInterrupt):
        train_all(step, [step.files["trajectories"]], lambda assignment: _leave_foreign_checkpoint(assignment.work))
    with pytest.raises(SystemExit) as ended:
        run(
            module.main, module.Job[module.SFT], inputs=["trajectories"], many=["starts"], outputs=["work"],
            many_outputs=["outs"], arguments=arguments,
        )  # fmt: skip
    assert ended.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "checkpoint-2 was written under another configuration; delete" in line
    assert not step.lists["outs"][0].exists()


def _leave_foreign_checkpoint(work: Work) -> None:
    checkpoint(work, 2)
    marker = work.folder / "checkpoint-2" / "complete.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "identity": "0" * 16}))
    raise KeyboardInterrupt


def keys(folder: Path, **changes: Any) -> list[str]:
    """The work folders of a job on this hardware."""
    place = Place(folder, "sft").prepare()
    caught: list[str] = []
    train_all(
        place.step([sft()], hardware(**changes)),
        [],
        lambda assignment: (caught.append(assignment.work.key), assignment.work.model().mkdir()),  # type: ignore[arg-type,func-returns-value]
    )
    return caught


def test_hardware_that_changes_numbers_makes_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys(tmp_path) == keys(tmp_path, checkpoint_steps=3)
    monkeypatch.setattr(loop, "LAUNCHERS", tmp_path)
    file = tmp_path / "two.yaml"
    file.write_text("num_processes: 2  # two\nuse_cpu: true\n")
    with_launcher = keys(tmp_path, launcher="two")
    file.write_text("# the same in other words\nuse_cpu: true\nnum_processes: 2\n")
    assert keys(tmp_path, launcher="two") == with_launcher
    file.write_text("num_processes: 2\nuse_cpu: false\n")
    others = [keys(tmp_path, launcher="two"), keys(tmp_path), keys(tmp_path, precision="bf16")]
    assert len({*with_launcher, *(key for (key,) in others)}) == 4
    with pytest.raises(ConfigError, match=r"^hardware\.launcher = three: \S+/three\.yaml cannot be read \(.*No such"):
        launcher_hash(hardware(launcher="three"))


def test_a_run_goes_on_with_checkpoints_at_other_steps_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, place = (Place(tmp_path / name, "sft").prepare() for name in ("whole", "killed"))
    whole.train([sft()])
    plain = Watch.on_step_end

    def stop_at_5(self: Watch, args: Any, state: Any, *rest: Any, **options: Any) -> None:
        if state.global_step == 5:
            raise KeyboardInterrupt
        plain(self, args, state, *rest, **options)

    monkeypatch.setattr(Watch, "on_step_end", stop_at_5)
    with pytest.raises(KeyboardInterrupt):
        place.train([sft()])
    monkeypatch.undo()
    capsys.readouterr()
    resumed, plain_begin = list[int](), Watch.on_train_begin

    def begin(self: Watch, args: Any, state: Any, *rest: Any, **options: Any) -> None:
        resumed.append(state.global_step)
        plain_begin(self, args, state, *rest, **options)

    monkeypatch.setattr(Watch, "on_train_begin", begin)
    place.train([sft()], hardware(checkpoint_steps=5))
    assert resumed == [4] and "4/6" in capsys.readouterr().err
    for name in ("model.safetensors", "training.jsonl"):
        killed, other = (folder.outs([0])[0] / name for folder in (place, whole))
        assert killed.read_bytes() == other.read_bytes()


FLAT = [1.0] * 40
HALF = [0.5] * 10


@pytest.mark.parametrize(
    ("losses", "norms", "stop"),
    [
        ([2.0] * 10 + [7.2] * 10, FLAT, 15),  # 3 x 2 + 1, mean over 5 steps
        ([2.0] * 10 + [6.9] * 10, FLAT, None),
        ([2.0] + [9.0] * 30, FLAT, 6),  # from the first update on
        ([2.0] + [9.0] * 4, FLAT, None),  # five steps are not over yet
        ([0.01] * 10 + [0.9] * 30, FLAT, None),  # nearly 0 before, and not even a nat after
        (FLAT, [*HALF, *[51.0] * 5], 15),  # a hundredfold of the median before
        (FLAT, [*HALF, *[49.0] * 20], None),
        (FLAT, [*HALF, *[*[51.0] * 4, 0.5] * 5], None),  # four in a row at most
        (FLAT, [1e-4] * 10 + [0.9] * 20, None),  # under the norm that is clipped
        (FLAT, [0.0, 0.5] * 10 + [51.0] * 5, 25),  # groups with equal rewards have none
    ],
)
def test_losses_and_gradients_that_stay_high_are_a_divergence(
    losses: list[float], norms: list[float], stop: int | None
) -> None:
    records = [{"loss": loss, "grad_norm": norm} for loss, norm in zip(losses, norms, strict=False)]
    steps = range(1, len(records) + 1)
    assert next((step for step in steps if divergence(records[:step], loss_falls=True)), None) == stop


@pytest.mark.parametrize(
    ("rewards", "stop"),
    [
        ([0.5] * 20 + [-1.0] * 5, 25),
        ([0.5] + [-1.0] * 4 + [-0.99] + [-1.0] * 4, None),
        ([-1.0] * 30, None),  # it has not learned to answer yet
        ([0.5] * 3 + [1.0] * 30, None),  # nothing is left to learn
    ],
)
def test_rewards_that_fall_to_the_lowest_are_a_divergence(rewards: list[float], stop: int | None) -> None:
    records = [{"loss": 0.0, "grad_norm": 0.0, "reward": reward} for reward in rewards]
    steps = range(1, len(records) + 1)
    assert next((step for step in steps if divergence(records[:step], loss_falls=False)), None) == stop


def test_outputs_wait_for_the_whole_job_and_snapshots_come_along(tmp_path: Path) -> None:
    place = Place(tmp_path, "sft").prepare()
    runs = [sft(), sft(learning_rate=1e-4)]

    def train(assignment: Any) -> None:
        assert not (tmp_path / "models").exists()
        if assignment.name == "run1" and not broken:
            broken.append(True)
            raise RamlError("the second run fails")
        for ending in ("_step2", "_step10", ""):
            assignment.work.model(ending).mkdir()
            (assignment.work.model(ending) / "weights").write_text(f"{assignment.name}{ending}")
        trained.append(assignment.name)

    broken: list[bool] = []
    trained: list[str] = []
    with pytest.raises(RamlError, match="the second run fails"):
        train_all(place.step(runs), [], train)
    train_all(place.step(runs), [], train)
    assert trained == ["run0", "run1"]
    names = ["run0", "run0_step10", "run0_step2", "run1", "run1_step10", "run1_step2"]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == names
    assert [(tmp_path / "models" / name / "weights").read_text() for name in names] == names
    assert list(place.work.iterdir()) == []


def test_records_hold_what_was_logged_at_a_step_and_no_time() -> None:
    history = [
        {"loss": 1.5, "grad_norm": 2.0, "rewards/chosen": 0.1, "epoch": 0.5, "num_tokens": 9, "step": 1},
        {"loss": 1.0, "kl": float("nan"), "step_time": 3.0, "step": 2},
        {"train_runtime": 5.0, "train_loss": 1.25, "step": 2},
    ]
    records = tidy(history)
    assert records == [
        {"loss": 1.5, "grad_norm": 2.0, "rewards_chosen": 0.1, "step": 1},
        {"loss": 1.0, "kl": None, "step": 2},
    ]
    assert lines(records).splitlines() == [
        '{"step": 1, "grad_norm": 2.0, "loss": 1.5, "rewards_chosen": 0.1}',
        '{"step": 2, "kl": null, "loss": 1.0}',
    ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("Tried to allocate 2 GiB.\nmore"), r"memory is full \(Tried to allocate 2 GiB\.\);"),
        (OSError(28, "No space left on device"), r"write into \S+ \(\[Errno 28\] No space left on device\); rerun"),
        (SafetensorError("I/O error: No space left (os error 28)"), r"write into \S+ \(I/O error: No space"),
        (RuntimeError("PytorchStreamWriter failed writing file data/1"), r"write into \S+ \(PytorchStreamWriter"),
    ],
)
def test_a_full_device_or_disk_is_named(error: Exception, message: str, tmp_path: Path) -> None:
    with pytest.raises(RamlError, match=rf"^SFT x: .*{message}"):
        fit(_failing(error), Work.open(tmp_path, {}), description="SFT x", advice="y")


def _failing(error: Exception) -> Any:
    """As much of a trainer as fails."""

    class Failing:
        def add_callback(self, _: Any) -> None: ...

        remove_callback = add_callback

        def train(self, **_: Any) -> None:
            raise error

    return Failing()
