"""Supervised fine-tuning on correct trajectories, through TRL's trainer (Table 1: off-policy, one step a trajectory).

Each question keeps up to `trajectories_per_question` different finished and correct trajectories, which the seed
chooses and which are repeated up to `exposures_per_question`, so that every question is trained on equally often
whatever their number (Sec. 4.1 of the paper).
"""

import random
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from raml.config import SFT, Hardware
from raml.questions.family import stable_seed
from raml.schemas import Trajectory
from raml.step import Step, run
from raml.storage import read_table
from raml.training.arguments import common_arguments, keep_sums_precise, rows_at_once, rows_per_process
from raml.training.examples import in_batches, usable
from raml.training.loop import Assignment, Job, fit, train_all
from raml.training.pretrain import IGNORED
from raml.training.start import adapter, check_context, check_tokenizer, load_start, save_trained

Row = dict[str, Any]


def main(step: Step[Job[SFT]]) -> None:
    """Fine-tune each start on `trajectories` and save Hugging Face folders."""
    path = step.files["trajectories"]
    trajectories = read_table(path, Trajectory)
    train_all(step, [path], lambda assignment: train(assignment, trajectories, str(path)))


def train(assignment: Assignment[SFT], trajectories: pl.DataFrame, where: str) -> None:
    """Train one model and save it in its work folder.

    Raises:
        ConfigError: a trajectory does not fit the model's context.
        DataError: nothing to train on, or the start's tokenizer is not that of the trajectories.
        RamlError: training diverges.
    """
    settings, work = assignment.settings, assignment.work
    model, tokenizer = load_start(assignment.start, settings, assignment.hardware)
    check_tokenizer(tokenizer, trajectories, where)
    seed = stable_seed("sft", assignment.seed) % 2**32
    examples = training_examples(trajectories, settings, random.Random(seed), where)
    longest = max(len(example["input_ids"]) for example in examples)
    check_context(
        model,
        longest,
        f"a prompt with its trajectory of {longest} tokens together exceeds",
        mend="lower sft.max_tokens or sft.max_prompt_tokens",
    )
    trainer = make_trainer(model, tokenizer, examples, settings, assignment.hardware, seed, work.folder)
    records = fit(trainer, work, description=f"SFT {assignment.name}", advice="sft.learning_rate")
    save_trained(trainer, tokenizer, work.model(), assignment.provenance, records)


def training_examples(
    trajectories: pl.DataFrame, settings: SFT, rng: random.Random, where: str = "trajectories"
) -> list[Row]:
    """`input_ids` and `labels` of every exposure, in the order in which they are trained on.

    Raises:
        DataError: no correct trajectory of the allowed length is left, or not enough for a batch.
    """
    groups = usable(trajectories, settings, correct=True, where=where).partition_by("question_id", maintain_order=True)
    # Drawn for all questions before anything else, so that more trajectories are the same ones and further ones.
    orders = [rng.sample(range(len(group)), len(group)) for group in groups]
    examples: list[Row] = []
    for group, order in zip(groups, orders, strict=True):
        kept = group[order[: settings.trajectories_per_question]].rows(named=True)
        encoded = [_example(row, mask_wrong_attempts=settings.mask_wrong_attempts) for row in kept]
        exposures = len(group) if settings.exposures_per_question is None else settings.exposures_per_question
        examples += repeated(encoded, exposures, rng)
    rng.shuffle(examples)
    return in_batches(examples, settings.batch_size, lambda example: len(example["input_ids"]), where)


def repeated(items: list[Row], times: int, rng: random.Random) -> list[Row]:
    """`times` items, each of `items` equally often, the remainder drawn without replacement."""
    whole, rest = divmod(times, len(items))
    return [*items * whole, *rng.sample(items, rest)]


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: list[Row],
    settings: SFT,
    hardware: Hardware,
    seed: int,
    folder: Path,
) -> SFTTrainer:
    """TRL's trainer over `examples`, whose labels and order it takes as they are.

    Raises:
        ConfigError: the batch cannot be shared among the processes, or not one row fits a device.
    """
    rows = rows_per_process(settings.batch_size, hardware)
    micro = rows_at_once(model.config, settings, hardware, rows=rows)
    arguments = SFTConfig(
        **common_arguments(settings, hardware, seed=seed, folder=folder, micro_batch=micro, accumulation=rows // micro),
        num_train_epochs=1,
        loss_type="nll",
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    keep_sums_precise(arguments, hardware)
    return SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=adapter(settings),
    )


def _example(row: Row, *, mask_wrong_attempts: bool) -> Row:
    mask = row["loss_mask"] if mask_wrong_attempts else [True] * row["n_tokens"]
    learned = [token if learn else IGNORED for token, learn in zip(row["token_ids"], mask, strict=True)]
    return {
        "input_ids": [*row["prompt_ids"], *row["token_ids"]],
        "labels": [*[IGNORED] * len(row["prompt_ids"]), *learned],
    }


if __name__ == "__main__":
    run(main, Job[SFT], inputs=["trajectories"], many=["starts"], outputs=["work"], many_outputs=["outs"])
