"""Keeps one math-verify worker: starts it when first needed, kills it when late, replaces it when dead.

The worker is a plain subprocess that talks JSON lines, so it works from scripts, pytest and forked
processes alike (multiprocessing would import the caller's `__main__` again).
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import IO, Any

from raml.answers import worker
from raml.errors import InputError, RamlError

START_LIMIT = 120.0  # seconds; importing sympy takes 1 to 2, more on a busy machine
_ATTEMPTS = 2  # a worker that dies may have been killed by someone else; one that dies twice has crashed


class _AnswerCrashError(EOFError):
    """The worker died over the answer: it had parsed the gold answer before."""


class Supervisor:
    """The owner of one worker process. Threads take turns."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._received = b""
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one was started and not stopped since."""
        return self._process.pid if self._process else None

    def equal(self, answer: str, gold: str, timeout: float) -> bool:
        """Whether math-verify finds `answer` equal to `gold`.

        An answer that cannot be parsed, that takes longer than `timeout` seconds or that crashes the
        worker is not equal.

        Raises:
            InputError: `gold` cannot be parsed (not in time, or not without crashing the worker).
            RamlError: the worker does not start.
        """
        request = {"answer": answer, "gold": gold, "limit": 2 * timeout + 5}
        with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    return self._compare(request, timeout)
                except EOFError as death:
                    cause = death
                except InputError:
                    raise
                except BaseException:  # an interrupt: the reply that is under way belongs to nobody
                    self.stop()
                    raise
        if isinstance(cause, _AnswerCrashError):
            return False
        raise InputError(f"gold answer {gold!r} crashes math-verify; give a number or LaTeX")

    def parses(self, gold: str, timeout: float) -> bool:
        """Whether math-verify can parse `gold` within `timeout` seconds and without crashing its worker.

        Raises:
            RamlError: the worker does not start.
        """
        request = {"gold": gold, "limit": 2 * timeout + 5}
        with self._lock:
            for _ in range(_ATTEMPTS):
                try:
                    return bool(self._ask(request, timeout)["gold_parsed"])
                except TimeoutError:
                    return False
                except EOFError:
                    continue
                except RamlError:
                    raise
                except BaseException:  # an interrupt: the reply that is under way belongs to nobody
                    self.stop()
                    raise
        return False

    def stop(self) -> None:
        """Kill the worker, if there is one. The next comparison starts another."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._close_pipes()

    def abandon(self) -> None:
        """Let go of the worker without ending it: after a fork it is the parent's."""
        if self._process is not None:
            self._process.returncode = 0  # or Popen would complain that it still runs
            self._close_pipes()
        self._lock = threading.Lock()  # another thread may have held it at the fork

    def _compare(self, request: dict[str, Any], timeout: float) -> bool:
        try:
            gold_parsed = self._ask(request, timeout)["gold_parsed"]
        except TimeoutError:
            raise InputError(f"gold answer {request['gold']!r} was not parsed within {timeout:g} s") from None
        if not gold_parsed:
            raise InputError(f"math-verify cannot parse the gold answer {request['gold']!r}; give a number or LaTeX")
        try:
            return bool(self._receive(timeout)["equal"])
        except TimeoutError:
            return False
        except EOFError:
            raise _AnswerCrashError from None

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._start()
        try:
            _write(self._pipe("stdin"), json.dumps(request).encode() + b"\n")
        except OSError:
            self.stop()
            raise EOFError from None
        return self._receive(timeout)

    def _start(self) -> None:
        self.stop()
        self._process = subprocess.Popen(
            # -P: the folder of worker.py stays off its path. A fixed hash seed fixes sympy's orderings.
            [sys.executable, "-P", worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        try:
            greeting = self._receive(START_LIMIT)
        except (EOFError, TimeoutError):
            greeting = {"error": "no sign of life"}
        if "error" in greeting:
            self.stop()
            raise RamlError(f"the math-verify worker does not start: {greeting['error']}")

    def _receive(self, timeout: float) -> dict[str, Any]:
        """The next message; a worker that is late or gone is stopped."""
        stdout = self._pipe("stdout").fileno()
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        deadline = time.monotonic() + timeout
        while b"\n" not in self._received:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not poll.poll(1000 * remaining):
                self.stop()
                raise TimeoutError
            chunk = os.read(stdout, 65536)
            if not chunk:
                self.stop()
                raise EOFError
            self._received += chunk
        line, self._received = self._received.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] = getattr(self._process, name)
        return pipe

    def _close_pipes(self) -> None:
        self._pipe("stdin").close()
        self._pipe("stdout").close()
        self._process = None
        self._received = b""


def _write(pipe: IO[bytes], data: bytes) -> None:
    """All of `data`: one write to an unbuffered pipe may take only a part."""
    while data:
        data = data[os.write(pipe.fileno(), data) :]


supervisor = Supervisor()
atexit.register(supervisor.stop)
os.register_at_fork(after_in_child=supervisor.abandon)
