"""Generated Python runs here: in a child process with nothing but its input, under limits.

    >>> run_tests("print(int(input()) + 1)", Cases(function=None, inputs=("1",), outputs=("2",)))
    Outcome(passed=True, reason='passed all 1 tests', level='namespaces')

No network, no environment of ours, a temporary folder as working folder and HOME, limits on CPU time, memory, file
size, processes and wall time; a session of its own, killed as a whole. How far a program is cut off beyond that depends
on the machine (`raml.answers.isolation`); an outcome says which level it was. Expected outputs stay in this process.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, Any, Final

import raml
from raml.answers.isolation import Level
from raml.errors import InputError, RamlError

START_LIMIT: Final = 60.0  # seconds; starting takes a tenth of one, more on a busy machine
GRACE: Final = 10.0  # seconds that the child may be later than its own limit
LEVELS: Final[tuple[Level, ...]] = ("namespaces", "limits")

# Neither the working folder nor the user's packages are on the path, and the package for this start alone.
_START: Final = (
    "import sys; sys.path.insert(0, {!r}); from raml.answers.sandbox_child import main; del sys.path[0]; main()"
)
_ENVIRONMENT: Final = {
    **{"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    **{"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
}


@dataclass(frozen=True)
class Limits:
    """What a program may use on one test."""

    cpu_seconds: int = 6  # LiveCodeBench allows 6 seconds of wall time, which a busy machine does not give
    wall_seconds: float = 20.0
    memory_bytes: int = 2 << 30  # address space of a process
    output_bytes: int = 16 << 20  # and of any file
    disk_bytes: int = 64 << 20  # of all files together; level `namespaces`
    processes: int = 16  # and threads


@dataclass(frozen=True)
class Cases:
    """Inputs and expected outputs: of standard input and output, or of a `function` that takes and returns JSON.

    Several arguments stand on lines of their own. The function may be a method of a class `Solution`.
    """

    function: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """Whether all tests passed, what happened to the last one that was run, and how the program was cut off."""

    passed: bool
    reason: str
    level: Level


def run_tests(code: str, tests: Cases, limits: Limits | None = None, level: Level | None = None) -> Outcome:
    """Run `code` on one test after the other until one fails.

    Whatever the code does is an outcome and no error. Outputs are compared line by line without blanks at the ends,
    then number by number; results of functions as JSON, in which tuples are lists.

    Args:
        code: Python 3.
        tests: at least one.
        limits: for each test; by default those of `Limits`.
        level: at least `limits`, by default the strictest that this machine allows.

    Raises:
        InputError: an expected result of a function is not JSON.
        RamlError: no sandbox can be started.
    """
    expected = [_read_result(output) for output in tests.outputs] if tests.function else []
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="raml-sandbox-", ignore_cleanup_errors=True) as folder:
        child, found = _start(folder, limits, level)
        try:
            child.send(code.encode(errors="replace"), limits.wall_seconds + GRACE)
            for number, (text, output) in enumerate(zip(tests.inputs, tests.outputs, strict=True)):
                status, written = child.run(text, tests.function, limits.wall_seconds + GRACE)
                if status != "ended":
                    return Outcome(False, f"test {number + 1}: {status}", found)
                if not (_same_result(written, expected[number]) if tests.function else same_output(written, output)):
                    return Outcome(False, f"test {number + 1}: wrong output", found)
        finally:
            child.end()
    return Outcome(True, f"passed all {len(tests.inputs)} tests", found)


_known: dict[str, Level] = {}


def strictest_level() -> Level:
    """The strictest level of isolation that this machine allows, tried once.

    Raises:
        RamlError: no sandbox can be started.
    """
    if "level" not in _known:
        run_tests("", Cases(None, ("",), ("",)))
    return _known["level"]


def same_output(written: bytes, expected: str) -> bool:
    """Whether lines are equal, but for blanks at their ends and for how numbers are written."""
    lines = [
        [line.strip() for line in text.strip().split("\n")] for text in (written.decode(errors="replace"), expected)
    ]
    if len(lines[0]) != len(lines[1]):
        return False
    return all(one == other or _same_numbers(one, other) for one, other in zip(*lines, strict=True))


def _same_numbers(one: str, other: str) -> bool:
    try:
        return [Decimal(word) for word in one.split()] == [Decimal(word) for word in other.split()]
    except InvalidOperation:
        return False


def _read_result(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InputError(f"the expected result {text[:100]!r} of a function is not JSON") from None


def _same_result(written: bytes, expected: Any) -> bool:
    try:
        return bool(json.loads(written) == expected)
    except (ValueError, RecursionError):
        return False


class _Child:
    """A started sandbox. Its messages come in time or it is killed."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        for pipe in (self._pipe("stdin"), self._pipe("stdout")):
            os.set_blocking(pipe.fileno(), False)

    def run(self, text: str, function: str | None, seconds: float) -> tuple[str, bytes]:
        try:
            self.send(json.dumps({"input": text, "function": function}).encode(), seconds)
            status = str(json.loads(self.receive(seconds))["status"])
            return status, self.receive(seconds)
        except TimeoutError:
            return "more time than allowed", b""
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            return "the sandbox was killed", b""

    def send(self, data: bytes, seconds: float) -> None:
        """Send a message.

        Raises:
            TimeoutError: it is not taken in time.
            OSError: there is nobody to take it.
        """
        view = memoryview(len(data).to_bytes(8, "big") + data)
        deadline = time.monotonic() + seconds
        pipe = self._pipe("stdin").fileno()
        while view:
            _until_ready(pipe, select.POLLOUT, deadline)
            with suppress(BlockingIOError):
                view = view[os.write(pipe, view[: 1 << 16]) :]

    def receive(self, seconds: float) -> bytes:
        """The next message.

        Raises:
            TimeoutError: it does not come in time.
            EOFError: the child has ended.
        """
        deadline = time.monotonic() + seconds
        return self._exactly(int.from_bytes(self._exactly(8, deadline), "big"), deadline)

    def _exactly(self, length: int, deadline: float) -> bytes:
        received = bytearray()
        pipe = self._pipe("stdout").fileno()
        while len(received) < length:
            _until_ready(pipe, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                part = os.read(pipe, min(length - len(received), 1 << 20))
                if not part:
                    raise EOFError
                received += part
        return bytes(received)

    def end(self) -> None:
        """Kill all that runs in the session."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for name in ("stdin", "stdout"):
            with suppress(OSError):
                self._pipe(name).close()

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] = getattr(self._process, name)
        return pipe


def _until_ready(pipe: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    remaining = deadline - time.monotonic()
    if remaining <= 0 or not poll.poll(1000 * remaining):
        raise TimeoutError


def _start(folder: str, limits: Limits, level: Level | None) -> tuple[_Child, Level]:
    refusals: list[str] = []
    for wanted in [level] if level else [_known["level"]] if "level" in _known else LEVELS:
        child = _Child(_popen(folder, limits, wanted))
        try:
            greeting = json.loads(child.receive(START_LIMIT))
        except (TimeoutError, EOFError):
            greeting = {"error": "no sign of life"}
        if "error" not in greeting:
            if level is None and "level" not in _known:
                _known["level"] = wanted
                print("; ".join([f"generated programs run at the level {wanted!r}", *refusals]), file=sys.stderr)
            return child, wanted
        child.end()
        refusals.append(f"{wanted}: {greeting['error']}")
    raise RamlError(f"no sandbox for generated programs can be started ({'; '.join(refusals)})")


def _popen(folder: str, limits: Limits, level: Level) -> "subprocess.Popen[bytes]":
    settings = {"level": level, "folder": folder, "limits": asdict(limits) | {"needs_filter": level == "limits"}}
    source = str(Path(raml.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-c", _START.format(source), json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=folder,
        env=_ENVIRONMENT,
        start_new_session=True,
    )
