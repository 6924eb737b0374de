"""Start the processes of a training through accelerate: on this machine, or on all nodes of a job of Slurm's.

    python -m raml.training.launch --config_file config/accelerate/fsdp.yaml --num_processes 16 -m raml.training.sft ...

takes the arguments of `accelerate launch`. A job of one task is one machine. In a job of several tasks, one a node,
`srun` starts this module in each of them; there it tells accelerate how many machines there are, which of them this is
and where the first one listens, all from Slurm's variables. What a user starts by `srun` finds its place likewise.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from raml.errors import RamlError
from raml.step import WORKFLOW_PID

ACCELERATE: Final = (sys.executable, "-m", "accelerate.commands.launch")
FIRST_PORT: Final = 20_000
PORTS: Final = 10_000


def main(arguments: Sequence[str]) -> None:
    """Become `accelerate launch` with `arguments` and what Slurm says, or `srun` of this module in each task.

    A node with more tasks than processes, or tasks that cannot share them evenly, was allocated for something else:
    there the processes run on this machine.

    Raises:
        RamlError: Slurm does not answer, or several nodes cannot share the processes evenly.
    """
    if "SLURM_STEP_NUM_TASKS" not in os.environ and (job := os.environ.get("SLURM_JOB_ID")):
        nodes, tasks = size_of_job(job)
        processes = _processes(arguments)
        if tasks > 1 and processes % tasks == 0:
            _become(*in_all_tasks(nodes, tasks), *arguments)
        if nodes > 1:
            raise RamlError(
                f"{tasks} tasks on {nodes} nodes cannot share {processes} processes evenly; ask Slurm for one task a "
                "node, and set hardware.processes to a multiple of the nodes"
            )
    _become(*ACCELERATE, *place(os.environ), *arguments)


def _processes(arguments: Sequence[str]) -> int:
    return int(arguments[arguments.index("--num_processes") + 1]) if "--num_processes" in arguments else 1


def size_of_job(job: str) -> tuple[int, int]:
    """The nodes and the tasks of a job; asked of Slurm, since the executor of Snakemake drops the variables.

    Raises:
        RamlError: Slurm does not answer.
    """
    nodes, tasks = _ask("squeue", "--noheader", "--jobs", job, "--Format", "NumNodes,NumTasks").split()
    return int(nodes), int(tasks)


def in_all_tasks(nodes: int, tasks: int) -> list[str]:
    """The command that starts this module in each task of the job, with all processors of its node; one that fails
    ends all."""
    where = [f"--nodes={nodes}", f"--ntasks={tasks}", "--cpu-bind=none", "--kill-on-bad-exit=1"]
    return ["srun", *where, sys.executable, "-m", "raml.training.launch"]


def place(environment: Mapping[str, str]) -> list[str]:
    """Arguments of `accelerate launch` for the task of Slurm's that `environment` is of; a free port if it is alone.

    The port follows from the job, so that jobs which share their first node do not meet.

    Raises:
        RamlError: Slurm does not answer.
    """
    machines = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if machines == 1:
        return ["--main_process_port", "0"]
    first = _ask("scontrol", "show", "hostnames", environment["SLURM_STEP_NODELIST"]).split()[0]
    port = FIRST_PORT + int(environment["SLURM_JOB_ID"]) % PORTS
    return [
        *("--num_machines", str(machines), "--machine_rank", environment["SLURM_PROCID"]),
        *("--main_process_ip", first, "--main_process_port", str(port)),
    ]


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise RamlError(f"`{' '.join(command)}` fails in job {os.environ.get('SLURM_JOB_ID')}: {said}") from None


def _become(*command: str) -> None:
    """Let `command` take this process's place.

    Steps end with the Snakemake that started them, which they would look for in vain on another node; there Slurm ends
    them with the job.
    """
    if command[0] == "srun":
        os.environ.pop(WORKFLOW_PID, None)
    os.execvp(command[0], command)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
