"""Work folders, checkpoints that count, records, and jobs that cannot be run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from off_policy import Place, sft
from safetensors import SafetensorError

from raml.errors import ConfigError, DataError, RamlError
from raml.step import run
from raml.training import loop
from raml.training import sft as module
from raml.training.loop import Watch, Work, fit, lines, tidy, train_all


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


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    one, other = Work.open(tmp_path, {"seed": 0}), Work.open(tmp_path, {"seed": 1})
    moved = one.folder / "checkpoint-2"
    checkpoint(other, 2).rename(moved)
    with pytest.raises(DataError, match=rf"^{moved} was written under another configuration; delete {one.folder} and"):
        one.last_checkpoint()
    assert moved.exists()


def test_a_checkpoint_can_be_loaded_onto_the_cpu_of_a_process(tmp_path: Path) -> None:
    state = {"moments": torch.arange(3.0)}
    torch.save(state, tmp_path / "optimizer.pt")
    for process in (0, 1):  # as transformers loads it where several processes train on CPUs
        loaded = torch.load(tmp_path / "optimizer.pt", map_location=torch.device("cpu", process), weights_only=True)
        assert torch.equal(loaded["moments"], state["moments"])


def test_a_work_folder_is_gone_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work.open(tmp_path, {})
    work.model().mkdir()
    monkeypatch.setattr(loop.shutil, "rmtree", lambda *_, **__: None)  # killed before anything was deleted
    work.close()
    assert not work.folder.exists()
    monkeypatch.undo()
    assert not Work.open(tmp_path, {}).finished
    assert [path.name for path in tmp_path.iterdir()] == [work.key]


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


def test_a_job_has_a_start_and_an_output_for_each_run(tmp_path: Path) -> None:
    step = Place(tmp_path, "sft").prepare().step([sft(), sft()])
    step.lists["outs"].pop()
    with pytest.raises(ConfigError, match=r"^2 runs, 2 --starts and 1 --outs: give one of each a run$"):
        train_all(step, [], lambda assignment: None)


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


def test_progress_and_records_can_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, seen = Place(tmp_path, "sft").prepare(), []
    plain = Watch.on_step_end

    def peek(self: Watch, *arguments: Any, **options: Any) -> None:
        (live,) = place.work.glob("*/training.jsonl")
        seen.append(len(live.read_text().splitlines()))
        plain(self, *arguments, **options)

    monkeypatch.setattr(Watch, "on_step_end", peek)
    capsys.readouterr()
    place.train([sft()])
    assert seen == [0, 1, 2, 3, 4, 5]
    shown = capsys.readouterr()
    assert "SFT run0: 100%" in shown.err
    assert "6/6" in shown.err
    assert "loss=" in shown.err
    assert shown.out == ""
    assert "Writing model shards" not in shown.err


def test_training_goes_on_where_the_last_checkpoint_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, steps = Place(tmp_path, "sft").prepare(), []
    plain = Watch.on_step_end

    def stop_once_at_5(self: Watch, args: Any, state: Any, control: Any, **options: Any) -> None:
        steps.append(state.global_step)
        if steps == [1, 2, 3, 4, 5]:
            raise KeyboardInterrupt
        plain(self, args, state, control, **options)

    monkeypatch.setattr(Watch, "on_step_end", stop_once_at_5)
    with pytest.raises(KeyboardInterrupt):
        place.train([sft()])
    (work,) = place.work.iterdir()
    checkpoints = {path.name for path in work.glob("checkpoint-*")}
    assert checkpoints == {"checkpoint-2", "checkpoint-4"}
    assert len((work / "training.jsonl").read_text().splitlines()) == 4
    capsys.readouterr()
    place.train([sft()])
    assert steps == [1, 2, 3, 4, 5, 5, 6]
    assert "4/6" in capsys.readouterr().err
    records = [json.loads(line) for line in (place.outs([0])[0] / "training.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]


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


def test_other_errors_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(_failing(RuntimeError("shapes cannot be multiplied")), Work.open(tmp_path, {}), description="", advice="")


def _failing(error: Exception) -> Any:
    """As much of a trainer as fails."""

    class Failing:
        def add_callback(self, _: Any) -> None: ...

        remove_callback = add_callback

        def train(self, **_: Any) -> None:
            raise error

    return Failing()
