"""Arguments that TRL's trainers share: its defaults are for large models on GPUs, so nothing is left to them."""

import math
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import PreTrainedConfig, TrainingArguments

from raml.config import Hardware, Training
from raml.errors import ConfigError
from raml.training.memory import micro_batch
from raml.training.start import shape_of
from raml.training.watch import CLIP, WINDOW
from raml.training.work import processes

# Sorted by length, 16 sequences at a time take 20% less CPU time than one padded batch of 64; fewer gain nothing more.
CPU_SEQUENCES = 16

# TRL tells its makers about every trainer that is built, unless this is set before.
constants.HF_HUB_DISABLE_TELEMETRY = True


def rows_per_process(batch_size: int, hardware: Hardware) -> int:
    """Rows of each process in an optimiser step over `batch_size` rows.

    Raises:
        ConfigError: they cannot be shared evenly; or this job does not run in `hardware.processes` processes.
    """
    running = processes().num_processes
    if running != hardware.processes:
        raise ConfigError(
            f"hardware.processes = {hardware.processes}, but this job runs in {running}; "
            f"start it by `accelerate launch --num_processes {hardware.processes}`"
        )
    if batch_size % hardware.processes:
        raise ConfigError(f"batch_size = {batch_size} must be a multiple of hardware.processes = {hardware.processes}")
    return batch_size // hardware.processes


def rows_at_once(
    config: PreTrainedConfig,
    settings: Training,
    hardware: Hardware,
    *,
    rows: int,
    sequences: int = 1,
    copies: int = 1,
) -> int:
    """Rows of one forward pass: a divisor of `rows`, as many as fit a device; on CPU at most `CPU_SEQUENCES` long.

    Args:
        config: of the model.
        settings: of the technique.
        hardware: what training runs on.
        rows: of one process in an optimiser step.
        sequences: in a row; a pair has two.
        copies: of the model, the one that is trained and a reference.

    Raises:
        ConfigError: not one row fits a device.
    """
    tokens = sequences * (settings.max_prompt_tokens + settings.max_tokens)
    most = micro_batch(shape_of(config), hardware, rows=rows, tokens=tokens, lora=settings.lora, copies=copies)
    if not torch.cuda.is_available():
        most = min(most, CPU_SEQUENCES // sequences)
    return max(size for size in range(1, most + 1) if rows % size == 0)


def keep_sums_precise(arguments: TrainingArguments, hardware: Hardware) -> None:
    """Let FSDP compute in bf16, but add gradients up in fp32 and leave what the model returns as it is.

    Left to itself accelerate rounds both to bf16, among them the log-probabilities that DPO and GRPO compare.
    """
    if hardware.sharded and hardware.precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        arguments.fsdp_plugin_args = {"fsdp_version": 2, "mixed_precision_policy": policy}


def common_arguments(
    settings: Training, hardware: Hardware, *, seed: int, folder: Path, micro_batch: int, accumulation: int
) -> dict[str, Any]:
    """Keyword arguments of TRL's configurations; each technique adds its own.

    Args:
        settings: of the technique.
        hardware: what training runs on.
        seed: of dropout and of adapters; data are shuffled beforehand and taken in order.
        folder: for checkpoints; `fit` resumes from the last complete one.
        micro_batch: rows of one forward pass on one device.
        accumulation: forward passes an optimiser step.
    """
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": settings.warmup_ratio,  # below 1: a share of the steps
        "weight_decay": 0.0,
        "max_grad_norm": CLIP,
        "optim": "adamw_torch_fused",
        "bf16": hardware.precision == "bf16",
        "gradient_checkpointing": hardware.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if hardware.gradient_checkpointing else None,
        "use_cpu": not gpu,
        "seed": seed,
        "data_seed": seed,
        # Resuming skips as many rows as were read: exact only if their order does not depend on a sampler.
        "train_sampling_strategy": "sequential",
        "dataloader_pin_memory": gpu,
        "average_tokens_across_devices": True,
        "ddp_find_unused_parameters": False,
        "save_strategy": "steps",
        "save_steps": hardware.checkpoint_steps,
        # The newest, and of those before it the last that a divergence cannot have touched when it shows.
        "save_total_limit": 1 + math.ceil((WINDOW + 1) / hardware.checkpoint_steps),
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "push_to_hub": False,
    }
