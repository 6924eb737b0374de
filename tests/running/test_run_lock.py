"""The lock of a checkout: held by one, dropped with its process, and it says who has it."""

import contextlib
import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raml.errors import InputError
from raml.running import lock

HOLDING = """
import sys, time
from raml.running import lock
taken = lock.take()
{hold}
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextlib.contextmanager
def holding(*, says_so: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the lock, until it is killed or the test goes on or fails."""
    code = HOLDING.format(hold="taken.hold(None)" if says_so else "")
    source = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, "all"], env=source, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_living_run_is_respected_and_named(checkout: Path) -> None:
    with holding() as process:
        start = time.monotonic()
        with pytest.raises(InputError) as refused:
            lock.take()
        assert time.monotonic() - start < 5
    assert str(refused.value).startswith(f"another run is at work in {checkout} (process {process.pid} on ")
    assert "raml status" in str(refused.value)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_a_killed_run_leaves_no_lock_behind() -> None:
    with holding() as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        taken = lock.take(patience=0)
    assert taken.before is not None and taken.before.process.pid == process.pid
    assert not taken.before.lives()
    taken.release()
    assert lock.take(patience=0).before is not None


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_a_run_is_refused_and_a_look_goes_on(
    code: int, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)  # as the kernel answers on such a file system
    with pytest.raises(InputError, match=re.escape(os.strerror(code))) as refused:
        lock.take()
    assert str(refused.value).startswith(f"cannot lock {checkout}/.snakemake/raml.lock (")
    assert "\n" not in str(refused.value)
    assert lock.try_to_take() is None
    assert lock.is_held() is None


def test_a_run_on_another_machine_is_named_once_it_was_waited_for(checkout: Path) -> None:
    with holding() as process:
        found = lock.last_holder()
        assert found is not None
        elsewhere = found.process.model_copy(update={"host": "login2"})
        text = found.model_copy(update={"process": elsewhere}).model_dump_json()
        (checkout / lock.FILE).write_text(text)
        start = time.monotonic()
        with pytest.raises(InputError, match=f"process {process.pid} on login2"):
            lock.take(patience=0.5)
        assert time.monotonic() - start >= 0.5


def test_a_process_id_used_again_is_no_living_run() -> None:
    me = lock.Process.of(os.getpid())
    assert me.lives()
    assert not me.model_copy(update={"began": me.began - 100}).lives()
    assert not me.model_copy(update={"boot": "an earlier one"}).lives()
    assert me.model_copy(update={"host": "elsewhere", "began": 0}).lives()
