"""Watching a training run: progress, records, checkpoints that count, and an end to runs that diverge."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from raml.errors import RamlError
from raml.progress import progress
from raml.training.work import Work

Record = dict[str, float | int | None]

# Wall-clock values, and counts that TRL starts again at 0 when it resumes.
UNLOGGED = {"epoch", "num_tokens", "step_time", "total_flos"}

# When a run has diverged; see `divergence`.
WINDOW = 5  # steps
LOSS_FACTOR = 3.0
NORM_FACTOR = 100.0
LEAST_BEFORE = 10  # steps
LOWEST_REWARD = -1.0  # of Eq. 21
CLIP = 1.0  # gradients' norm; also the trainers' `max_grad_norm`


class NoPredictionError(RamlError):
    """The model that is trained predicts nothing that could be sampled."""


class Watch(TrainerCallback):
    """Marks checkpoints, shows progress, writes `training.jsonl` and stops a run that has diverged.

    It has if the loss, the gradient's norm or a weight is not finite, or if for `WINDOW` logged steps in a row training
    did harm that no healthy run comes near (`divergence`). What is looked at is the logged history, which a resumed run
    has back: it stops at the step at which an uninterrupted one would.
    """

    def __init__(self, trainer: Trainer, work: Work, description: str, advice: str, *, loss_falls: bool) -> None:
        """Watch `trainer`; see `fit`."""
        self.trainer, self.work, self.description, self.advice = trainer, work, description, advice
        self.loss_falls = loss_falls
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
                raise self.diverged(state.global_step, f"{name} {value}", bad=state.global_step - 1)
        harm = divergence(state.log_history, loss_falls=self.loss_falls)
        if harm is not None:
            raise self.diverged(state.global_step, harm, bad=state.log_history[-WINDOW]["step"] - 1)
        if self.line is not None:
            self.line.set_postfix({"loss": f"{logs['loss']:.3f}"}, refresh=False)
            with (self.work.folder / "training.jsonl").open("a") as file:
                file.write(lines(records))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint that was just written, unless a weight in it is not finite."""
        # The sum also waits until every process has written its part of the checkpoint.
        if _not_finite(self.trainer) > 0:
            raise self.diverged(state.global_step, "weights that are not finite", bad=state.global_step)
        if state.is_world_process_zero:
            self.work.mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def close(self) -> None:
        """End the progress line."""
        if self.line is not None:
            self.line.close()

    def diverged(self, step: int, what: str, *, bad: int) -> RamlError:
        """The error that ends the run after `step`.

        A checkpoint after `bad` steps or more is not a good one. What is logged at a step was measured before its
        update, on the weights that the checkpoint of the step before holds.
        """
        last = self.work.good_checkpoint(before=bad)
        found = "there is no checkpoint before it" if last is None else f"last good checkpoint: {last}"
        return RamlError(f"{self.description} diverged at step {step}: {what}; lower {self.advice}; {found}")


def divergence(records: Sequence[Mapping[str, Any]], *, loss_falls: bool) -> str | None:
    """What shows that a run has diverged although all is finite, or None.

    Single bad batches happen in healthy runs, so that all of the last `WINDOW` records count. Of them

    - the mean loss is over `LOSS_FACTOR` times the first step's, which no update had changed, plus one nat: the run is
      far worse off than it began. The nat spares losses that begin near 0.
    - or every completion had the lowest reward, though not in the first step: from equal rewards no gradient comes, so
      that GRPO will not find back. Its loss, 0 on average whatever the policy does, says nothing.
    - or each gradient's norm, before clipping, is over `NORM_FACTOR` times the median of those before them (at least
      `LEAST_BEFORE` that are not 0, since in GRPO groups with equal rewards have none) and over what it is clipped to,
      below which steps are as small as they are meant to be.

    Args:
        records: what was logged at all steps so far.
        loss_falls: whether the loss is what training lowers.
    """
    before, last = records[:-WINDOW], records[-WINDOW:]
    if loss_falls and before:
        loss, first = fmean(_values(last, "loss")), records[0]["loss"]
        if loss > LOSS_FACTOR * first + 1:
            return f"a mean loss of {loss:.3g} in the last {WINDOW} steps after {first:.3g} in the first"
    rewarded = before and records[0].get("reward", LOWEST_REWARD) > LOWEST_REWARD
    if rewarded and max(_values(last, "reward")) <= LOWEST_REWARD:
        return f"the lowest reward for every completion of the last {WINDOW} steps"
    norms = [norm for norm in _values(before, "grad_norm") if norm > 0]
    if len(norms) >= LEAST_BEFORE:
        usual, least = median(norms), min(_values(last, "grad_norm"))
        if least > max(NORM_FACTOR * usual, CLIP):
            return f"gradient norms of {least:.3g} and more in the last {WINDOW} steps after a median of {usual:.3g}"
    return None


def _values(records: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [float(record[name]) for record in records]


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


def _not_finite(trainer: Trainer) -> int:
    """How many trained tensors hold a value that is not finite, over all processes; each looks at its own shards."""
    count = torch.zeros((), device=trainer.args.device)
    assert trainer.model is not None
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
            count += (~torch.isfinite(local.detach()).all()).to(count)
    return int(trainer.accelerator.reduce(count, reduction="sum").item())
