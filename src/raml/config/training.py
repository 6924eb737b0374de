"""Sections on the outer loop: the base model and the training techniques."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from raml.config.data import BenchmarkKind, FamilyName
from raml.config.section import Section


class Annealing(Section):
    """The end of pretraining, in which a base model learns how often to think at length unasked."""

    long_share: float = Field(ge=0, le=1, description="share of documents in the long style")
    steps: int = Field(gt=0)


class Architecture(Section):
    """The decoder's sizes; a micro model is built from them, `raml plan` computes with them."""

    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=1)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    vocabulary: int = Field(gt=0, description="rows of the embedding")
    tied: bool = Field(description="the head is the embedding")
    context: int = Field(gt=0, description="longest sequence, in tokens")


class Pretraining(Section):
    """Mixture and optimiser of a base model that is pretrained from scratch.

    `families` are document weights; the long and the short share split each family's documents into styles,
    the rest has no thinking at all. The trunk sees no long style but in drills; `annealing` adds it.
    """

    families: dict[FamilyName, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    short_share: float = Field(ge=0, le=1)
    drill_steps: int = Field(
        ge=0, description="first stage: questions that ask for their steps, answered in the long style"
    )
    drill_share: float = Field(ge=0, le=1, description="share of drills kept afterwards")
    steps: int = Field(gt=0, description="second stage: whole documents")
    annealing: Annealing
    batch_tokens: int = Field(gt=0)
    muon_learning_rate: float = Field(gt=0)
    adamw_learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    threads: int = Field(gt=0, description="torch threads; part of the result's bytes")

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if self.annealing.long_share + self.short_share > 1:
            raise ValueError("annealing.long_share + short_share must be at most 1")
        return self


class Lora(Section):
    """Low-rank adapters on all linear layers instead of training every weight; merged before the model is saved."""

    rank: int = Field(gt=0)
    alpha: float = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)


class Hardware(Section):
    """What training runs on. Processes, precision and threads are part of a model's bytes."""

    processes: int = Field(gt=0, description="one a device; a global batch is shared among them")
    launcher: str | None = Field(
        pattern=r"^[a-z0-9_]+$", description="config/accelerate/<launcher>.yaml, or null for one plain process"
    )
    sharded: bool = Field(description="weights, gradients and optimiser state are split over the processes (FSDP)")
    memory_gb: float = Field(gt=0, description="of one device; decides how many sequences it works on at once")
    precision: Literal["fp32", "bf16"]
    gradient_checkpointing: bool
    rollouts: Literal["torch", "vllm"] = Field(description="engine that writes the completions of GRPO")
    threads: int = Field(gt=0, description="torch threads of each process")
    checkpoint_steps: int = Field(gt=0, description="optimiser steps between two checkpoints")

    @model_validator(mode="after")
    def _several_processes_need_a_launcher(self) -> Self:
        if self.processes > 1 and self.launcher is None:
            raise ValueError(f"processes = {self.processes} needs a launcher, a file in config/accelerate/")
        if self.sharded and self.launcher is None:
            raise ValueError("sharded needs a launcher, a file in config/accelerate/")
        return self


class Device(Section):
    """What a process has to itself, for prices and scheduling: no training is given it, so no model depends on it."""

    name: str = Field(min_length=1)
    kind: Literal["cpu", "gpu"]
    tflops: float = Field(gt=0, description="at `hardware.precision`, as its maker states or as measured")
    utilisation: float = Field(gt=0, le=1, description="share of it that training reaches")


class Training(Section):
    """What all techniques share."""

    start: str = Field(description="the model that it starts from")
    max_prompt_tokens: int = Field(gt=0)
    max_tokens: int = Field(gt=0, description="longest completion; longer trajectories are left out, rollouts cut")
    learning_rate: float = Field(gt=0)
    warmup_ratio: float = Field(ge=0, lt=1, description="share of the steps; then the rate falls linearly to 0")
    lora: Lora | None = None


class SFT(Training):
    """Supervised fine-tuning on correct trajectories, through TRL."""

    trajectories_per_question: int = Field(gt=0, description="different ones, at most")
    exposures_per_question: int | None = Field(
        gt=0,
        description="times each question is trained on, repeats included; null: once for each different correct one",
    )
    batch_size: int = Field(gt=0, description="trajectories a step, over all processes")
    mask_wrong_attempts: bool = Field(description="no loss on deliberately wrong tokens")


class DPO(Training):
    """Direct preference optimisation on pairs of a correct and a wrong trajectory (off-policy), through TRL."""

    pairs_per_question: int = Field(gt=0, description="at most")
    batch_size: int = Field(gt=0, description="pairs a step, over all processes")
    beta: float = Field(gt=0, description="strength of the tie to the starting model")


class GRPO(Training):
    """Group relative policy optimisation with the reward of Eq. 21, through TRL."""

    steps: int = Field(gt=0)
    evaluate_at: list[Annotated[int, Field(gt=0)]] = Field(description="steps before the last whose models are kept")
    batch_size: int = Field(gt=0, description="completions a step, over all processes and questions")
    group_size: int = Field(gt=1, description="completions of one question, from which advantages are computed")
    update_trajectories: int = Field(gt=0, description="random ones of each group that the gradient is taken from")
    iterations: int = Field(gt=0, description="optimiser steps on each batch; the first is on-policy")
    clip_low: float = Field(gt=0, lt=1)
    clip_high: float = Field(gt=0)
    kl: float = Field(ge=0, description="weight of the low-variance KL estimate to the start; 0: off")
    temperature: float = Field(gt=0)
    top_p: float = Field(gt=0, le=1)
    top_k: int = Field(ge=0, description="0 keeps all tokens")

    @model_validator(mode="after")
    def _groups_fill_the_batch(self) -> Self:
        if self.batch_size % self.group_size:
            raise ValueError(
                f"batch_size = {self.batch_size} completions must be a multiple of group_size = {self.group_size}"
            )
        if self.update_trajectories > self.group_size:
            raise ValueError(
                f"update_trajectories = {self.update_trajectories} must be at most group_size = {self.group_size}"
            )
        if self.evaluate_at != sorted({step for step in self.evaluate_at if step < self.steps}):
            raise ValueError(f"evaluate_at = {self.evaluate_at} must be ascending and below steps = {self.steps}")
        if self.steps % self.iterations or any(step % self.iterations for step in self.evaluate_at):
            raise ValueError(f"steps and evaluate_at must be multiples of iterations = {self.iterations}")
        return self


class Sweeps(Section):
    """What is varied, one thing at a time, and how the models of it are evaluated."""

    trajectories_per_question: list[Annotated[int, Field(gt=0)]] = Field(description="in SFT (fig8)")
    update_trajectories: list[Annotated[int, Field(gt=0)]] = Field(description="of a group in GRPO (fig9)")
    long_shares: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        description="of further base models, on which SFT and GRPO are repeated (tab3)"
    )
    n: int = Field(gt=0, description="samples a question")
    kinds: list[BenchmarkKind] = Field(min_length=1, description="benchmarks they are evaluated on")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name in ("trajectories_per_question", "update_trajectories", "long_shares"):
            values = getattr(self, name)
            if values != sorted(set(values)):
                raise ValueError(f"{name} = {values} must be ascending, without repeats")
        return self
