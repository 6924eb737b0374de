"""`raml status`: the run that is at work in this folder, on this machine or on Slurm, and how the last one ended."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from raml.redaction import redacted

if TYPE_CHECKING:
    from raml.running.lock import Holder
    from raml.running.slurm import Job
    from raml.running.state import Run

    State = Literal["running", "starting", "finished", "failed", "killed", "none"]


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Tell what the workflow is doing in this folder: jobs done and at work, when all will be done, what failed.

    Reads what the run writes down itself, so it can be called at any time and disturbs nothing; on a cluster it also
    asks Slurm (`squeue`).
    """
    from raml.running import slurm, state

    run, jobs = state.read(), slurm.jobs_here()
    found = _state(run)
    if as_json:
        typer.echo(json.dumps(_told(found, run, jobs), indent=2))
        return
    for line in _lines(found, run):
        typer.echo(redacted(line))
    if jobs is None and run is not None and "slurm" in run.command:
        typer.echo("Slurm does not answer (squeue)")
    elif jobs:
        _show_slurm(jobs)


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


def _told(found: "State", run: "Run | None", jobs: "list[Job] | None") -> dict[str, Any]:
    told: dict[str, Any] = {"state": found, "folder": str(Path.cwd())}
    if run is not None:
        told |= run.model_dump(mode="json", exclude={"state"})
        told["running"] = [job | {"progress": _progress(job["log"])} for job in told["running"]]
        if found != "running":
            told |= {"running": [], "ends": None}
    return told | {"slurm": None if jobs is None else [vars(job) for job in jobs]}


def _lines(found: "State", run: "Run | None") -> list[str]:
    from raml.running.live import failure
    from raml.running.schedule import duration

    here = Path.cwd()
    if found == "starting":
        return [f"a run is starting in {here}"]
    if run is None:
        return [f"nothing runs in {here}, and no run was started here; `snakemake --cores 2` starts one"]
    now = time.time()
    count = f"{run.done} of {run.total} jobs done"
    if found == "running":
        elsewhere = f"on {run.process.host}, as of {duration(now - run.updated)} ago, " if not run.process.here else ""
        lines = [f"{run.scale}: {elsewhere}{count}{_ending(run, now)}, {len(run.running)} at work ({run.command})"]
        for job in sorted(run.running, key=lambda job: job.since):
            expected = "" if job.expected is None else f" of about {duration(job.expected)}"
            lines.append(f"  {job.about}: {duration(now - job.since)}{expected}, {job.log or 'no log'}")
            if progress := _progress(job.log):
                lines.append(f"    {progress}")
        return lines + [line for job in run.failed for line in failure(job)]
    ago = f"{duration(now - run.updated)} ago"
    if found == "killed":
        how = (
            "was killed"
            if run.process.here
            else f"on {run.process.host} was killed, or has a lock that is not seen here,"
        )
        return [f"nothing runs in {here}; the last run ({run.scale}) {how} {ago}, {count}; go on with: {run.command}"]
    if found == "failed":
        told = [f"nothing runs in {here}; the last run ({run.scale}) failed {ago}, {count}; go on with: {run.command}"]
        return told + [line for job in run.failed for line in failure(job)]
    return [f"nothing runs in {here}; the last run ({run.scale}) ended {ago}, {count}"]


def _ending(run: "Run", now: float) -> str:
    from raml.running.schedule import duration

    if run.ends is None:
        return ""
    left = run.ends - now
    at = time.strftime("%H:%M", time.localtime(run.ends))
    return f", about {duration(left)} left ({at})" if left > 0 else ", longer than expected"


def _progress(log: str | None) -> str:
    """The last line of a job's log, which of most jobs is a progress line."""
    from raml.running import state

    return redacted(next(iter(state.log_tail(Path(log), 1)), "")) if log else ""


def _show_slurm(jobs: "list[Job]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from raml.cli import common

    table = Table(title=f"Slurm: {len(jobs)} jobs of this folder", title_justify="left")
    for heading in ("job", "state", "time", "where, or why it waits", "rule"):
        table.add_column(heading, no_wrap=True)
    for job in jobs:
        table.add_row(*(escape(part) for part in (job.id, job.state, job.used, job.where, job.rule)))
    common.console().print(table)
