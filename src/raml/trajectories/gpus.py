"""Which GPUs of a node a sampling job takes, where several such jobs run beside each other.

Snakemake counts GPUs but hands none out: left alone, each job would take the first. A scheduler such as Slurm says by
`CUDA_VISIBLE_DEVICES` which ones a job has.
"""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from raml.errors import RamlError

INSTALLED = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU
VISIBLE = "CUDA_VISIBLE_DEVICES"

_held: list[IO[str]] = []  # until the process ends, however it ends


def take_gpus(wanted: int) -> None:
    """Let this process see `wanted` GPUs that no other such process on the node has; before CUDA starts.

    Nothing happens where there are none or where the environment already says which ones this process has.

    Raises:
        RamlError: fewer than `wanted` are free.
    """
    if VISIBLE in os.environ or not INSTALLED.is_dir():
        return
    folder = Path(tempfile.gettempdir(), f"raml-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    taken: list[str] = []
    installed = len(list(INSTALLED.iterdir()))
    for number in range(installed):
        if len(taken) == wanted:
            break
        lock = Path(folder, f"{number}.lock").open("w")  # noqa: SIM115  (held to the end of the process)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        taken.append(str(number))
    if len(taken) < wanted:
        raise RamlError(f"{wanted} GPUs are wanted, but {len(taken)} of the node's {installed} are free of other jobs")
    os.environ[VISIBLE] = ",".join(taken)
