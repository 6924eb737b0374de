import os
import signal
import subprocess
import sys

import pytest

from raml.code import SOURCE

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


@pytest.mark.parametrize("old_kernel", [False, True])
def test_a_process_ends_with_another(old_kernel: bool) -> None:
    other = subprocess.Popen(["sleep", "600"])
    process = watching(other.pid, old_kernel)
    try:
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


@pytest.mark.parametrize("old_kernel", [False, True])
def test_a_process_ends_at_once_if_the_other_is_gone(old_kernel: bool) -> None:
    other = subprocess.Popen(["true"])
    other.wait()
    process = watching(other.pid, old_kernel)
    try:
        assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
