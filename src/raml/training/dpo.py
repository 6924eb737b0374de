"""Direct preference optimisation on pairs of trajectories, through TRL's trainer (Table 1: off-policy).

The loss of a pair is -log sigmoid(beta (log-ratio of the chosen - log-ratio of the rejected one)), where a log-ratio
compares the trained model with the one that training starts from. What is chosen is finished; what is rejected may be
cut off at the writer's last token, for never coming to an answer is one way of being wrong.
"""

import random
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from raml.config import DPO, Hardware
from raml.questions.family import stable_seed
from raml.schemas import Trajectory
from raml.step import Step, run
from raml.storage import read_table
from raml.training.arguments import common_arguments, keep_sums_precise, rows_at_once, rows_per_process
from raml.training.examples import in_batches, usable
from raml.training.loop import Assignment, Job, fit, train_all
from raml.training.pairs import Pair, preference_pairs
from raml.training.start import adapter, check_context, check_tokenizer, load_reference, load_start, save_trained

Source = tuple[str, pl.DataFrame]  # a table of trajectories and its name


def main(step: Step[Job[DPO]]) -> None:
    """Train each start on pairs of right `trajectories` and `rejected` ones and save Hugging Face folders."""
    paths = [step.files["trajectories"], step.files["rejected"]]
    chosen, rejected = ((str(path), read_table(path, Trajectory)) for path in paths)
    train_all(step, paths, lambda assignment: train(assignment, chosen, rejected))


def train(assignment: Assignment[DPO], chosen: Source, rejected: Source) -> None:
    """Train one model and save it in its work folder.

    Raises:
        ConfigError: a trajectory does not fit the model's context.
        DataError: there are no pairs, or the start's tokenizer is not that of the trajectories.
        RamlError: training diverges.
    """
    settings, work = assignment.settings, assignment.work
    model, tokenizer = load_start(assignment.start, settings, assignment.hardware)
    for where, table in (chosen, rejected):
        check_tokenizer(tokenizer, table, where)
    seed = stable_seed("dpo", assignment.seed) % 2**32
    pairs = training_pairs(chosen, rejected, settings, random.Random(seed))
    longest = max(map(_length, pairs))
    check_context(
        model,
        longest,
        f"a prompt with its trajectory of {longest} tokens together exceeds",
        mend="lower dpo.max_tokens or dpo.max_prompt_tokens",
    )
    trainer = make_trainer(
        model,
        tokenizer,
        pairs,
        settings,
        assignment.hardware,
        seed,
        work.folder,
        reference=load_reference(assignment.start, settings, assignment.hardware),
    )
    records = fit(trainer, work, description=f"DPO {assignment.name}", advice="dpo.learning_rate")
    save_trained(trainer, tokenizer, work.model(), assignment.provenance, records)


def training_pairs(chosen: Source, rejected: Source, settings: DPO, rng: random.Random) -> list[Pair]:
    """Pairs of a correct one of `chosen` and a wrong one of `rejected`, in the order of training.

    Raises:
        DataError: there are none, or not enough for a batch.
    """
    where = f"{chosen[0]} and {rejected[0]}"
    pairs = preference_pairs(
        usable(chosen[1], settings, correct=True, where=chosen[0]),
        usable(rejected[1], settings, correct=False, where=rejected[0]),
        settings.pairs_per_question,
        where,
    )
    rng.shuffle(pairs)
    return in_batches(pairs, settings.batch_size, _length, where)


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: list[Pair],
    settings: DPO,
    hardware: Hardware,
    seed: int,
    folder: Path,
    *,
    reference: PreTrainedModel | None,
) -> DPOTrainer:
    """TRL's trainer over `pairs`, whose token ids and order it takes as they are.

    Args:
        reference: a frozen copy of the model; None under LoRA, where it is the model without its adapter.

    Raises:
        ConfigError: the batch cannot be shared among the processes, or not one pair fits a device.
    """
    rows = rows_per_process(settings.batch_size, hardware)
    copies = 1 if reference is None else 2
    micro = rows_at_once(model.config, settings, hardware, rows=rows, sequences=2, copies=copies)
    arguments = DPOConfig(
        **common_arguments(settings, hardware, seed=seed, folder=folder, micro_batch=micro, accumulation=rows // micro),
        num_train_epochs=1,
        loss_type=["sigmoid"],
        beta=settings.beta,
        max_length=None,
        disable_dropout=settings.lora is None,
        precompute_ref_log_probs=False,  # one pass: each reference is needed once, and never again after a resume
    )
    keep_sums_precise(arguments, hardware)
    return PairTrainer(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
        peft_config=adapter(settings),
    )


class PairTrainer(DPOTrainer):
    """TRL's trainer, but for token ids instead of text."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def _length(pair: Pair) -> int:
    return max(len(pair["chosen_ids"]), len(pair["rejected_ids"])) + len(pair["prompt_ids"])


if __name__ == "__main__":
    run(
        main,
        Job[DPO],
        inputs=["trajectories", "rejected"],
        many=["starts"],
        outputs=["work"],
        many_outputs=["outs"],
    )
