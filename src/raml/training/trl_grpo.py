"""TRL's GRPO trainer, imported without vLLM.

Where vLLM is installed TRL imports it for a way of sampling that only `hardware.rollouts: vllm` uses: six seconds of
each job.
"""

import importlib
import sys
from functools import partial
from typing import Any

import torch

hidden = "vllm" not in sys.modules
if hidden:
    sys.modules["vllm"] = None  # type: ignore[assignment]  # Python's way to say that there is none

from trl.generation import vllm_generation  # noqa: E402
from trl.trainer.grpo_trainer import GRPOTrainer  # noqa: E402

if hidden:
    del sys.modules["vllm"]

__all__ = ["GRPOTrainer", "show_vllm"]


def show_vllm() -> None:
    """Let TRL's trainer find vLLM after all: what it imports of it are globals of a module, which is loaded again.

    On a CPU vLLM is asked for what it can do there, of which TRL has no setting.
    """
    module: Any = importlib.reload(vllm_generation)
    if not torch.cuda.is_available():
        module.LLM = partial(module.LLM, enforce_eager=True)
