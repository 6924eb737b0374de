"""TRL's GRPO trainer, imported without vLLM.

Where vLLM is installed TRL imports it for a way of sampling that nothing here uses: six seconds of each job.
"""

import sys

hidden = "vllm" not in sys.modules
if hidden:
    sys.modules["vllm"] = None  # type: ignore[assignment]  # Python's way to say that there is none

from trl.trainer.grpo_trainer import GRPOTrainer  # noqa: E402

if hidden:
    del sys.modules["vllm"]

__all__ = ["GRPOTrainer"]
