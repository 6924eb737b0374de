"""A tiny model, trajectories and jobs of SFT and DPO, and processes that die of SIGKILL where they are told to."""

import importlib
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from transformers import LlamaForCausalLM

from raml.config import DPO, SFT, Architecture, Hardware, Oracle, QuestionSet
from raml.questions.build import draw
from raml.schemas import Trajectory, column_types
from raml.step import Step
from raml.storage import Provenance, file_hash, write_table
from raml.training.model import build_model
from raml.training.pretrain import save_model
from raml.trajectories.oracle import question_rows
from raml.trajectories.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()
PROVENANCE = Provenance(scale="test", config_hash="", code_version="", seed=0)
ARCHITECTURE = Architecture(
    hidden_size=64,
    layers=2,
    heads=2,
    kv_heads=2,
    intermediate_size=96,
    vocabulary=len(TOKENIZER),
    tied=True,
    context=256,
)
LORA = {"rank": 4, "alpha": 8.0, "dropout": 0.1}
Technique = Literal["sft", "dpo"]


def hardware(**changes: Any) -> Hardware:
    """One CPU process that saves every second step."""
    values = {
        "processes": 1, "launcher": None, "sharded": False, "memory_gb": 4.0, "precision": "fp32",
        "gradient_checkpointing": False, "rollouts": "torch", "threads": 1, "checkpoint_steps": 2, **changes,
    }  # fmt: skip
    return Hardware.model_validate(values)


def sft(**changes: Any) -> SFT:
    """Six steps on the three questions of `trajectories`."""
    values = {
        "start": "base", "max_prompt_tokens": 64, "max_tokens": 128, "learning_rate": 1e-3, "warmup_ratio": 0.1,
        "trajectories_per_question": 4, "exposures_per_question": 8, "batch_size": 4, "mask_wrong_attempts": True,
        **changes,
    }  # fmt: skip
    return SFT.model_validate(values)


def dpo(**changes: Any) -> DPO:
    """Six steps on the three questions of `trajectories`."""
    values = {
        "start": "base", "max_prompt_tokens": 64, "max_tokens": 128, "learning_rate": 1e-3, "warmup_ratio": 0.1,
        "pairs_per_question": 8, "batch_size": 4, "beta": 0.5, **changes,
    }  # fmt: skip
    return DPO.model_validate(values)


def start_model(seed: int = 0) -> LlamaForCausalLM:
    """Untrained."""
    return build_model(ARCHITECTURE, seed, bos=1, eos=2, pad=0)


@cache
def trajectories(style: Any = "long", n: int = 3) -> pl.DataFrame:
    """Up to 8 for each of `n` questions, some with a noticed slip."""
    oracle = Oracle(variants_per_question=8, slip_rate=0.3, check_rate=0.0)
    questions = draw(QuestionSet(family="rows", levels=[2], n=n), split="train", kind="train", seed=0, used=set())
    rows = [row for question in questions for row in question_rows(question, style, TOKENIZER, oracle, 0)]
    return pl.DataFrame(rows, schema=column_types(Trajectory))


@dataclass(frozen=True)
class Place:
    """A folder with a start, trajectories and the step that trains from them."""

    folder: Path
    technique: Technique

    def prepare(self) -> "Place":
        """Write the inputs."""
        save_model(start_model(), TOKENIZER, self.folder / "start", PROVENANCE)
        for name, style in (("trajectories", "long"), ("rejected", "wrong")):
            write_table(trajectories(style), Trajectory, self.folder / f"{name}.parquet", PROVENANCE)
        return self

    @property
    def work(self) -> Path:
        """Where work folders are."""
        return self.folder / "work"

    def outs(self, runs: Sequence[Any]) -> list[Path]:
        """Where the models appear."""
        return [self.folder / "models" / f"run{index}" for index in range(len(runs))]

    def step(self, runs: Sequence[Any], device: Hardware | None = None) -> Step[Any]:
        """The step that trains `runs`."""
        module = importlib.import_module(f"raml.training.{self.technique}")
        job = module.Job[type(runs[0])](runs=list(runs), hardware=device or hardware())
        names = ["trajectories", "rejected"] if self.technique == "dpo" else ["trajectories"]
        return Step(
            module=module.__name__,
            scale="test",
            config=job,
            seed=0,
            files={**{name: self.folder / f"{name}.parquet" for name in names}, "work": self.work},
            names={},
            lists={"starts": [self.folder / "start"] * len(runs), "outs": self.outs(runs)},
        )

    def train(self, runs: Sequence[Any], device: Hardware | None = None) -> None:
        """Train in this process."""
        importlib.import_module(f"raml.training.{self.technique}").main(self.step(runs, device))

    def hashes(self, runs: Sequence[Any]) -> list[dict[str, str]]:
        """Hashes of all files of the models, by name."""
        return [{path.name: file_hash(path) for path in sorted(out.iterdir())} for out in self.outs(runs)]


# A function of the training code, and its which-th call at which the process dies: before or after the call.
Death = tuple[str, int, Literal["before", "after"]]


def start_process(place: Place, runs: Sequence[Any], death: Death | None = None) -> Any:
    """Train in a process of its own, which ends itself with SIGKILL at `death`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["raml.training.sft", "raml.training.dpo", __name__])
    process = context.Process(target=_trained, args=(place, runs, death))
    process.start()
    return process


def ended(process: Any) -> int:
    """The process's exit code; minus the signal's number if it was killed."""
    process.join(timeout=120)
    assert process.exitcode is not None
    return int(process.exitcode)


def _trained(place: Place, runs: Sequence[Any], death: Death | None) -> None:
    if death is not None:
        _plant(*death)
    place.train(runs)


def _plant(name: str, number: int, when: str) -> None:
    """Let the process die at the `number`-th call of the function called `name`."""
    owner, _, function = name.rpartition(".")
    target = _resolve(owner)
    plain, calls = getattr(target, function), []

    def deadly(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        if len(calls) == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*arguments, **options)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(target, function, deadly)


def _resolve(name: str) -> Any:
    """A module, or a class in one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        owner, _, attribute = name.rpartition(".")
        return getattr(_resolve(owner), attribute)
