"""Supervised fine-tuning on oracle trajectories, through TRL's trainer (Table 1: off-policy, one step a trajectory).

Each question keeps up to `trajectories_per_question` distinct correct trajectories, which are repeated
up to `exposures_per_question`, so that every question is trained on equally often whatever their number
(Sec. 4.1 of the paper).
"""

import math
import random
import tempfile
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from raml.config import SFT
from raml.errors import DataError, RamlError
from raml.questions.family import stable_seed
from raml.schemas import Trajectory
from raml.step import Step, run
from raml.storage import model_hash, read_table
from raml.training.pretrain import IGNORED, save_model
from raml.trajectories.pretrained import load_pretrained

Row = dict[str, Any]


def main(step: Step[SFT]) -> None:
    """Fine-tune `base` on `trajectories` and save a Hugging Face folder."""
    settings = step.config
    torch.set_num_threads(settings.threads)
    model, tokenizer = load_pretrained(step.files["base"])
    trajectories = read_table(step.files["trajectories"], Trajectory)
    seed = stable_seed("sft", step.seed) % 2**32
    examples = training_examples(trajectories, settings, random.Random(seed))
    with tempfile.TemporaryDirectory() as scratch:
        make_trainer(model, tokenizer, examples, settings, seed, scratch).train()
    save_model(model, tokenizer, step.files["out"], step.provenance(model_hash=model_hash(step.files["base"])))


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: list[Row],
    settings: SFT,
    seed: int,
    scratch: str,
) -> SFTTrainer:
    """TRL's trainer over `examples`, whose labels it takes as they are."""
    return SFTTrainer(
        model=model,
        args=trainer_arguments(settings, seed, scratch),
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        callbacks=[StopOnDivergence()],
    )


def training_examples(trajectories: pl.DataFrame, settings: SFT, rng: random.Random) -> list[Row]:
    """`input_ids` and `labels` of every exposure, in random order.

    Raises:
        DataError: no correct trajectory is left to train on.
    """
    correct = trajectories.filter("correct").sort("question_id", "sample")
    if correct.is_empty():
        raise DataError(f"none of {len(trajectories)} trajectories is correct: nothing to train on")
    examples = []
    for group in correct.partition_by("question_id", maintain_order=True):
        kept = group.head(settings.trajectories_per_question).rows(named=True)
        encoded = [_example(row, mask_wrong_attempts=settings.mask_wrong_attempts) for row in kept]
        examples += repeated(encoded, settings.exposures_per_question, rng)
    rng.shuffle(examples)
    return examples


def repeated(items: list[Row], times: int, rng: random.Random) -> list[Row]:
    """`times` items, each of `items` equally often, the remainder drawn without replacement."""
    whole, rest = divmod(times, len(items))
    return [*items * whole, *rng.sample(items, rest)]


def _example(row: Row, *, mask_wrong_attempts: bool) -> Row:
    mask = row["loss_mask"] if mask_wrong_attempts else [True] * row["n_tokens"]
    learned = [token if learn else IGNORED for token, learn in zip(row["token_ids"], mask, strict=True)]
    return {
        "input_ids": [*row["prompt_ids"], *row["token_ids"]],
        "labels": [*[IGNORED] * len(row["prompt_ids"]), *learned],
    }


def trainer_arguments(settings: SFT, seed: int, scratch: str) -> SFTConfig:
    """TRL's arguments, with its defaults for large models (bf16, gradient checkpointing) switched off."""
    return SFTConfig(
        output_dir=scratch,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_ratio,
        num_train_epochs=1,
        weight_decay=0.0,
        max_grad_norm=1.0,
        loss_type="nll",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        save_strategy="no",
        logging_steps=5,
        logging_nan_inf_filter=False,
        report_to="none",
    )


class StopOnDivergence(TrainerCallback):
    """Stops training at the first loss that is not finite."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Check the logged loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise RamlError(f"SFT diverged at step {state.global_step}: loss {loss}; lower sft.learning_rate")


if __name__ == "__main__":
    run(main, SFT, inputs=["base", "trajectories"], outputs=["out"])
