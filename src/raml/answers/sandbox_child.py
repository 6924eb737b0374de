"""The program that runs a generated program on inputs, in a process of its own that `raml.answers.sandbox` starts.

It never sees what the outputs should be: it runs the code on one input after the other and hands back what came out.
Messages in both directions are a length of 8 bytes and as many bytes.

    <- {"level": "namespaces"}                     or {"error": why this level is not to be had}
    -> the code
    -> {"input": ..., "function": null or a name}
    <- {"status": "ended" or what stopped it}, then the bytes that came out; and the next input

Only the standard library is imported.
"""

import atexit
import json
import os
import random
import resource
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from raml.answers import isolation

# What LiveCodeBench lets programs take for granted; later ones win, so that `pow` is Python's own.
PRELUDE: Final = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
RECURSION: Final = 50_000  # as LiveCodeBench sets it
OPEN_FILES: Final = 64
FIRST_KEPT: Final = 3 + 4 * OPEN_FILES  # of the descriptors that stay open in a program


def main() -> None:
    """Isolate this process as `sys.argv` says and serve inputs until there are no more."""
    settings = json.loads(sys.argv[-1])
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    limits = settings["limits"]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # too much output is an error in the program, not a signal
    try:
        prelude = _prelude()
        _isolate(settings["level"], settings["folder"], limits, (requests, replies))
    except OSError as error:
        _send(replies, json.dumps({"error": error.strerror or str(error)}).encode())
        return
    _send(replies, json.dumps({"level": settings["level"]}).encode())
    code = _receive(requests).decode()
    while request := _receive(requests):
        status, output = _run(code, json.loads(request), limits, prelude)
        _send(replies, json.dumps({"status": status}).encode())
        _send(replies, output)


def _isolate(level: str, folder: str, limits: dict[str, int], pipes: tuple[int, int]) -> None:
    """Return in the process that is isolated; where that is a child, this one ends with it."""
    isolation.end_with_parent()
    user = isolation.FIRST_USER + os.getpid() if os.geteuid() == 0 else os.geteuid()
    already, held = 0, dict[str, str]()
    if level == "namespaces":
        isolation.enter_namespaces()
        if child := os.fork():
            for pipe in pipes:
                os.close(pipe)
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        isolation.enter_new_root(folder, limits["disk_bytes"])
    else:
        os.chdir(folder)
        already = isolation.tasks_of(user)
        if os.geteuid() == 0:
            os.chown(folder, user, user)
            held = isolation.hold_folders(sys.path, FIRST_KEPT)
    isolation.drop_privileges(user)
    _import_through(held)
    isolation.end_with_parent()  # a change of identity takes it back
    isolation.limit(resource.RLIMIT_CORE, 0)
    isolation.limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    isolation.limit(resource.RLIMIT_NPROC, limits["processes"] + already + 2)  # this one and its parent
    os.environ["HOME"] = os.environ["TMPDIR"] = str(Path.cwd())


def _import_through(held: dict[str, str]) -> None:
    """Find modules where they are held, if they cannot be reached any longer (root's Python may be in root's home)."""
    lost = {folder: name for folder, name in held.items() if not os.access(folder, os.R_OK | os.X_OK)}
    packages = [places for module in sys.modules.values() if type(places := getattr(module, "__path__", None)) is list]
    for places in [sys.path, *packages]:
        for number, place in enumerate(places):
            above = [folder for folder in lost if Path(place).is_relative_to(folder)]
            if above:
                longest = max(above, key=len)
                places[number] = str(Path(lost[longest]) / Path(place).relative_to(longest))


def _run(code: str, request: dict[str, Any], limits: dict[str, int], prelude: dict[str, Any]) -> tuple[str, bytes]:
    """What stopped the code, `ended` if nothing did, and its output."""
    files = [os.memfd_create(name) for name in ("input", "output", "errors")]
    with suppress(OSError):
        _write(files[0], request["input"].encode())
        os.lseek(files[0], 0, os.SEEK_SET)
    child = os.fork()
    if child == 0:
        _be_the_program(code, request, limits, prelude, files)
    status = _wait(child, limits["wall_seconds"])
    _end_all_others()
    output = _read(files[1], limits["output_bytes"])
    if status == "" and len(output) >= limits["output_bytes"]:
        status = "more output than allowed"
    if status == "failed":
        lines = _read(files[2], limits["output_bytes"]).decode(errors="replace").strip().splitlines()
        status = (lines[-1] if lines else "ended with an error")[:200]
    for file in files:
        os.close(file)
    return status or "ended", output


def _be_the_program(
    code: str, request: dict[str, Any], limits: dict[str, int], prelude: dict[str, Any], files: list[int]
) -> None:
    """Never returns."""
    status = 1
    try:
        for descriptor, file in enumerate(files):
            os.dup2(file, descriptor)
        os.closerange(3, FIRST_KEPT)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        os.setsid()
        isolation.limit(resource.RLIMIT_AS, limits["memory_bytes"])
        isolation.limit(resource.RLIMIT_FSIZE, limits["output_bytes"])
        isolation.limit(resource.RLIMIT_CPU, limits["cpu_seconds"])
        if not isolation.refuse_system_calls() and limits["needs_filter"]:
            raise OSError("no filter of system calls")
        sys.setrecursionlimit(RECURSION)
        random.seed(0)
        atexit._clear()
        _execute(code, request, dict(prelude))
        status = 0
    except SystemExit:  # a program may end itself; what it has written counts
        status = 0
    except BaseException:
        with suppress(BaseException):
            traceback.print_exc(limit=0)
    finally:
        with suppress(BaseException):
            if status == 0:
                status = 1
                _finish()
                status = 0
        with suppress(BaseException):
            sys.stderr.flush()
        os._exit(status)


def _execute(code: str, request: dict[str, Any], names: dict[str, Any]) -> None:
    names["__name__"] = "__main__" if request["function"] is None else "solution"
    compiled = compile(code, "<program>", "exec")
    if request["function"] is None:
        exec(compiled, names)
        return
    results = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is printed on the way is no result
    exec(compiled, names)
    arguments = [json.loads(line) for line in request["input"].split("\n")]
    owner = names["Solution"]() if "Solution" in names else None
    function: Callable[..., Any] = names[request["function"]] if owner is None else getattr(owner, request["function"])
    _write(results, json.dumps(function(*arguments)).encode())


def _finish() -> None:
    """What the interpreter does at its end: wait for threads, call what was registered, write what was buffered."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()


def _wait(child: int, seconds: float) -> str:
    """Why the child did not end well; empty if it did."""
    watched = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        if not poll.poll(1000 * seconds):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "more time than allowed"
    finally:
        os.close(watched)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:  # the soft and the hard limit are the same
        return "more CPU time than allowed, or killed"
    return "" if code == 0 else f"killed by signal {-code}" if code < 0 else "failed"


def _end_all_others() -> None:
    """Kill what the program has left behind: all others in this namespace of processes, else its descendants."""
    if os.getpid() == 1:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    for _ in range(1000):
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split() if os.getpid() != 1 else []:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)  # its own children become ours
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _prelude() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for module in PRELUDE:
        exec(f"import {module}\nfrom {module} import *", names)
    exec("import " + ", ".join(PRELUDE), names)  # `from datetime import *` has hidden the module
    return names


def _read(file: int, most: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while most > 0 and (part := os.read(file, min(most, 1 << 20))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _send(pipe: int, data: bytes) -> None:
    _write(pipe, len(data).to_bytes(8, "big") + data)


def _receive(pipe: int) -> bytes:
    """The next message; empty at the end."""
    length = int.from_bytes(_exactly(pipe, 8), "big")
    return _exactly(pipe, length)


def _exactly(pipe: int, length: int) -> bytes:
    parts, missing = [], length
    while missing:
        part = os.read(pipe, min(missing, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
