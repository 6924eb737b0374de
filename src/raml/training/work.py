"""The folder in which a model is trained: it survives `kill -9`, and knows which checkpoints are whole.

Checkpoints lie in `<work>/<key>/`, where the key is a hash of all that the model's bytes depend on. A checkpoint
counts once a marker lies in it that lists its files, so a half-written one is never resumed from.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.serialization import register_package

from raml.errors import DataError
from raml.storage import atomic_folder, link_folder, read_json, write_json

MARKER = "complete.json"

# accelerate calls the CPU of process i `cpu:i`, which torch.load knows no place for when a checkpoint is loaded.
register_package(100, lambda _: None, lambda storage, place: storage if place.startswith("cpu:") else None)


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

    def good_checkpoint(self, *, before: int) -> Path | None:
        """The latest complete checkpoint of a step below `before`."""
        complete = [path for path in self._checkpoints() if _complete(path) and _steps(path) < before]
        return max(complete, key=_steps, default=None)

    def set_aside(self) -> None:
        """Rename the folder, so that a killed deletion leaves nothing that looks like a trained model."""
        self.folder.replace(self._waste)

    def delete(self) -> None:
        """Delete what was set aside."""
        shutil.rmtree(self._waste)

    def _checkpoints(self) -> list[Path]:
        return list(self.folder.glob("checkpoint-*"))

    def _foreign(self, path: Path) -> DataError:
        return DataError(f"{path} was written under another configuration; delete {self.folder} and rerun")


def publish(model: Path, out: Path) -> None:
    """Let `model` appear as `out` by one rename."""
    with atomic_folder(out) as folder:
        link_folder(model, folder)


def processes() -> PartialState:
    """The processes that train together, as `accelerate launch` started them."""
    return PartialState(cpu=not torch.cuda.is_available())


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
