"""What all training steps share: work folders that survive `kill -9`, one run after the other, watching, stopping.

While a model is trained, its checkpoints live in `<work>/<key>/`, where the key is a hash of all that its bytes
depend on. A checkpoint counts once a marker lies in it that lists its files, so a half-written one is never resumed
from. A trained model waits in the work folder until all runs of the job are done; then each output appears by one
rename and the work folders are deleted.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import release_memory
from safetensors import SafetensorError
from torch.serialization import register_package
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from raml.code import code_digest
from raml.config import Hardware, Section, Training
from raml.errors import ConfigError, DataError, RamlError
from raml.progress import progress
from raml.provenance import provenance
from raml.step import Step
from raml.storage import Provenance, atomic_folder, file_hash, model_hash, read_json, write_json

S = TypeVar("S", bound=Training)
Record = dict[str, float | int | None]

MARKER = "complete.json"
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
# Wall-clock values, and counts that TRL starts again at 0 when it resumes.
UNLOGGED = {"epoch", "num_tokens", "step_time", "total_flos"}

# accelerate calls the CPU of process i `cpu:i`, which torch.load knows no place for when a checkpoint is loaded.
register_package(100, lambda _: None, lambda storage, place: storage if place.startswith("cpu:") else None)


class Job(Section, Generic[S]):
    """Runs that share a process, each with the settings of its technique."""

    runs: list[S]
    hardware: Hardware


@dataclass(frozen=True)
class Assignment(Generic[S]):
    """One model to train: from `start` with `settings`, into `work.model()`."""

    name: str
    settings: S
    hardware: Hardware
    start: Path
    work: "Work"
    seed: int  # the training seed as the command line gave it
    provenance: Provenance


@dataclass(frozen=True)
class Work:
    """The folder in which one model is trained."""

    folder: Path
    key: str

    @classmethod
    def open(cls, root: Path, identity: Mapping[str, Any]) -> "Work":
        """The folder of `identity`, made if need be: `<root>/<first 16 hex digits of its SHA-256>`.

        Args:
            root: where work folders are.
            identity: all that the trained model's bytes depend on, as JSON values.

        Raises:
            DataError: the folder says of itself that it belongs to another identity.
        """
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        work = cls(root / key, key)
        described = work.folder / "identity.json"
        if described.exists() and read_json(described) != identity:
            raise work._foreign(work.folder)
        if processes().is_main_process:
            shutil.rmtree(work._waste, ignore_errors=True)
            write_json(identity, described)
        processes().wait_for_everyone()
        return work

    @property
    def _waste(self) -> Path:
        return self.folder.with_name(f".{self.key}.old")

    def model(self, ending: str = "") -> Path:
        """Where the trained model waits for the rest of the job; a snapshot's name ends with `ending`."""
        return self.folder / f"model{ending}"

    def models(self) -> dict[str, Path]:
        """The models that wait here by the endings of their names, the last one last."""
        endings = [path.name.removeprefix("model") for path in sorted(self.folder.glob("model*"), reverse=True)]
        return {ending: self.model(ending) for ending in endings}

    @property
    def finished(self) -> bool:
        """Whether the model is trained and saved."""
        return self.model().is_dir()

    def mark(self, checkpoint: Path) -> None:
        """Declare `checkpoint` complete, once all its files are on the disk. For the main process only."""
        files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARKER)
        for path in files:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        sizes = {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}
        write_json({"identity": self.key, "files": sizes}, checkpoint / MARKER)

    def last_checkpoint(self) -> Path | None:
        """The latest complete checkpoint; half-written ones are deleted. To be called by all processes.

        Raises:
            DataError: a checkpoint was written under another configuration.
        """
        for checkpoint in self._checkpoints():
            if _marker(checkpoint).get("identity", self.key) != self.key:
                raise self._foreign(checkpoint)
        processes().wait_for_everyone()
        if processes().is_main_process:
            for checkpoint in self._checkpoints():
                if not _complete(checkpoint):
                    shutil.rmtree(checkpoint)
        processes().wait_for_everyone()
        return max(self._checkpoints(), key=_steps, default=None)

    def close(self) -> None:
        """Delete the folder; at once, so that a killed deletion leaves nothing that looks like a trained model."""
        if processes().is_main_process:
            self.folder.replace(self._waste)
            shutil.rmtree(self._waste)
        processes().wait_for_everyone()

    def _checkpoints(self) -> list[Path]:
        return list(self.folder.glob("checkpoint-*"))

    def _foreign(self, path: Path) -> DataError:
        return DataError(f"{path} was written under another configuration; delete {self.folder} and rerun")


def train_all(step: Step[Job[S]], tables: Sequence[Path], train: Callable[[Assignment[S]], None]) -> None:
    """Train the runs of a job one after the other; then let all outputs appear.

    Args:
        step: with `lists["starts"]` and `lists["outs"]`, one a run, and `files["work"]`.
        tables: the files that are trained on.
        train: trains one model and saves it as `assignment.work.model()`, snapshots as `.model("_step6")`;
            called only for models that no earlier, killed process has finished.

    Raises:
        ConfigError: not one start and one output for each run.
    """
    runs, hardware = step.config.runs, step.config.hardware
    starts, outs = step.lists["starts"], step.lists["outs"]
    if not len(runs) == len(starts) == len(outs):
        raise ConfigError(f"{len(runs)} runs, {len(starts)} --starts and {len(outs)} --outs: give one of each a run")
    torch.set_num_threads(hardware.threads)
    disable_progress_bar()  # of files read and written; ours stays
    set_verbosity_error()  # resuming a model with tied embeddings makes transformers miss the head
    works = []
    for settings, start, out in zip(runs, starts, outs, strict=True):
        alone = type(step.config)(runs=[settings], hardware=hardware)  # what the other runs are makes no difference
        identity = {
            "step": step.module,
            "job": alone.model_dump(mode="json"),
            "seed": step.seed,
            "start": model_hash(start),
            "tables": [file_hash(table) for table in tables],
            "code": code_digest(step.module),
            "versions": {package: version(package) for package in PACKAGES},
        }
        works.append(Work.open(step.files["work"], identity))
        if not works[-1].finished:
            origin = provenance(step.scale, alone, step.module, seed=step.seed, model_hash=model_hash(start))
            train(Assignment(out.name, settings, hardware, start, works[-1], step.seed, origin))
            if torch.cuda.is_available():
                release_memory()  # a trainer refers to itself, and the next model needs its room
    if processes().is_main_process:
        for work, out in zip(works, outs, strict=True):
            for ending, model in work.models().items():
                _publish(model, out.with_name(out.name + ending))
    processes().wait_for_everyone()
    for work in {work.key: work for work in works}.values():
        work.close()


def fit(trainer: Trainer, work: Work, *, description: str, advice: str) -> list[Record]:
    """Train to the end, from the last complete checkpoint if there is one, and return what was logged at each step.

    Args:
        trainer: whose output folder is `work.folder`, with arguments from `raml.training.arguments`.
        work: where checkpoints are marked complete and `training.jsonl` grows line by line.
        description: of the progress line and of errors, as in `SFT sft_long`.
        advice: what to lower if training diverges, as in `sft.learning_rate`.

    Raises:
        RamlError: the loss, the gradient's norm or a weight is not finite; the device's memory or the disk is full.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    last = work.last_checkpoint()
    watch = Watch(trainer, work, description, advice)
    trainer.add_callback(watch)
    try:
        with _errors_named(description, work.folder):
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
    finally:
        watch.close()
        trainer.remove_callback(watch)
    return tidy(trainer.state.log_history)


class Watch(TrainerCallback):
    """Marks checkpoints, shows progress, writes `training.jsonl` and stops at the first value that is not finite."""

    def __init__(self, trainer: Trainer, work: Work, description: str, advice: str) -> None:
        """Watch `trainer`; see `fit`."""
        self.trainer, self.work, self.description, self.advice = trainer, work, description, advice
        self.line: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin the progress line and `training.jsonl` at the step that training begins with."""
        if state.is_world_process_zero:
            self.line = progress(self.description, state.max_steps, "step")
            if state.global_step:  # steps of an earlier process took this one no time
                self.line.initial = self.line.n = self.line.last_print_n = state.global_step
                self.line.refresh()
            (self.work.folder / "training.jsonl").write_text(lines(tidy(state.log_history)))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Advance the progress line."""
        if self.line is not None:
            self.line.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Check and record one step; before a checkpoint of it could be saved."""
        records = tidy([{**logs, "step": state.global_step}])
        if not records:
            return
        for name in ("loss", "grad_norm"):
            value = logs.get(name)
            if value is not None and not math.isfinite(value):
                raise self._diverged(state.global_step, f"{name} {value}")
        if self.line is not None:
            self.line.set_postfix({"loss": f"{logs['loss']:.3f}"}, refresh=False)
            with (self.work.folder / "training.jsonl").open("a") as file:
                file.write(lines(records))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint that was just written, unless a weight in it is not finite."""
        # The sum also waits until every process has written its part of the checkpoint.
        if _not_finite(self.trainer) > 0:
            raise self._diverged(state.global_step, "weights that are not finite")
        if state.is_world_process_zero:
            self.work.mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def close(self) -> None:
        """End the progress line."""
        if self.line is not None:
            self.line.close()

    def _diverged(self, step: int, what: str) -> RamlError:
        complete = [checkpoint for checkpoint in self.work._checkpoints() if _complete(checkpoint)]
        last = max(complete, key=_steps, default=None)
        found = "there is no checkpoint before it" if last is None else f"last good checkpoint: {last}"
        return RamlError(f"{self.description} diverged at step {step}: {what}; lower {self.advice}; {found}")


def processes() -> PartialState:
    """The processes that train together, as `accelerate launch` started them."""
    return PartialState(cpu=not torch.cuda.is_available())


def tidy(history: Iterable[Mapping[str, Any]]) -> list[Record]:
    """One record a logged optimiser step, with names in snake case, without timings; null for what is not finite."""
    return [
        {
            name.replace("/", "_").replace("-", "_"): value if math.isfinite(value) else None
            for name, value in entry.items()
            if name not in UNLOGGED
        }
        for entry in history
        if "loss" in entry  # the last entry sums up the process's own time
    ]


def lines(records: Iterable[Record]) -> str:
    """`records` as JSON lines."""
    return "".join(json.dumps({"step": record["step"], **dict(sorted(record.items()))}) + "\n" for record in records)


@contextmanager
def _errors_named(description: str, folder: Path) -> Iterator[None]:
    """Turn what a full device or a full disk raises into an error of one line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise RamlError(
            f"{description}: the device's memory is full ({_one_line(error)}); with a smaller hardware.memory_gb fewer "
            "sequences are trained on at once"
        ) from None
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
            raise
        raise RamlError(
            f"{description}: cannot write into {folder} ({_one_line(error)}); rerun once it can be written, training "
            "goes on from the last good checkpoint"
        ) from None


def _not_finite(trainer: Trainer) -> int:
    """How many trained tensors hold a value that is not finite, over all processes; each looks at its own shards."""
    count = torch.zeros((), device=trainer.args.device)
    assert trainer.model is not None
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
            count += (~torch.isfinite(local.detach()).all()).to(count)
    return int(trainer.accelerator.reduce(count, reduction="sum").item())


def _publish(model: Path, out: Path) -> None:
    """Let `model` appear as `out` by one rename."""
    with atomic_folder(out) as folder:
        shutil.copytree(model, folder, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    """A second name for a file of many gigabytes; a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _complete(checkpoint: Path) -> bool:
    files = _marker(checkpoint).get("files")
    try:
        return files is not None and all((checkpoint / name).stat().st_size == size for name, size in files.items())
    except OSError:
        return False


def _marker(checkpoint: Path) -> dict[str, Any]:
    """What `Work.mark` wrote, or nothing."""
    try:
        return dict(read_json(checkpoint / MARKER))
    except DataError:
        return {}


def _steps(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def _one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
