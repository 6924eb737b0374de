"""GRPO through TRL (Table 1: on-policy): from a base model (zero-GRPO) or from a cold start.

Each step the model writes `group_size` completions of some questions; Eq. 21 rewards them, rewards are normalised
within the group, and the PPO objective is followed with separate clips below and above. The gradient may come from
fewer rows than the advantages (`raml.training.subset`, Figure 9).
"""

import math
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig

from raml.config import GRPO, Hardware
from raml.errors import DataError, InputError
from raml.questions.family import stable_seed
from raml.schemas import Question
from raml.step import Step, run
from raml.storage import read_table
from raml.training.arguments import common_arguments, keep_sums_precise, rows_per_process
from raml.training.loop import Assignment, Job, fit, train_all
from raml.training.policy import PolicyTrainer
from raml.training.rewards import Reward
from raml.training.rollouts import Prompt, Rollouts
from raml.training.split import split_batch
from raml.training.start import adapter, check_context, load_start, save_trained, shape_of
from raml.training.trl_grpo import show_vllm
from raml.training.watch import tidy
from raml.trajectories.chat import question_ids
from raml.trajectories.vllm_engine import import_vllm

VLLM_MEMORY = 0.5  # of a device, while it writes completions; asleep it holds none


def main(step: Step[Job[GRPO]]) -> None:
    """Train each start on `questions` and save Hugging Face folders, snapshots among them."""
    path = step.files["questions"]
    questions = read_table(path, Question).rows(named=True)
    train_all(step, [path], lambda assignment: train(assignment, questions, str(path)))


def train(assignment: Assignment[GRPO], questions: Sequence[Mapping[str, Any]], where: str) -> None:
    """Train one model and save it in its work folder, beside its snapshots.

    Raises:
        ConfigError: the batch cannot be shared among the processes, or a completion does not fit the model.
        DataError: the questions cannot be trained on, or the start's tokenizer does not know their words.
        RamlError: a reward fails, or training diverges.
    """
    settings, work = assignment.settings, assignment.work
    model, tokenizer = load_start(assignment.start, settings, assignment.hardware)
    prompts = prompts_of(questions, tokenizer, settings, where)
    seed = stable_seed("grpo", assignment.seed)
    trainer = make_trainer(model, tokenizer, questions, prompts, settings, assignment.hardware, seed, work.folder)
    trainer.add_callback(Snapshots(trainer, tokenizer, assignment))
    description = f"GRPO {assignment.name}"
    records = fit(trainer, work, description=description, advice="grpo.learning_rate", loss_falls=False)
    save_trained(trainer, tokenizer, work.model(), assignment.provenance, records)


def prompts_of(
    questions: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, settings: GRPO, where: str
) -> list[Prompt]:
    """The prompts of `questions` (rows of `schemas.Question`) by the tokenizer's chat template; long ones are left out.

    Raises:
        DataError: the tokenizer has no chat template or lacks a word; or too few questions are short enough to fill a
            batch with different ones.
    """
    prompts = []
    for question in questions:
        try:
            ids = question_ids(tokenizer, question["prompt"])
        except InputError as error:
            raise DataError(
                f"{where}: question {question['id']} cannot be put to the start's tokenizer: {error}"
            ) from None
        prompts.append(Prompt(question["id"], [{"role": "user", "content": question["prompt"]}], tuple(ids)))
    kept = [prompt for prompt in prompts if len(prompt.token_ids) <= settings.max_prompt_tokens]
    needed = settings.batch_size // settings.group_size
    if len(kept) < needed:
        raise DataError(
            f"{where}: of {len(prompts)} questions {len(kept)} are at most grpo.max_prompt_tokens = "
            f"{settings.max_prompt_tokens} tokens long, but a batch asks {needed} different ones "
            f"(grpo.batch_size / grpo.group_size)"
        )
    return kept


def question_order(prompts: Sequence[Prompt], *, groups: int, batches: int, seed: int) -> list[Prompt]:
    """Prompts for `batches` batches of `groups` different questions each: as many shuffled epochs as that takes.

    What is left of an epoch when the next batch cannot be filled is dropped: no batch may ask a question twice, since
    both groups would be the same.
    """
    rng = random.Random(stable_seed("order", seed))
    ordered: list[Prompt] = []
    while len(ordered) < groups * batches:
        epoch = list(prompts)
        rng.shuffle(epoch)
        ordered += epoch[: len(epoch) // groups * groups]
    return ordered[: groups * batches]


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Mapping[str, Any]],
    prompts: Sequence[Prompt],
    settings: GRPO,
    hardware: Hardware,
    seed: int,
    folder: Path,
) -> PolicyTrainer:
    """The trainer over `prompts` in the order that `seed` gives, the same for every start and `update_trajectories`.

    Raises:
        ConfigError: the batch cannot be shared among the processes, not one row fits a device, a completion does
            not fit the model's context, or vLLM is not installed.
    """
    if hardware.rollouts == "vllm":
        import_vllm("hardware.rollouts")
        show_vllm(seed)
    longest = max(len(prompt.token_ids) for prompt in prompts)
    check_context(
        model,
        longest + settings.max_tokens,
        f"a prompt of {longest} tokens + grpo.max_tokens = {settings.max_tokens} exceed",
        mend="lower grpo.max_tokens or grpo.max_prompt_tokens",
    )
    groups = settings.batch_size // settings.group_size
    ordered = question_order(prompts, groups=groups, batches=settings.steps // settings.iterations, seed=seed)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # that rollout_func may change: TRL is pinned
    return PolicyTrainer(
        settings,
        seed,
        model=model,
        args=trainer_arguments(model, settings, hardware, seed, folder),
        train_dataset=Dataset.from_list([{"prompt": p.messages, "question_id": p.question_id} for p in ordered]),
        processing_class=tokenizer,
        reward_funcs=Reward({question["id"]: question for question in questions}, tokenizer, settings.group_size),
        rollout_func=Rollouts(prompts, tokenizer, settings, seed) if hardware.rollouts == "torch" else None,
        peft_config=adapter(settings),
    )


def trainer_arguments(
    model: PreTrainedModel, settings: GRPO, hardware: Hardware, seed: int, folder: Path
) -> GRPOConfig:
    """TRL's arguments; what its defaults would decide is set.

    Completions are written once an optimiser step (once every `iterations` of them), so checkpoints lie where a new
    batch begins.

    Whatever engine writes, probabilities before the update come from the trainer's own forward pass, as in veRL, with
    which the paper trained: the first iteration's ratio is 1. What vLLM's arithmetic makes of the same weights is
    another distribution, by a little, and nothing corrects for that; TRL would by default, and would drop completions
    for which the two differ threefold.
    """
    rows = rows_per_process(settings.batch_size, hardware)
    accumulation = split_batch(shape_of(model.config), settings, hardware).passes
    common = common_arguments(
        settings, hardware,
        seed=seed % 2**32, folder=folder, micro_batch=rows // accumulation, accumulation=accumulation,
    )  # fmt: skip
    between = math.ceil(hardware.checkpoint_steps / settings.iterations) * settings.iterations
    arguments = GRPOConfig(
        **{**common, "save_steps": between},
        max_steps=settings.steps,
        steps_per_generation=accumulation,
        num_iterations=settings.iterations,
        num_generations=settings.group_size,
        max_completion_length=settings.max_tokens,
        shuffle_dataset=False,
        loss_type="grpo",
        scale_rewards="group",
        importance_sampling_level="token",
        beta=settings.kl,
        # TRL loads the reference model itself, in the precision of the model's weights (fp32) unless told
        model_init_kwargs={"dtype": "bfloat16"} if settings.kl > 0 and hardware.precision == "bf16" else None,
        use_bias_correction_kl=False,  # TRL's default weighs the estimate by the ratio
        epsilon=settings.clip_low,
        epsilon_high=settings.clip_high,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        mask_truncated_completions=False,
        use_vllm=hardware.rollouts == "vllm",
        vllm_mode="colocate",
        vllm_enable_sleep_mode=torch.cuda.is_available(),  # vLLM can do that on GPUs alone
        vllm_gpu_memory_utilization=VLLM_MEMORY,
        vllm_max_model_length=settings.max_prompt_tokens + settings.max_tokens,
        vllm_importance_sampling_correction=False,
    )
    keep_sums_precise(arguments, hardware)
    return arguments


class Snapshots(TrainerCallback):
    """Saves the model at the steps of `evaluate_at` in the work folder, where a resumed job finds it."""

    def __init__(
        self, trainer: PolicyTrainer, tokenizer: PreTrainedTokenizerBase, assignment: Assignment[GRPO]
    ) -> None:
        """Save the models of `trainer`."""
        self.trainer, self.tokenizer, self.assignment = trainer, tokenizer, assignment

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Each step is logged once, after its update and before its checkpoint."""
        step = state.global_step
        if step in self.assignment.settings.evaluate_at:
            out = self.assignment.work.model(f"_step{step}")
            save_trained(self.trainer, self.tokenizer, out, self.assignment.provenance, tidy(state.log_history))


if __name__ == "__main__":
    run(main, Job[GRPO], inputs=["questions"], many=["starts"], outputs=["work"], many_outputs=["outs"])
