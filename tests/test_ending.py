import os
import signal
import subprocess
import sys

import pytest

from raml.code import SOURCE
from raml.step import WORKFLOW_PID

JOB = """
import time
from raml.config import Section
from raml.step import run

def work(step):
    print("watching", flush=True)
    time.sleep(600)

run(work, Section, arguments=["--scale", "micro", "--config", "{}"])
"""
WATCHING = """
import os, time

def missing(pid):
    raise OSError(38, "Function not implemented")

if {old_kernel}:
    os.pidfd_open = missing
from raml.ending import end_with
end_with({pid})
print("watching", flush=True)
time.sleep(600)
"""


def watching(pid: int, old_kernel: bool) -> subprocess.Popen[bytes]:
    code = WATCHING.format(pid=pid, old_kernel=old_kernel)
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SOURCE.parent)}, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("old_kernel", [False, True])
def test_a_process_ends_with_another_or_at_once_if_that_is_gone(old_kernel: bool, gone: bool) -> None:
    other = subprocess.Popen(["sleep", "600"])
    if gone:
        other.kill()
        other.wait()
    process = watching(other.pid, old_kernel)
    try:
        if not gone:
            assert process.stdout is not None and process.stdout.readline() == b"watching\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            other.kill()
        if old_kernel:  # to which a zombie is as good as alive
            other.wait()
        assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        for each in (other, process):
            each.kill()
            each.communicate()


def test_a_job_ends_with_the_workflow_that_started_it() -> None:
    workflow = subprocess.Popen(["sleep", "600"])
    variables = {"PYTHONPATH": str(SOURCE.parent), WORKFLOW_PID: str(workflow.pid)}
    job = subprocess.Popen([sys.executable, "-c", JOB], env={**os.environ, **variables}, stdout=subprocess.PIPE)
    try:
        assert job.stdout is not None and job.stdout.readline() == b"watching\n"
        assert job.poll() is None
        workflow.kill()
        workflow.wait()
        assert job.wait(timeout=30) == -signal.SIGKILL
    finally:
        for each in (workflow, job):
            each.kill()
            each.communicate()
