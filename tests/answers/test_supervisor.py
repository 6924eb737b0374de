import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import raml
from raml.answers import worker
from raml.answers.supervisor import Supervisor
from raml.errors import InputError, RamlError

HANGS = "9^{9^{9^{9}}}"  # parses; comparing it does not end

GREETING = """
import json, os, sys, time
def reply(**message): print(json.dumps(message), flush=True)
reply(ready=True)
"""

# Starts in no time, so that the supervision can be tested apart from math-verify.
QUICK = (
    GREETING
    + """
for line in sys.stdin:
    request = json.loads(line)
    reply(gold_parsed=True)
    if request["answer"] == "hang":
        time.sleep(60)
    reply(equal=request["answer"] == request["gold"])
"""
)

Run = Callable[[str], Supervisor]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A supervisor of a worker program of ours."""
    path = tmp_path / "program.py"
    monkeypatch.setattr(worker, "__file__", str(path))
    supervisor = Supervisor()

    def start(program: str) -> Supervisor:
        path.write_text(program)
        return supervisor

    yield start
    supervisor.stop()


def pid_of(supervisor: Supervisor) -> int:
    assert supervisor.pid is not None
    return supervisor.pid


def ended(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_math_verify_that_hangs_is_killed_in_time_and_the_next_comparison_works() -> None:
    supervisor = Supervisor()
    assert supervisor.equal("1/2", "0.5", 5)
    pid = pid_of(supervisor)
    started = time.monotonic()
    assert not supervisor.equal(HANGS, "1", 0.5)
    assert 0.4 < time.monotonic() - started < 3
    assert ended(pid, within=0.1)
    assert supervisor.equal("1/2", "0.5", 5)
    supervisor.stop()


def test_an_interrupt_leaves_no_stale_reply(run: Run) -> None:
    supervisor = run(QUICK)
    assert supervisor.equal("1", "1", 5)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            supervisor.equal("hang", "1", 10)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert supervisor.pid is None
    assert supervisor.equal("1", "1", 5)


def test_an_answer_that_crashes_the_worker_is_not_equal(run: Run) -> None:
    crash = "sys.stdin.readline()\nreply(gold_parsed=True)\nos.kill(os.getpid(), 11)"
    assert not run(GREETING + crash).equal("1", "2", 5)


@pytest.mark.parametrize(
    ("reading", "seconds", "message"),
    [("os.kill(os.getpid(), 11)", 5, "crashes"), ("time.sleep(60)", 0.2, r"was not parsed within 0\.2 s")],
)
def test_a_gold_that_cannot_be_read_is_bad_input(run: Run, reading: str, seconds: float, message: str) -> None:
    with pytest.raises(InputError, match=f"gold answer '2' {message}"):
        run(f"{GREETING}sys.stdin.readline()\n{reading}").equal("1", "2", seconds)


@pytest.mark.parametrize(
    ("program", "reason"),
    [("", "no sign of life"), ('print(\'{"error": "No module named math_verify"}\')', "No module named math_verify")],
)
def test_a_worker_that_does_not_start_is_named(run: Run, program: str, reason: str) -> None:
    with pytest.raises(RamlError, match=f"does not start: {reason}"):
        run(program).equal("1", "2", 5)


def run_script(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"  # without `if __name__ == "__main__"`
    path.write_text(f"import sys\nsys.path.insert(0, {str(Path(raml.__file__).parents[1])!r})\n{script}")
    return subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=False)


def test_a_plain_script_and_its_fork_have_a_worker_each_and_leave_none(tmp_path: Path) -> None:
    result = run_script(
        tmp_path,
        """
import os
from raml.answers import same_answer
from raml.answers.supervisor import supervisor
assert same_answer("1/2", "0.5")
pid = supervisor.pid
child = os.fork()
if child == 0:
    assert supervisor.pid is None
    assert same_answer("1/4", "0.25")
    print(supervisor.pid, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert not same_answer("1/4", "0.5")
assert supervisor.pid == pid
print(pid)
""",
    )
    assert result.stderr == ""
    assert result.returncode == 0
    workers = {int(line) for line in result.stdout.split()}
    assert len(workers) == 2
    assert all(ended(pid, within=5) for pid in workers)


def test_a_hanging_worker_ends_by_itself_when_its_owner_was_killed(tmp_path: Path) -> None:
    result = run_script(
        tmp_path,
        f"""
import os, signal, threading
from raml.answers.supervisor import supervisor
assert supervisor.equal("1/2", "0.5", 5)
print(supervisor.pid, flush=True)
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
supervisor._compare({{"answer": {HANGS!r}, "gold": "1", "limit": 1}}, 30)
""",
    )
    assert result.returncode == -signal.SIGKILL
    assert ended(int(result.stdout), within=10)
