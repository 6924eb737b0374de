"""Runs training steps one after the other, with the model sharded over CPU processes. See test_two_processes.py.

    accelerate launch --config_file config/accelerate/fsdp.yaml ... tests/training/sharded_steps.py COMMANDS

COMMANDS is JSON, a list of [module, argument, ...]; several share the processes, since imports take longer than they
do. A command whose first word is `interrupted` breaks off after three optimiser steps, leaving its checkpoint.

accelerate 1.15 refuses to shard on CPUs and falls back to DDP without a word, although PyTorch's FSDP2 works over
gloo. All that is changed here is what accelerate takes the processes to be.
"""

import json
import runpy
import sys
from typing import Any

import torch
import torch.distributed
from accelerate.state import AcceleratorState, DistributedType, PartialState

STEPS = 3


class InterruptionError(Exception):
    """Stands for the end of a machine."""


def _backend(*_: Any, **__: Any) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_GPU


def _on_cpu(state: Any) -> None:
    state.device = torch.device("cpu")


def _interrupted(module: str, arguments: list[str]) -> None:
    from raml.training.loop import Watch

    plain = Watch.on_step_end

    def ending(watch: Any, args: Any, state: Any, control: Any, **options: Any) -> None:
        plain(watch, args, state, control, **options)
        if state.global_step == STEPS:
            raise InterruptionError

    Watch.on_step_end = ending  # type: ignore[method-assign]
    try:
        _run(module, arguments)
    except InterruptionError:
        return
    finally:
        Watch.on_step_end = plain  # type: ignore[method-assign]
    raise AssertionError("the step ended before it could be interrupted")


def _run(module: str, arguments: list[str]) -> None:
    AcceleratorState._reset_state()  # the next step may have another precision
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    commands = json.loads(sys.argv[1])
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = _backend  # type: ignore[method-assign]
    PartialState.set_device = _on_cpu  # type: ignore[method-assign]
    for command in commands:
        if command[0] == "interrupted":
            _interrupted(command[1], command[2:])
        else:
            _run(command[0], command[1:])
