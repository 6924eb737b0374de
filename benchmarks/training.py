"""What TRL costs beside a bare torch loop, and what taking the gradient from fewer completions saves."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback

from benchmarks.timing import median, one_thread, timed
from raml.config import GRPO, SFT, Hardware, Scale
from raml.questions.family import stable_seed
from raml.schemas import Question, Trajectory
from raml.storage import read_table
from raml.training import grpo, sft
from raml.training.arguments import CPU_SEQUENCES
from raml.training.pretrain import IGNORED
from raml.training.rewards import Reward
from raml.training.rollouts import sampling_of
from raml.training.start import load_start
from raml.training.subset import parts
from raml.trajectories.engine import Request
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.sampler import TorchSampler

SEED = 0
LEARNING_RATE = 1e-9  # all that is compared is done by practically the same weights, so on the same tokens


def training_benchmark(
    scale: Scale, base: Path, questions: Path, trajectories: Path, *, steps: int = 6, rounds: int = 3
) -> dict[str, Any]:
    """CPU seconds of an optimiser step of SFT and of GRPO, through TRL and in bare loops; one thread.

    The bare loops do the same arithmetic on the same rows, in parts of as many rows. They write GRPO's completions
    with the same sampler and leave out the same rows, but record nothing of them. What is compared takes turns;
    seconds are medians over rounds of the mean step without the first and the last, ratios are medians of the rounds'
    ratios. CPU seconds, since a busy machine distorts wall time.

    Args:
        scale: settings of SFT on long trajectories and of GRPO.
        base: the folder of the model to start from.
        questions: a table of `schemas.Question`.
        trajectories: a table of `schemas.Trajectory`, long ones.
        steps: optimiser steps of each measurement, at least 3.
        rounds: measurements of each.

    Returns:
        `sft` and `grpo`: `trl_seconds`, `bare_seconds`, `ratio` (target: at most 1.2); `one_of_group`: `seconds` of
        GRPO with the gradient from one completion of each group and `ratio` to that from all of them (target: at most
        0.5); `generation_share`: of GRPO's time, what writing completions takes; `mean_tokens` of a completion.
    """
    hardware = scale.hardware.model_copy(update={"threads": 1, "checkpoint_steps": steps + 1})
    fine = {"learning_rate": LEARNING_RATE, "warmup_ratio": 0.0}
    tuned = scale.sft["long"].model_copy(update=fine)
    fixed = {**fine, "steps": steps, "evaluate_at": [], "iterations": 1, "kl": 0.0}
    every = scale.grpo.model_copy(update={**fixed, "update_trajectories": scale.grpo.group_size})
    one = every.model_copy(update={"update_trajectories": 1})
    asked = read_table(questions, Question).rows(named=True)
    rows = read_table(trajectories, Trajectory)
    with one_thread():
        turns = [
            {
                "sft": sft_seconds(base, rows, tuned, hardware, steps),
                "sft_bare": bare_sft_seconds(base, rows, tuned, hardware, steps),
                "grpo": grpo_seconds(base, asked, every, hardware),
                "grpo_bare": bare_grpo_seconds(base, asked, every),
                "one": grpo_seconds(base, asked, one, hardware),
            }
            for _ in range(rounds)
        ]
    seconds = {name: [float(np.mean(turn[name]["seconds"][1:])) for turn in turns] for name in turns[0]}
    ratio = {
        name: median(np.divide(seconds[name], seconds[other]))
        for name, other in (("sft", "sft_bare"), ("grpo", "grpo_bare"), ("one", "grpo"))
    }
    middle = {name: median(values) for name, values in seconds.items()}
    return {
        "sft": {"trl_seconds": middle["sft"], "bare_seconds": middle["sft_bare"], "ratio": ratio["sft"]},
        "grpo": {"trl_seconds": middle["grpo"], "bare_seconds": middle["grpo_bare"], "ratio": ratio["grpo"]},
        "one_of_group": {"seconds": middle["one"], "ratio": ratio["one"]},
        "generation_share": median([turn["grpo"]["generation_share"] for turn in turns]),
        "mean_tokens": turns[0]["grpo"]["mean_tokens"],
    }


class StepTimes(TrainerCallback):
    """CPU seconds from the beginning of each optimiser step to that of the next, logging included."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self._starts: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step begins."""
        self._starts.append(time.process_time())

    @property
    def seconds(self) -> list[float]:
        """Of each step but the last, after which the model is saved."""
        return _differences(self._starts)


def step_seconds(trainer: Trainer) -> list[float]:
    """CPU seconds of each optimiser step but the last of a training run."""
    times = StepTimes()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(times)
    trainer.train()
    return times.seconds


def sft_seconds(base: Path, rows: pl.DataFrame, settings: SFT, hardware: Hardware, steps: int) -> dict[str, Any]:
    """`seconds` of each step of SFT through TRL."""
    model, tokenizer = load_start(base, settings, hardware)
    examples = _examples(rows, settings, steps)
    with TemporaryDirectory() as folder:
        return {
            "seconds": step_seconds(
                sft.make_trainer(model, tokenizer, examples, settings, hardware, SEED, Path(folder))
            )
        }


def bare_sft_seconds(base: Path, rows: pl.DataFrame, settings: SFT, hardware: Hardware, steps: int) -> dict[str, Any]:
    """The same of a bare loop."""
    model, _ = load_start(base, settings, hardware)
    examples = _examples(rows, settings, steps)
    size = settings.batch_size

    def step(number: int) -> None:
        batch = examples[number * size :][:size]
        learned = sum(label != IGNORED for example in batch for label in example["labels"])
        for start in range(0, size, CPU_SEQUENCES):
            part = batch[start : start + CPU_SEQUENCES]
            ids, labels = (_padded([example[name] for example in part], pad) for name, pad in _SIDES)
            mask = _padded([[1] * len(example["input_ids"]) for example in part], 0)
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
            (loss / learned).backward()

    return {"seconds": bare_seconds(model, step, steps)}


def grpo_seconds(
    base: Path, questions: Sequence[Mapping[str, Any]], settings: GRPO, hardware: Hardware
) -> dict[str, Any]:
    """`seconds` of each step of GRPO through TRL, the `generation_share` of them, and `mean_tokens`."""
    model, tokenizer = load_start(base, settings, hardware)
    prompts = grpo.prompts_of(questions, tokenizer, settings, "questions")
    with TemporaryDirectory() as folder:
        trainer = grpo.make_trainer(model, tokenizer, questions, prompts, settings, hardware, SEED, Path(folder))
        write: Any = trainer.rollout_func
        writing: list[float] = []

        def timed_rollouts(*arguments: Any) -> Any:
            seconds, output = timed(lambda: write(*arguments))
            writing.append(seconds)
            return output

        trainer.rollout_func = timed_rollouts
        seconds = step_seconds(trainer)
        lengths = [entry["length"] for entry in trainer.state.log_history if "length" in entry]
    share = sum(writing[1:-1]) / sum(seconds[1:])
    return {"seconds": seconds, "generation_share": share, "mean_tokens": float(np.mean(lengths))}


def bare_grpo_seconds(base: Path, questions: Sequence[Mapping[str, Any]], settings: GRPO) -> dict[str, Any]:
    """`seconds` of each step of a bare on-policy loop that writes the same completions."""
    model, tokenizer = load_pretrained(base)
    prompts = grpo.prompts_of(questions, tokenizer, settings, "questions")
    groups, size = settings.batch_size // settings.group_size, settings.group_size
    order = grpo.question_order(prompts, groups=groups, batches=settings.steps, seed=SEED)
    reward = Reward({question["id"]: question for question in questions}, tokenizer, size)
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id

    def step(number: int) -> None:
        requests = [
            Request(prompt.question_id, prompt.token_ids, sample)
            for prompt in order[number * groups :][:groups]
            for sample in range(size)
        ]
        sampler = TorchSampler(model, sampling_of(settings, len(requests)), [eos], pad_id=pad)
        completions = [c.token_ids for c in sampler.sample(requests, stable_seed("rollout", SEED, number))]
        model.train()
        rewards = torch.tensor(
            reward(
                completion_ids=completions,
                question_id=[request.question_id for request in requests],
                log_metric=lambda *_: None,
            )
        ).view(groups, size)
        advantages = ((rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)).flatten()
        mask = _padded([[1] * len(ids) for ids in completions], 0)
        for part in parts({"completion_mask": mask}, advantages.nonzero()[:, 0].tolist() or [0], CPU_SEQUENCES):
            new = _log_probabilities(
                model, [requests[row].prompt_ids for row in part], [completions[row] for row in part], settings, pad
            )
            ratio, advantage = (new - new.detach()).exp(), advantages[part, None]
            clipped = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
            kept = mask[part, : new.shape[1]]
            loss = -torch.minimum(ratio * advantage, clipped * advantage) * kept
            ((loss.sum(1) / kept.sum(1)).sum() / len(requests)).backward()

    return {"seconds": bare_seconds(model, step, settings.steps)}


def bare_seconds(model: PreTrainedModel, step: Callable[[int], None], steps: int) -> list[float]:
    """CPU seconds of `steps` steps; `step` adds up the gradient of the step with its number."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    model.train()
    times = [time.process_time()]
    for number in range(steps):
        step(number)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.process_time())
    return _differences(times)[:-1]


_SIDES = (("input_ids", 0), ("labels", IGNORED))


def _examples(rows: pl.DataFrame, settings: SFT, steps: int) -> list[dict[str, Any]]:
    return sft.training_examples(rows, settings, random.Random(SEED))[: steps * settings.batch_size]


def _log_probabilities(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    settings: GRPO,
    pad: int,
) -> Tensor:
    """Of the completions' tokens, [rows, longest completion]; prompts are padded on the left."""
    ids = torch.cat([_padded([p[::-1] for p in prompts], pad).flip(1), _padded(completions, pad)], dim=1)
    given = [_padded([[1] * len(row) for row in side], 0) for side in (prompts, completions)]
    width = given[1].shape[1]
    mask = torch.cat([given[0].flip(1), given[1]], dim=1)
    output = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=width + 1)
    logits: Tensor = output.logits[:, :-1]
    return (logits / settings.temperature).log_softmax(-1).gather(-1, ids[:, -width:, None])[..., 0]


def _differences(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of different lengths as a tensor, padded on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
