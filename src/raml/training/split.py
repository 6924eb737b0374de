"""How each process takes its share of a batch: as few equal parts as fit its device.

GRPO's trainer and `raml plan` both ask here, so that a plan that is made is one that trains. Nothing here imports
torch.
"""

import math
from dataclasses import dataclass

from raml.config import DPO, GRPO, SFT, Architecture, Hardware
from raml.errors import ConfigError
from raml.training.memory import Memory, memory, micro_batch


@dataclass(frozen=True)
class Split:
    """One process's part in an optimiser step: `passes` times `at_once` rows that the gradient comes from."""

    passes: int
    at_once: int
    peak: Memory  # of one pass


def split_batch(shape: Architecture, settings: SFT | DPO | GRPO, hardware: Hardware) -> Split:
    """The split of a batch of sequences, pairs (DPO) or completions (GRPO) among and within processes.

    GRPO's gradient comes from `update_trajectories` of each group; the rows written and those kept split into as many
    equal parts.

    Raises:
        ConfigError: the batch does not divide by the processes, for GRPO into whole groups; not one sequence fits a
            device, or no even split makes the parts small enough.
    """
    size, processes = settings.batch_size, hardware.processes
    if size % processes:
        raise ConfigError(f"batch_size = {size} must be a multiple of hardware.processes = {processes}")
    rows = kept = size // processes
    if isinstance(settings, GRPO):
        if rows % settings.group_size:
            raise ConfigError(
                f"grpo.batch_size = {size} gives each of {processes} processes {rows} completions; they must be whole "
                f"groups of grpo.group_size = {settings.group_size}"
            )
        kept = rows // settings.group_size * settings.update_trajectories
    tokens = (2 if isinstance(settings, DPO) else 1) * (settings.max_prompt_tokens + settings.max_tokens)
    copies = models_held(settings)
    fitting = micro_batch(shape, hardware, rows=kept, tokens=tokens, lora=settings.lora, copies=copies)
    passes = _parts(rows, kept, fitting)
    peak = memory(shape, hardware, rows=kept // passes, tokens=tokens, lora=settings.lora, copies=copies)
    return Split(passes, kept // passes, peak)


def models_held(settings: SFT | DPO | GRPO) -> int:
    """The trained model and, unless that is the model without its adapter, the reference of DPO or of the KL term."""
    compares = isinstance(settings, DPO) or (isinstance(settings, GRPO) and settings.kl > 0)
    return 2 if compares and settings.lora is None else 1


def _parts(rows: int, kept: int, fitting: int) -> int:
    """The least number that divides both and makes parts of at most `fitting` kept rows."""
    common = math.gcd(rows, kept)
    for number in range(1, common + 1):
        if common % number == 0 and kept // number <= fitting:
            return number
    raise ConfigError(
        f"{fitting} completions fit a device, but {rows} written and {kept} kept ones only split evenly into parts of "
        f"{kept // common} kept ones; let update_trajectories divide group_size"
    )
