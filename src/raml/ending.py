"""To end with the process that one works for, however that one ends."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

_LOOK: Final = 0.2  # seconds


def end_with(pid: int) -> None:
    """Kill this process once process `pid` is gone, at once if it is; a zombie is, but to kernels before 5.3.

    After `kill -9` of Snakemake a job would run on, and write into the run that comes next.
    """
    try:
        handle = os.pidfd_open(pid)  # of this very process, not of a later one with its id
    except ProcessLookupError:
        _kill_myself()
    except OSError:  # a kernel before 5.3
        _watch(lambda: _ask(pid))
    else:
        _watch(lambda: _wait(handle))


def _watch(wait: Callable[[], None]) -> None:
    def watch() -> None:
        wait()
        _kill_myself()

    threading.Thread(target=watch, daemon=True, name="end-with").start()


def _wait(handle: int) -> None:
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    ended.poll()


def _ask(pid: int) -> None:
    """Return once nothing has the id `pid`."""
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        except PermissionError:
            pass  # it lives, as another user's
        time.sleep(_LOOK)


def _kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
