"""GRPO's loss and gradient against the formulas, one sequence at a time, without TRL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from grpo_start import HARDWARE, TOKENIZER, grpo, questions, save_start
from torch import Tensor, nn
from trl.trainer.grpo_trainer import GRPOTrainer

import raml.training.grpo
import raml.training.policy
import raml.training.split
from raml.config import GRPO
from raml.training.grpo import make_trainer, prompts_of
from raml.training.policy import PolicyTrainer
from raml.training.rollouts import Rollouts
from raml.training.subset import chosen_rows
from raml.training.watch import tidy
from raml.trajectories.engine import PROGRAM
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.rows import trajectory_row

ROWS = {row["id"]: row for row in questions().iter_rows(named=True)}


@dataclass
class Watched:
    """A trainer's run: weights before each step, loss and gradient of it, and the completions written before it."""

    trainer: PolicyTrainer
    written: list[list[tuple[str, list[int], list[int]]]] = field(default_factory=list)
    weights: list[dict[str, Tensor]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    gradients: list[dict[str, Tensor]] = field(default_factory=list)


def watched_run(folder: Path, settings: GRPO, monkeypatch: pytest.MonkeyPatch) -> Watched:
    torch.set_num_threads(1)
    model, tokenizer = load_pretrained(save_start(folder / "start"))
    asked = questions().rows(named=True)
    prompts = prompts_of(asked, tokenizer, settings, "questions")
    trainer = make_trainer(model, tokenizer, asked, prompts, settings, HARDWARE, 7, folder / "work")
    seen = Watched(trainer)
    generate, step = GRPOTrainer._generate_and_score_completions, PolicyTrainer.training_step

    def generating(self: Any, inputs: Any) -> Any:
        batch = generate(self, inputs)
        rows = []
        for index, row in enumerate(inputs):
            sides = [
                batch[f"{side}_ids"][index][batch[f"{side}_mask"][index].bool()] for side in ("prompt", "completion")
            ]
            rows.append((row["question_id"], sides[0].tolist(), sides[1].tolist()))
        seen.written.append(rows)
        return batch

    def stepping(self: Any, network: nn.Module, *rest: Any) -> Tensor:
        seen.weights.append({name: value.detach().clone() for name, value in network.state_dict().items()})
        loss: Tensor = step(self, network, *rest)
        seen.losses.append(loss.item())
        seen.gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
        return loss

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", generating)
    monkeypatch.setattr(PolicyTrainer, "training_step", stepping)
    trainer.train()
    monkeypatch.undo()
    return seen


def log_probabilities(model: Any, prompt: Sequence[int], completion: Sequence[int], temperature: float) -> Tensor:
    """Of the completion's tokens, from a forward pass over this sequence alone."""
    logits = model(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(-1, torch.tensor(completion)[:, None])[:, 0]


def advantages(written: list[tuple[str, list[int], list[int]]], group_size: int) -> list[float]:
    """(r - mean) / (standard deviation + 1e-4) within each group, the deviation with n - 1."""
    found = []
    for start in range(0, len(written), group_size):
        rewards = [
            trajectory_row(ROWS[question], "m", 0, 0, prompt, completion, None, TOKENIZER, PROGRAM)["reward"]
            for question, prompt, completion in written[start : start + group_size]
        ]
        mean = sum(rewards) / len(rewards)
        deviation = (sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1)) ** 0.5
        found += [(reward - mean) / (deviation + 1e-4) for reward in rewards]
    return found


def plain_loss(
    model: Any, old: Any, start: Any, settings: GRPO, written: list[tuple[str, list[int], list[int]]], rows: list[int]
) -> Tensor:
    """The mean over `rows` of the mean over tokens of -min(ratio A, clipped ratio A) + kl (exp(d) - d - 1)."""
    every = advantages(written, settings.group_size)
    losses = []
    for row in rows:
        _, prompt, completion = written[row]
        new = log_probabilities(model, prompt, completion, settings.temperature)
        with torch.no_grad():
            before = log_probabilities(old, prompt, completion, settings.temperature)
            d = log_probabilities(start, prompt, completion, settings.temperature)
        ratio, advantage = (new - before).exp(), every[row]
        clipped = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
        loss = -torch.minimum(ratio * advantage, clipped * advantage)
        losses.append((loss + settings.kl * ((d - new).exp() - (d - new) - 1)).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    "changes",
    [
        {"update_trajectories": 16, "temperature": 0.8},
        {"update_trajectories": 4},
        {"update_trajectories": 16, "iterations": 2, "learning_rate": 0.01, "clip_low": 0.05, "clip_high": 0.1},
        {"update_trajectories": 4, "iterations": 2, "learning_rate": 0.01, "kl": 0.3},
    ],
    ids=["16 of 16", "4 of 16", "16 of 16, clipped", "4 of 16, clipped, KL"],
)
def test_loss_and_gradient_are_the_formulas(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = grpo(**changes)
    seen = watched_run(tmp_path, settings, monkeypatch)
    model, old, start = (load_pretrained(tmp_path / "start")[0] for _ in range(3))
    records = tidy(seen.trainer.state.log_history)
    for step in range(settings.steps):
        batch = step // settings.iterations
        model.load_state_dict(seen.weights[step])
        old.load_state_dict(seen.weights[batch * settings.iterations])
        questions_of_rows = [question for question, _, _ in seen.written[batch]]
        rows = chosen_rows(
            questions_of_rows, 16, settings.update_trajectories, seed=7, step=batch * settings.iterations
        )
        loss = plain_loss(model, old, start, settings, seen.written[batch], rows)
        model.zero_grad()
        loss.backward()
        assert seen.losses[step] == pytest.approx(loss.item(), rel=1e-5, abs=1e-5)
        assert records[step]["loss"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-5)
        gradient = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        assert gradient.keys() == seen.gradients[step].keys()
        largest = max(value.abs().max().item() for value in gradient.values())
        assert largest > 1e-3  # there is something to compare
        for name, value in gradient.items():
            torch.testing.assert_close(seen.gradients[step][name], value, rtol=1e-4, atol=1e-5 * max(1, largest))
    clipped = [record["clip_fraction"] for record in records]
    assert clipped[0] == 0 and (settings.iterations == 1 or clipped[1] > 0)
    assert (settings.kl > 0) == ("kl" in records[0])


@pytest.mark.parametrize("iterations", [1, 2])
def test_what_the_engine_thinks_of_its_tokens_changes_nothing(
    iterations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = grpo(steps=2, iterations=iterations, learning_rate=0.01)
    plain = watched_run(tmp_path, settings, monkeypatch)
    write = Rollouts.__call__

    def with_other_probabilities(self: Any, messages: Any, trainer: Any) -> dict[str, Any]:
        output = write(self, messages, trainer)
        trainer.use_vllm = True  # from here on, as far as TRL knows
        trainer.vllm_generation, trainer._last_loaded_step = SimpleNamespace(sync_weights=lambda: None), -1
        return {**output, "logprobs": [[[-5.0]] * len(ids) for ids in output["completion_ids"]]}

    monkeypatch.setattr(Rollouts, "__call__", with_other_probabilities)
    other = watched_run(tmp_path, settings, monkeypatch)
    assert other.trainer.use_vllm
    assert other.losses == plain.losses
    for step, gradient in enumerate(plain.gradients):
        assert all(value.equal(other.gradients[step][name]) for name, value in gradient.items())


@pytest.mark.parametrize("n", [16, 4])
def test_neither_parts_nor_accumulation_nor_rows_left_out_change_loss_and_gradient(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = grpo(update_trajectories=n, steps=1)
    monkeypatch.setattr(raml.training.policy, "CPU_SEQUENCES", 1000)
    monkeypatch.setattr(raml.training.policy, "moving_rows", lambda batch, _: list(range(len(batch["advantages"]))))
    plain = watched_run(tmp_path, settings, monkeypatch)  # which undoes the patches
    parted = watched_run(tmp_path, settings, monkeypatch)
    monkeypatch.setattr(raml.training.split, "micro_batch", lambda *_, rows, **__: rows // 4)
    accumulated = watched_run(tmp_path, settings, monkeypatch)
    assert len(accumulated.losses) == 4
    for other in (parted, accumulated):
        assert sum(other.losses) == pytest.approx(sum(plain.losses), abs=1e-6)
        for name, value in plain.gradients[-1].items():
            torch.testing.assert_close(other.gradients[-1][name], value, rtol=1e-5, atol=1e-6)
