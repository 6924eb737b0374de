"""`raml status`: the run that is at work in this folder, on this machine or on Slurm, and how the last one ended."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raml.cli.options import Json
from raml.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from raml.running.lock import Holder
    from raml.running.slurm import Job
    from raml.running.state import Run

    State = Literal["running", "starting", "finished", "failed", "killed", "none"]


def status(as_json: Json = False) -> None:
    """Tell what the workflow is doing in this folder: jobs done and at work, when all will be done, what failed.

    Reads what the run writes down itself, so it can be called at any time and disturbs nothing; on a cluster it also
    asks Slurm (`squeue`).
    """
    from raml.running import slurm, state

    run, jobs = state.read(), slurm.jobs_here()
    now = _state(run)
    if as_json:
        print_json(_as_json(now, run, jobs))
        return
    for line in _lines(now, run):
        print_line(line)
    if jobs is None and run is not None and "slurm" in run.command:
        print_line("Slurm does not answer (squeue)")
    elif jobs:
        headings = ("job", "state", "time", "rule", "where, or why it waits")
        rows = [(job.id, job.state, job.used, job.rule, job.where) for job in jobs]
        print_table(f"Slurm: {len(jobs)} jobs of this folder", headings, rows, texts=5, wide=headings[-1])


def _state(run: "Run | None") -> "State":
    """What is going on: a run that says it is at work may have been killed, and one that starts has not said so yet."""
    from raml.running import lock

    holder = lock.last_holder()
    if holder is not None and (run is None or holder.process != run.process) and _lives(holder):
        return "starting"
    if run is None:
        return "none"
    if run.state != "running":
        return run.state
    return "running" if _lives(run) else "killed"


def _lives(run: "Holder | Run") -> bool:
    """Whether the run goes on; one of another machine, or of a container that is gone, does while the lock is held."""
    from raml.running import lock

    if not run.process.here:
        return lock.is_held() is not False
    return run.lives() if isinstance(run, lock.Holder) else run.process.lives()


def _as_json(now: "State", run: "Run | None", jobs: "list[Job] | None") -> dict[str, Any]:
    value: dict[str, Any] = {"state": now, "folder": str(Path.cwd()), "slurm": jobs and [vars(job) for job in jobs]}
    if run is not None:
        value |= run.model_dump(mode="json", exclude={"state"})
        value["running"] = [job | {"progress": _progress(job["log"])} for job in value["running"]]
        if now != "running":
            value |= {"running": [], "ends": None}
    return value


def _lines(now: "State", run: "Run | None") -> "Iterator[str]":
    from raml.running.live import failure
    from raml.running.schedule import duration

    here = Path.cwd()
    if now == "starting":
        yield f"a run is starting in {here}"
        return
    if run is None:
        yield f"nothing runs in {here}, and no run was started here; `snakemake --cores 2` starts one"
        return
    ago, count = f"{duration(time.time() - run.updated)} ago", f"{run.done} of {run.total} jobs done"
    if now == "running":
        where = "" if run.process.here else f"on {run.process.host}, as of {ago}, "
        yield f"{run.scale}: {where}{count}{_time_left(run)}, {len(run.running)} at work ({run.command})"
        for job in sorted(run.running, key=lambda job: job.since):
            expected = "" if job.expected is None else f" of about {duration(job.expected)}"
            yield f"  {job.about}: {duration(time.time() - job.since)}{expected}, {job.log or 'no log'}"
            if progress := _progress(job.log):
                yield f"    {progress}"
    else:
        elsewhere = f"on {run.process.host} was killed, or has a lock that is not seen here,"
        killed = "was killed" if run.process.here else elsewhere
        end = {"finished": "ended", "failed": "failed", "killed": killed}[now]
        hint = "" if now == "finished" else f"; go on with: {run.command}"
        yield f"nothing runs in {here}; the last run ({run.scale}) {end} {ago}, {count}{hint}"
    if now != "killed":
        for failed in run.failed:
            yield from failure(failed)


def _time_left(run: "Run") -> str:
    from raml.running.schedule import duration

    if run.ends is None:
        return ""
    left = run.ends - time.time()
    clock = time.strftime("%H:%M", time.localtime(run.ends))
    return f", about {duration(left)} left ({clock})" if left > 0 else ", longer than expected"


def _progress(log: str | None) -> str:
    """The last line of a job's log, which of most jobs is a progress line."""
    from raml.running import state

    return next(iter(state.log_tail(Path(log), 1)), "") if log else ""
