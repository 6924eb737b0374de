"""What all training steps share: one run after the other, each trained to its end whatever kills it on the way.

A trained model waits in its work folder until all runs of the job are done; then each output appears by one rename
and the work folders are deleted.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar

import torch
import yaml
from accelerate.utils import release_memory
from safetensors import SafetensorError
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from raml.code import PACKAGES, code_digest
from raml.config import Hardware, Section, Training
from raml.errors import ConfigError, RamlError
from raml.provenance import provenance
from raml.step import Step, check_lengths
from raml.storage import Provenance, file_hash, model_hash
from raml.training.watch import NoPredictionError, Record, Watch, tidy
from raml.training.work import Work, processes, publish

S = TypeVar("S", bound=Training)

LAUNCHERS = Path("config/accelerate")


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
    work: Work
    seed: int  # the training seed as the command line gave it
    provenance: Provenance


def train_all(step: Step[Job[S]], tables: Sequence[Path], train: Callable[[Assignment[S]], None]) -> None:
    """Train the runs of a job one after the other; then let all outputs appear.

    Args:
        step: with `lists["starts"]` and `lists["outs"]`, one a run, and `files["work"]`.
        tables: the files that are trained on.
        train: trains one model and saves it as `assignment.work.model()`, snapshots as `.model("_step6")`;
            called only for models that no earlier, killed process has finished.

    Raises:
        ConfigError: not one start and one output for each run; there is no such launcher.
    """
    runs, hardware = step.config.runs, step.config.hardware
    starts, outs = step.lists["starts"], step.lists["outs"]
    check_lengths({"runs": runs, "--starts": starts, "--outs": outs})
    torch.set_num_threads(hardware.threads)
    disable_progress_bar()  # of files read and written; ours stays
    set_verbosity_error()  # resuming a model with tied embeddings makes transformers miss the head
    works = []
    for settings, start, out in zip(runs, starts, outs, strict=True):
        alone = type(step.config)(runs=[settings], hardware=hardware)
        identity = {
            "step": step.module,
            # Neither the other runs of the job nor the number of checkpoints make a difference.
            "job": alone.model_dump(mode="json", exclude={"hardware": {"checkpoint_steps"}}),
            "launcher": launcher_hash(hardware),
            "seed": step.seed,
            "start": start_hash(start),
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
                publish(model, out.with_name(out.name + ending))
        done = {work.key: work for work in works}.values()
        for work in done:  # all before any is deleted: whose folder is gone trains again if this job is killed now
            work.set_aside()
        for work in done:
            work.delete()
    processes().wait_for_everyone()


def start_hash(folder: Path) -> str:
    """SHA-256 over the files that training from the model in `folder` reads: weights, configuration, tokenizer.

    `raml.json` says where the model comes from, which changes nothing.
    """
    read = sorted(path for ending in ("safetensors", "json", "jinja") for path in folder.glob(f"*.{ending}"))
    hashes = {path.name: file_hash(path) for path in read if path.name != "raml.json"}
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()


def launcher_hash(hardware: Hardware) -> str | None:
    """SHA-256 of what the launcher's file sets, its comments aside, in hex; None without a launcher.

    Raises:
        ConfigError: there is no such file, or it is not YAML.
    """
    if hardware.launcher is None:
        return None
    path = LAUNCHERS / f"{hardware.launcher}.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(
            f"hardware.launcher = {hardware.launcher}: {path} cannot be read ({_one_line(error)})"
        ) from None
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def fit(trainer: Trainer, work: Work, *, description: str, advice: str, loss_falls: bool = True) -> list[Record]:
    """Train to the end, from the last complete checkpoint if there is one, and return what was logged at each step.

    Args:
        trainer: whose output folder is `work.folder`, with arguments from `raml.training.arguments`.
        work: where checkpoints are marked complete and `training.jsonl` grows line by line.
        description: of the progress line and of errors, as in `SFT sft_long`.
        advice: what to lower if training diverges, as in `sft.learning_rate`.
        loss_falls: the loss is what training lowers; not so in GRPO, where it is near 0 whatever the policy does.

    Raises:
        RamlError: training diverges (see `Watch`); the device's memory or the disk is full.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    last = work.last_checkpoint()
    watch = Watch(trainer, work, description, advice, loss_falls=loss_falls)
    trainer.add_callback(watch)
    try:
        with _errors_named(description, work.folder):
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
    except NoPredictionError as error:
        step = trainer.state.global_step
        if not step:  # the fault of whoever trained the start
            raise
        raise watch.diverged(step, str(error), bad=step) from None
    finally:
        watch.close()
        trainer.remove_callback(watch)
    return tidy(trainer.state.log_history)


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


def _one_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
