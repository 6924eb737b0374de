"""One live line for the whole DAG: jobs done, jobs at work, when all will be done; and the end of a failed job's log.

A `Board` listens to what Snakemake logs. On a terminal its line is redrawn in place of Snakemake's reports of every
job, which are in `.snakemake/log`; elsewhere it stands in for Snakemake's count of steps. What it knows is also written
down for `raml status`. A board that cannot be drawn or written never harms the run.
"""

import contextlib
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from raml.redaction import redacted
from raml.running import state
from raml.running.lock import Process, command
from raml.running.remains import end_strays
from raml.running.schedule import Expectation, Job, duration, kind_of, known, remaining

if TYPE_CHECKING:
    from snakemake.dag import DAG
    from snakemake.jobs import Job as SnakemakeJob

TAIL: Final = 20  # lines of a failed job's log
_COMMAND_FAILED: Final = "CalledProcessError in file"  # with all of the job's command, configuration and all
_REDRAWN: Final = 1.0  # seconds
_SAVED: Final = 1.0  # seconds between two writes, but for the last
_MANY: Final = 300  # jobs, of which laying them out takes so long that it is done less often
_RECKONED_MANY: Final = 10.0  # seconds


class Board(logging.Handler):
    """The state of one run.

    Args:
        scale: what is run.
        jobs: all jobs that are to be done, by Snakemake's number.
        expectation: what is known of their lengths.
        slots: cores, or jobs that a cluster takes at once.
        by_threads: slots are cores.
        stream: where the line goes.
    """

    def __init__(
        self,
        scale: str,
        jobs: Mapping[int, Job],
        expectation: Expectation,
        slots: int,
        *,
        by_threads: bool,
        stream: TextIO = sys.stderr,
    ) -> None:
        """Draw nothing yet."""
        super().__init__(logging.INFO)
        self._scale, self._jobs, self._slots, self._by_threads = scale, dict(jobs), slots, by_threads
        self._expectation = expectation
        self._left = set(jobs)
        self._running: dict[int, state.Running] = {}
        self._failed: dict[int, state.Failed] = {}  # those tried again and done are taken out
        self._reckoned: tuple[float, float] | None = None  # when all will be done, and when that was found out
        self._stream = stream
        self.interactive = stream.isatty()
        self._drawn = False
        self._ended = threading.Event()
        self._changing = threading.RLock()
        self._started = time.time()
        self._written = 0.0
        self._behind = False  # something has happened since
        self._file = Path.cwd() / state.FILE

    def begin(self) -> None:
        """Draw and write; on a terminal, again every second, elsewhere what was too early to be written."""
        self._save("running")
        threading.Thread(target=self._redraw, daemon=True, name="board").start()

    def end(self, outcome: Literal["finished", "failed"]) -> None:
        """Write down how it ended; on a terminal the line stays, with the time it all took."""
        self._ended.set()
        with self._changing, contextlib.suppress(OSError, ValueError):  # the terminal may be gone
            self._running.clear()
            self._reckoned = None
            self._save(outcome)
            self.erase()
            if self.interactive:
                print(
                    f"{self.line(None)}, after {duration(time.time() - self._started)}", file=self._stream, flush=True
                )

    def emit(self, record: logging.LogRecord) -> None:
        """Follow what Snakemake does."""
        event = getattr(record.__dict__.get("event"), "name", None)
        try:
            with self._changing:
                if event == "JOB_INFO":
                    self._begun(record.__dict__)
                elif event == "JOB_FINISHED":
                    self._finished(record.__dict__["job_id"])
                elif event == "JOB_ERROR":
                    self._broken(record.__dict__)
                elif event == "PROGRESS" and not self.interactive:
                    print(self.line(None), file=self._stream, flush=True)
        except Exception:
            self.handleError(record)

    def lets_through(self, record: logging.LogRecord) -> bool:
        """Whether Snakemake is to print the record, for which the line makes room; not what is shown here anyway."""
        event = getattr(record.__dict__.get("event"), "name", None)
        if event in ("PROGRESS", "JOB_ERROR") or _COMMAND_FAILED in str(record.msg):
            return False
        if self.interactive:
            if record.levelno < logging.WARNING:
                return False
            self.erase()
        return True

    def line(self, width: int | None) -> str:
        """The line, cut to `width` columns."""
        with self._changing:
            now, left = time.time(), self._remaining()
            text = f"{self._scale}: {len(self._jobs) - len(self._left)} of {len(self._jobs)} jobs done"
            if self._failed:
                text += f", {len(self._failed)} failed"
            if left is not None and self._left and not self._ended.is_set():
                text += f", about {duration(left)} left ({time.strftime('%H:%M', time.localtime(now + left))})"
            if self._running:
                shown = [_at_work(job, now) for job in sorted(self._running.values(), key=lambda job: job.since)]
                text += f"; {len(shown)} at work: {', '.join(shown)}"
        return text if width is None or len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"

    def erase(self) -> None:
        """Take the line from the terminal, if it is there."""
        with self._changing:
            if self._drawn:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
                self._drawn = False

    def _begun(self, told: Mapping[str, Any]) -> None:
        name = told["jobid"]
        expected = self._expectation.of(self._jobs[name]) if name in self._jobs else None
        self._running[name] = state.Running(
            id=name,
            rule=told["rule_name"],
            about=told["rule_msg"] or told["rule_name"],
            log=next(iter(told["log"]), None),
            since=time.time(),
            expected=expected,
        )
        self._save("running")

    def _finished(self, name: int) -> None:
        job = self._running.pop(name, None)
        self._left.discard(name)
        self._failed.pop(name, None)
        if job is not None and name in self._jobs:
            self._expectation.done(self._jobs[name], time.time() - job.since)
        self._save("running")

    def _broken(self, told: Mapping[str, Any]) -> None:
        if self._by_threads:  # a cluster's jobs that are on this machine are not below this process, but no strays
            end_strays()
        job = self._running.pop(told["jobid"], None)
        about = job.about if job else told["rule_name"]
        failed = state.Failed(rule=told["rule_name"], about=about, log=next(iter(told["log"]), None))
        self._failed[told["jobid"]] = failed
        self.erase()
        print("\n".join(failure(failed)), file=self._stream, flush=True)
        self._save("running")

    def _remaining(self) -> float | None:
        """Seconds until all jobs are done, found out no more often than shown; None if nothing is known of some."""
        now = time.time()
        if self._reckoned is not None and self._left:
            ends, since = self._reckoned
            if 0 <= now - since < (_REDRAWN if len(self._left) <= _MANY else _RECKONED_MANY):
                return max(0.0, ends - now)
        left = self._laid_out()
        self._reckoned = None if left is None else (now + left, now)
        return left

    def _laid_out(self) -> float | None:
        jobs = {name: self._jobs[name] for name in self._left}
        expected = [self._expectation.of(job) for job in jobs.values()]
        seconds = known(expected)
        if seconds is None:
            return None
        had = {name: time.time() - job.since for name, job in self._running.items()}
        by_name = dict(zip(jobs, seconds, strict=True))
        return remaining(jobs, by_name, had, self._slots, by_threads=self._by_threads)

    def _save(self, outcome: Literal["running", "finished", "failed"]) -> None:
        now = time.time()
        if outcome == "running" and now - self._written < _SAVED and len(self._left) < len(self._jobs):
            self._behind = True
            return
        self._written, self._behind = now, False
        left = self._remaining()
        with contextlib.suppress(OSError):
            state.write(
                state.Run(
                    scale=self._scale,
                    command=command(),
                    process=Process.of(os.getpid()),
                    started=self._started,
                    updated=now,
                    state=outcome,
                    done=len(self._jobs) - len(self._left),
                    total=len(self._jobs),
                    ends=None if left is None else now + left,
                    running=list(self._running.values()),
                    failed=list(self._failed.values()),
                ),
                self._file,
            )

    def _redraw(self) -> None:
        while not self._ended.wait(_REDRAWN):
            with self._changing, contextlib.suppress(OSError, ValueError):
                if self._ended.is_set():
                    return
                if self.interactive or self._behind:
                    self._save("running")
                if not self.interactive:
                    continue
                self._stream.write("\r\x1b[K" + self.line(shutil.get_terminal_size().columns - 1))
                self._stream.flush()
                self._drawn = True


def watch(dag: "DAG", scale: str, *, slots: int, by_threads: bool) -> Board:
    """A board for the jobs of `dag`, listening to Snakemake from now on."""
    from snakemake.logging import logger

    folder = Path("benchmarks", scale)
    needed = list(dag.needrun_jobs())
    numbers = {job: dag.jobid(job) for job in needed}
    jobs = {number: _described(job, dag, numbers, folder) for job, number in numbers.items()}
    expectation = Expectation.read(folder, Path("results", scale, "times.json"))
    board = Board(scale, jobs, expectation, slots, by_threads=by_threads)
    board.begin()
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.addFilter(board.lets_through)
    logger.addHandler(board)
    return board


def failure(job: state.Failed) -> list[str]:
    """What is said of a failed job: which, and how its log ends."""
    tail = state.log_tail(Path(job.log), TAIL) if job.log else []
    if not tail:
        return [f"failed: {job.about} ({job.rule}); its log {job.log or ''} is empty: it was killed, or did not start"]
    shown = (f"  | {redacted(line)}" for line in tail)
    return [f"failed: {job.about} ({job.rule}); the end of {job.log}:", *shown]


def _described(job: "SnakemakeJob", dag: "DAG", numbers: Mapping[Any, int], folder: Path) -> Job:
    benchmark = str(job.benchmark) if job.benchmark else None
    return Job(
        benchmark=benchmark,
        kind=kind_of(benchmark, folder) if benchmark else job.rule.name,
        threads=job.threads,
        priority=job.priority,
        after=frozenset(numbers[other] for other in dag.dependencies[job] if other in numbers),
    )


def _at_work(job: state.Running, now: float) -> str:
    had = duration(now - job.since)
    return f"{job.about} ({had})" if job.expected is None else f"{job.about} ({had} of {duration(job.expected)})"
