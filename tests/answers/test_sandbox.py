"""Programs that misbehave, each really run and each really stopped, at both levels of isolation."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raml.answers import isolation, sandbox
from raml.answers.isolation import Level
from raml.answers.sandbox import Cases, Limits, Outcome, run_tests, same_output, strictest_level
from raml.errors import RamlError

QUICK = Limits(
    cpu_seconds=1, wall_seconds=4, memory_bytes=400 << 20, output_bytes=1 << 20, disk_bytes=4 << 20, processes=8
)

needs_namespaces = pytest.mark.skipif(
    strictest_level() != "namespaces", reason="this machine lets no process have namespaces of its own"
)
levels = pytest.mark.parametrize("level", [pytest.param("namespaces", marks=needs_namespaces), "limits"])


def printed(code: str, output: str = "", text: str = "", level: Level | None = None, limits: Limits = QUICK) -> Outcome:
    return run_tests(code, Cases(None, (text,), (output,)), limits, level)


def children() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process.name().startswith("python")]


@levels
def test_right_and_wrong_answers(level: Level) -> None:
    tests = Cases(None, ("1\n", "41"), ("2", "42\n"))
    assert run_tests("print(int(input()) + 1)", tests, QUICK, level) == Outcome(True, "passed all 2 tests", level)
    wrong = run_tests("print(int(input()) * 2)", tests, QUICK, level)
    assert wrong == Outcome(False, "test 2: wrong output", level)


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
        "import os\nos.write(1, str(sum(map(int, os.read(0, 99).split()))).encode())",
        "print(sum(map(int, open(0).read().split())))",
        "print(sum(map(int, input().split())))\nsys.exit(3)",
        "import threading\nthreading.Thread(target=lambda: print(sum(map(int, input().split())))).start()",
        "import atexit\nn = input()\natexit.register(lambda: print(sum(map(int, n.split()))))",
        "import subprocess\nprint(subprocess.run(['echo', '3'], stdout=subprocess.PIPE).stdout.decode())",
        "print(reduce(add, map(int, input().split())) + pow(2, 3, 7) - floor(1.5))",  # names taken for granted
    ],
)
def test_programs_read_and_write_as_they_like(code: str) -> None:
    assert printed(code, "3", "1 2").reason == "passed all 1 tests"


@levels
def test_functions_are_called(level: Level) -> None:
    tests = Cases("pair", ("[1, 2]\n3", '["a"]\nnull'), ("[1, 3]", '["a", null]'))
    method = "class Solution:\n    def pair(self, a: List[int], b: Optional[int]):\n        print('x')\n"
    method += "        return a[0], b"
    assert run_tests(method, tests, QUICK, level).passed
    assert run_tests("def pair(a, b):\n    return (a[0], b)", tests, QUICK, level).passed
    assert run_tests("def pair(a, b):\n    return b, a[0]", tests, QUICK, level).reason == "test 1: wrong output"
    assert "KeyError: 'pair'" in run_tests("def pears(a, b): pass", tests, QUICK, level).reason
    assert "not JSON serializable" in run_tests("def pair(a, b):\n    return {a[0]}", tests, QUICK, level).reason
    # What stands in the output before it is no result.
    assert not run_tests("import os\nos.write(1, b'[1, 3]')\ndef pair(a, b): sys.exit()", tests, QUICK, level).passed


@levels
def test_an_infinite_loop_ends_with_its_cpu_time(level: Level) -> None:
    began = time.monotonic()
    outcome = printed("while True: pass", level=level, limits=Limits(cpu_seconds=1, wall_seconds=100))
    assert "more CPU time than allowed" in outcome.reason
    assert time.monotonic() - began < 60


@levels
def test_sleep_ends_with_the_wall_time(level: Level) -> None:
    limits = Limits(cpu_seconds=100, wall_seconds=1)
    began = time.monotonic()
    assert printed("import time\ntime.sleep(1000)", level=level, limits=limits).reason.endswith(
        "more time than allowed"
    )
    assert time.monotonic() - began < 30


@levels
def test_a_fork_bomb_is_contained(level: Level) -> None:
    before = {process.pid for process in children()}
    seen = []
    code = "import os\ncount = 1\ntry:\n    while True:\n        if os.fork() == 0:\n            time.sleep(100)\n"
    code += "        count += 1\nexcept OSError:\n    print(count)"
    for allowed in (4, 8):
        limits = Limits(wall_seconds=10, processes=allowed)
        counts = range(1, allowed + 2)
        seen.append([n for n in counts if printed(f"import time\n{code}", str(n), level=level, limits=limits).passed])
    assert [len(found) for found in seen] == [1, 1] and seen[0][0] < seen[1][0]
    assert not printed("import os\nwhile True: os.fork()", level=level).passed
    assert {process.pid for process in children()} <= before


@levels
def test_memory_is_limited(level: Level) -> None:
    assert "MemoryError" in printed("x = bytearray(500 << 20)", level=level).reason
    assert printed("x = bytearray(50 << 20)", level=level).passed


@levels
def test_a_flood_of_output_ends(level: Level) -> None:
    assert "File too large" in printed("while True: print('x' * 1000)", level=level).reason
    code = "import os\ntry:\n    while True: os.write(1, b'x' * 1000)\nexcept OSError: pass"
    assert "more output than allowed" in printed(code, level=level).reason


@levels
def test_files_are_limited(level: Level) -> None:
    code = "with open('a', 'wb') as file:\n    file.write(bytes(900_000))\nprint(len(open('a', 'rb').read()))"
    assert printed(code, "900000", level=level).passed
    assert "File too large" in printed(code.replace("900_000", "1_100_000"), level=level).reason
    many = "files = [open(str(i), 'w') for i in range(1000)]"
    assert "Too many open files" in printed(many, level=level).reason


@needs_namespaces
def test_all_files_together_are_limited() -> None:
    code = "for i in range(8):\n    with open(str(i), 'wb') as file:\n        file.write(bytes(900_000))"
    assert "No space left" in printed(code, level="namespaces").reason


@levels
def test_there_is_no_network(level: Level) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=2)\nprint('on')"
        )
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0  # outside of the sandbox there is
        assert "not permitted" in printed(code, "on", level=level).reason
        server.setblocking(False)
        server.accept()
        with pytest.raises(BlockingIOError):
            server.accept()
    raw = "import ctypes\nprint(ctypes.CDLL(None).socket({}, 1, 0) < 0)"
    assert printed(raw.format(10), "True", level=level).passed
    assert printed(raw.format(1), "False", level=level).passed  # of this machine alone


@needs_namespaces
def test_nothing_can_be_written_outside_of_the_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("secret")
    for path in (
        tmp_path / "new",
        "/tmp/raml-evil",
        "/usr/raml-evil",
        "/raml-evil",
        Path(isolation.__file__).parent / "x",
    ):
        outcome = printed(f"open({str(path)!r}, 'w').write('x')", level="namespaces")
        assert "No such file" in outcome.reason or "Read-only" in outcome.reason or "denied" in outcome.reason
        assert not Path(path).exists()
    assert "No such file" in printed(f"print(open({str(tmp_path / 'secret')!r}).read())", level="namespaces").reason
    assert printed("import os\nprint(os.getcwd(), os.environ['HOME'])", "/sandbox /sandbox", level="namespaces").passed
    assert printed("open('mine', 'w').write('x')\nprint(open('mine').read())", "x", level="namespaces").passed


@pytest.mark.skipif(os.geteuid() != 0, reason="at this level only root becomes another user")
def test_without_namespaces_root_becomes_a_user_that_owns_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    for code in (f"open({str(tmp_path / 'new')!r}, 'w')", f"open({str(tmp_path / 'secret')!r})"):
        assert "denied" in printed(code, level="limits").reason
    assert printed("import os\nprint(os.getuid() > 0, os.getgroups())", "True []", level="limits").passed


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """Where no other worker's sandboxes are; any user can enter it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@levels
def test_the_folder_is_gone_afterwards_and_empty_before(
    level: Level, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(own_folder))
    code = "import os\nprint(os.getcwd(), file=sys.stderr)\nprint(os.listdir('.'))\nopen('a', 'w').write('b')"
    assert run_tests(code, Cases(None, ("",), ("[]",)), QUICK, level).passed
    assert not any(own_folder.iterdir())


@levels
def test_the_parents_environment_is_out_of_reach(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAML_TEST_SECRET", "swordfish")
    assert printed("import os\nprint('RAML_TEST_SECRET' in os.environ)", "False", level=level).passed
    if level == "namespaces" or os.geteuid() == 0:
        code = "import glob\nfor name in glob.glob('/proc/[0-9]*/environ'):\n    try:\n"
        code += "        print('sword' 'fish' in open(name).read() or '')\n    except OSError: pass"
        assert printed(code, "", level=level).passed


@levels
def test_what_a_program_leaves_behind_is_ended(level: Level) -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
print(1)
"""
    assert run_tests(code, Cases(None, ("", ""), ("1", "1")), QUICK, level).passed
    assert children() == [] or all("sandbox" not in " ".join(process.cmdline()) for process in children())


@levels
@pytest.mark.parametrize("target", ["os.getppid()", "1", "-1"])
def test_killing_others_helps_nobody(level: Level, target: str) -> None:
    outcome = printed(
        f"import os\ntry:\n    os.kill({target}, 9)\nexcept OSError: pass\nprint('wrong')", "right", level=level
    )
    assert not outcome.passed
    assert printed("print('right')", "right", level=level).passed


@levels
def test_dangerous_system_calls_are_refused(level: Level) -> None:
    code = "import ctypes\nlibc = ctypes.CDLL(None)\nprint(libc.unshare(0x10000000), libc.ptrace(0, 0, 0, 0))"
    assert printed(code, "-1 -1", level=level).passed


def test_chance_is_the_same_each_time() -> None:
    first, second = (printed("import random\nraise Exception(random.random(), hash('a'))").reason for _ in range(2))
    assert first == second and "Exception: (0.84" in first


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print(1", "was never closed"),
        ("raise ValueError('no')", "ValueError: no"),
        ("import os\nos.abort()", "killed by signal 6"),
        ("def f(): f()\nf()", "RecursionError"),
        ("'\ud800'", "wrong output"),
    ],
)
def test_errors_are_outcomes(code: str, reason: str) -> None:
    assert reason in printed(code, "1").reason


@pytest.mark.parametrize(
    ("written", "expected", "same"),
    [
        (b"1 2\n", "1 2", True), (b" 1 2 \n\n", "1 2", True), (b"1.50", "1.5", True), (b"1\n2", "1 2", False),
        (b"yes", "YES", False), (b"\xff", "1", False), (b"", "", True), (b"1e2", "100", True), (b"1 2", "1 3", False),
        (b"50000000000000000", "50000000000000001", False),
    ],
)  # fmt: skip
def test_outputs_are_compared_by_lines_and_numbers(written: bytes, expected: str, same: bool) -> None:
    assert same_output(written, expected) is same


def test_no_sandbox_at_all_is_an_error_with_both_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_known", {})
    monkeypatch.setattr(sandbox, "_START", "raise SystemExit # {!r}")
    with pytest.raises(RamlError, match=r"no sandbox .* can be started \(namespaces: no sign of life; limits: no sign"):
        printed("")


def test_the_sandbox_ends_with_its_owner(own_folder: Path) -> None:
    code = "import time\ntime.sleep(1000)"
    script = (
        f"from raml.answers.sandbox import *\nrun_tests({code!r}, Cases(None, ('',), ('',)), Limits(wall_seconds=1000))"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(own_folder)},
    )
    deadline = time.monotonic() + 60
    while len(inner := psutil.Process(owner.pid).children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert inner and not psutil.wait_procs(inner, timeout=10)[1]
