"""TRL's GRPO trainer, imported without vLLM.

Where vLLM is installed TRL imports it for a way of sampling that only `hardware.rollouts: vllm` uses: six seconds of
each job.
"""

import importlib
import sys
from typing import Any

import torch

hidden = "vllm" not in sys.modules
if hidden:
    sys.modules["vllm"] = None  # type: ignore[assignment]  # Python's way to say that there is none

from trl.generation import vllm_generation  # noqa: E402
from trl.trainer.grpo_trainer import GRPOTrainer  # noqa: E402

if hidden:
    del sys.modules["vllm"]

from raml.questions.family import stable_seed  # noqa: E402

__all__ = ["GRPOTrainer", "show_vllm"]


def show_vllm(seed: int) -> None:
    """Let TRL's trainer find vLLM after all: what it imports of it are globals of a module, which is loaded again.

    Args:
        seed: of the training. Left to itself TRL seeds vLLM by the number of the process alone, so that all trainings
            would draw alike. On a CPU vLLM is asked for what it can do there too, of which TRL has no setting.
    """
    module: Any = importlib.reload(vllm_generation)
    engine = module.LLM

    def own(*arguments: Any, **options: Any) -> Any:
        options["seed"] = stable_seed("rollouts", seed, options["seed"]) % 2**32
        if not torch.cuda.is_available():
            options["enforce_eager"] = True
        return engine(*arguments, **options)

    module.LLM = own
