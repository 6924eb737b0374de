"""TRL's GRPO trainer with the gradient from some rows of each group, and with no work for rows that cannot move it.

It overrides private methods of TRL 1.16; the tests hold loss and gradient against an implementation of their own.
"""

from typing import Any

import torch
from torch import Tensor, nn

from raml.config import GRPO
from raml.training.arguments import CPU_SEQUENCES
from raml.training.subset import Batch, chosen_rows, moving_rows, parts, take_rows, trim
from raml.training.trl_grpo import GRPOTrainer

# TRL's names of what it measures on the completions of a batch, and ours.
OF_THE_BATCH = {
    "reward": "reward",
    "reward_std": "reward_std",
    "accuracy": "accuracy",
    "group_accuracy": "group_accuracy",
    "formatted": "formatted",
    "frac_reward_zero_std": "equal_reward_groups",
    "completions/mean_length": "length",
    "completions/clipped_ratio": "truncated",
}
# The same of what it measures on the tokens of an update.
OF_THE_UPDATE = {"clip_ratio/region_mean": "clip_fraction", "entropy": "entropy", "kl": "kl"}


class PolicyTrainer(GRPOTrainer):
    """GRPO on n of each group's completions; logs one flat record an optimiser step.

    Rows whose advantage is exactly 0 are left out of the forward pass, for they add 0 to loss and gradient; the mean
    is still over all rows. With a KL term they stay, since that pulls on every row.

    What is logged: `loss`, `grad_norm`, `learning_rate`; over all completions of the batch `reward` (mean),
    `reward_std`, `accuracy`, `formatted`, `length` (mean, tokens), `truncated` (share without end of text); over its
    groups `group_accuracy` (share with a correct completion) and `equal_reward_groups` (share without any advantage);
    over the tokens of the rows that went through the model `clip_fraction`, `entropy` (nats) and `kl`, if it is on.
    """

    def __init__(self, settings: GRPO, seed: int, **arguments: Any) -> None:
        """Take TRL's `arguments`; `seed` decides which rows of a group are kept."""
        super().__init__(**arguments)
        self.settings, self.seed = settings, seed
        self._update_tokens: list[float] = []
        self._of_the_batch: dict[str, float] = {}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        """The rows kept of this process's groups, advantages from whole groups."""
        step, settings = self.state.global_step, self.settings
        batch: Batch = super()._generate_and_score_completions(inputs)
        if settings.update_trajectories == settings.group_size:
            return batch
        question_ids = [row["question_id"] for row in inputs]
        rows = chosen_rows(question_ids, settings.group_size, settings.update_trajectories, seed=self.seed, step=step)
        batch = trim(take_rows(batch, rows))
        batch["num_items_in_batch"] = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        return batch

    def _get_per_token_logps_and_entropies(
        self, model: nn.Module, *inputs: Any, batch_size: int | None = None, **more: Any
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """As TRL's; the pass over all rows before the update takes as many at once as those over the rows kept do.

        TRL takes as many as its `per_device_train_batch_size` says, which counts the rows that are left out as well.
        """
        if batch_size is not None:
            batch_size = max(1, batch_size * self.settings.update_trajectories // self.settings.group_size)
        found: tuple[Tensor, Tensor | None, Tensor | None] = super()._get_per_token_logps_and_entropies(
            model, *inputs, batch_size=batch_size, **more
        )
        return found

    def _compute_loss(self, model: nn.Module, inputs: Batch) -> Tensor:
        """The mean over all rows; on a CPU from several forward passes, each over rows of like length.

        Several processes take one pass each, over as many rows, since they meet in it. Of several passes all but the
        last are followed by their backward passes here, so that the next one finds their memory free.
        """
        total = len(inputs["advantages"])
        rows = moving_rows(inputs, self._most(inputs)) if self.beta == 0 else list(range(total))
        alone_on_cpu = self.accelerator.num_processes == 1 and self.accelerator.device.type == "cpu"
        *others, last = parts(inputs, rows, CPU_SEQUENCES if alone_on_cpu else total)
        before = torch.zeros((), device=self.accelerator.device)
        for part in others:
            loss = self._part_loss(model, inputs, part)
            self.accelerator.backward(loss)
            before += loss.detach()
        return self._part_loss(model, inputs, last) + before

    def _part_loss(self, model: nn.Module, inputs: Batch, rows: list[int]) -> Tensor:
        """What `rows` add to the mean over all rows."""
        part = trim(take_rows(inputs, rows))
        loss: Tensor = super()._compute_loss(model, part)  # type: ignore[no-untyped-call]
        self._update_tokens.append(float(self.accelerator.reduce(part["completion_mask"].sum().float()).item()))
        return loss * (len(rows) / len(inputs["advantages"]))

    def _most(self, inputs: Batch) -> int:
        """Of the rows with an advantage, the number on the process that has most."""
        return int(self.accelerator.gather(inputs["advantages"].count_nonzero()).max())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the record of a step; what the batch was like is repeated at each iteration on it."""
        metrics = self._metrics["train"]
        if "loss" in logs:
            self._of_the_batch |= {ours: _mean(metrics[name]) for name, ours in OF_THE_BATCH.items() if metrics[name]}
            update = {
                ours: sum(value * count for value, count in zip(metrics[name], self._update_tokens, strict=True))
                / sum(self._update_tokens)
                for name, ours in OF_THE_UPDATE.items()
                if metrics[name]
            }
            logs = {**logs, **self._of_the_batch, **update}
        metrics.clear()
        self._update_tokens.clear()
        super(GRPOTrainer, self).log(logs, start_time)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: TRL would write one into every checkpoint."""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
