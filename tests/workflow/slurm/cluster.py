"""A Slurm cluster in a temporary folder: real daemons, one node that is this machine, GPUs that are any device."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "squeue", "scontrol", "sinfo")
GPUS = 4
NODE = "localhost"  # as its name has to be an address

SLURM_CONF = """\
ClusterName=raml
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,bf_interval=1
AccountingStorageType=accounting_storage/none
GresTypes=gpu
ReturnToService=2
KillWait=5
MinJobAge=7200
SlurmdParameters=config_overrides
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000000 Gres=gpu:{gpus}
PartitionName=cpu Nodes={node} MaxTime=24:00:00 Default=YES
PartitionName=gpu Nodes={node} MaxTime=7-00:00:00
"""
CGROUP_CONF = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"


@dataclass(frozen=True)
class Cluster:
    """A running cluster; its commands need `environment`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's commands, in jobs too, need to find the cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", os.defpath)])
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def call(self, *command: str, check: bool = True) -> str:
        """What one of Slurm's commands prints."""
        ran = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or ran.returncode == 0, f"{' '.join(command)}: {ran.stderr}\n{self.logs()}"
        return ran.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs since the start, in order, each with Slurm's own fields (`scontrol show job --details`)."""
        shown = self.call("scontrol", "show", "job", "--details", "--oneliner")
        found = [dict(re.findall(r"(\S+?)=(.*?)(?= \S+?=|$)", line)) for line in shown.splitlines() if "JobId=" in line]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def cancel_all(self) -> None:
        """Cancel what runs or waits, and wait until it is gone."""
        self.call("scancel", "--user", getpass.getuser(), check=False)
        deadline = time.monotonic() + 30
        while self.call("squeue", "--noheader", check=False).strip() and time.monotonic() < deadline:
            time.sleep(0.2)

    def logs(self) -> str:
        """The end of the daemons' logs."""
        parts = [path.name + ":\n" + path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log")]
        return "\n".join(parts)


@contextmanager
def started(cpus: int | None = None) -> Iterator[Cluster]:
    """A cluster that is up; afterwards nothing of it is left, whatever happened.

    Args:
        cpus: of the node; as many as this machine has by default.
    """
    missing = [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]
    assert not missing, f"not installed: {', '.join(missing)}; `make slurm-test` installs slurm-wlm and munge"
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # not below pytest's: a socket's path has to be short
    daemons: list[subprocess.Popen[bytes]] = []
    cluster = Cluster(folder)
    try:
        _configure(folder, cpus or os.cpu_count() or 1)
        munge = folder / "munge"
        munge.mkdir(mode=0o700)
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        files = [f"--{name}-file={munge / name}" for name in ("key", "pid", "seed", "log")]
        daemons.append(_daemon(folder, "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files))
        _wait(lambda: (folder / "munge.socket").exists(), cluster, daemons)
        daemons.append(_daemon(folder, "slurmctld", "-D", "-c"))
        daemons.append(_daemon(folder, "slurmd", "-D", "-N", NODE))
        _wait(lambda: "idle" in cluster.call("sinfo", "--noheader", "--format=%T", check=False), cluster, daemons)
        yield cluster
    finally:
        if daemons:
            with suppress(subprocess.TimeoutExpired):
                cluster.cancel_all()
        for daemon in reversed(daemons):
            _end(daemon)
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, cpus: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir(mode=0o755)
    folder.chmod(0o755)
    for number in range(GPUS):
        (folder / f"gpu{number}").symlink_to("/dev/null")  # a device, as Slurm asks of a GPU
    controller_port, node_port = _free_ports(2)
    values = {
        "host": socket.gethostname().split(".")[0],
        "user": getpass.getuser(),
        "folder": folder,
        "controller_port": controller_port,
        "node_port": node_port,
        "node": NODE,
        "cpus": cpus,
        "gpus": GPUS,
    }
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
    (folder / "gres.conf").write_text(
        f"NodeName={NODE} Name=gpu Flags=nvidia_gpu_env File={folder}/gpu[0-{GPUS - 1}]\n"
    )
    (folder / "cgroup.conf").write_text(CGROUP_CONF)
    # The executor's job step drops SLURM_CONF. On a site the file is in /etc/slurm, where commands look by themselves.
    (folder / "bin").mkdir()
    for name in ("srun", "squeue", "scontrol"):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which(name)} "$@"\n')
        program.chmod(0o755)


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _path() -> str:
    """Debian keeps the daemons in /usr/sbin, which not every user's PATH has."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


def _daemon(folder: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    with (folder / f"{program}.out.log").open("wb") as log:
        return subprocess.Popen([program, *arguments], env=environment, cwd=folder, stdout=log, stderr=log)


def _wait(condition: Callable[[], bool], cluster: Cluster, daemons: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        ended = [str(daemon.args) for daemon in daemons if daemon.poll() is not None]
        assert not ended, f"{ended} ended\n{cluster.logs()}"
        assert time.monotonic() < deadline, f"the cluster does not come up\n{cluster.logs()}"
        time.sleep(0.1)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=15)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
