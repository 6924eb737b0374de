"""The live line, what it writes down, and the end of a failed job's log, from the records that Snakemake logs."""

import io
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from raml.running import slurm, state
from raml.running.live import Board
from raml.running.schedule import Expectation, Job


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    return tmp_path


def board(stream: io.StringIO) -> Board:
    """Of two trainings, the second after the first."""
    jobs = {
        1: Job(benchmark="a", kind="sft", threads=1, priority=0, after=frozenset()),
        2: Job(benchmark="b", kind="dpo", threads=1, priority=0, after=frozenset({1})),
    }
    return Board("micro", jobs, Expectation({"a": 600.0, "b": 300.0}, {}), 2, by_threads=True, stream=stream)


def record(event: LogEvent | None, level: int = logging.INFO, **told: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "", 0, "text", (), None)
    made.__dict__.update(told, event=event)
    return made


def about(number: int, log: str | None = None) -> dict[str, Any]:
    return {"jobid": number, "rule_name": "train_sft", "rule_msg": "Train sft", "log": [log] if log else []}


def test_the_line_counts_jobs_and_says_when_all_will_be_done() -> None:
    shown = io.StringIO()
    followed = board(shown)
    followed.begin()
    assert followed.line(None).startswith("micro: 0 of 2 jobs done, about 15 min left (")
    followed.emit(record(LogEvent.JOB_INFO, **about(1)))
    assert "; 1 at work: Train sft (0 s of 10 min)" in followed.line(None)
    assert len(followed.line(40)) == 40
    followed.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    followed.emit(record(LogEvent.PROGRESS))
    assert shown.getvalue().startswith("micro: 1 of 2 jobs done, about ")
    followed.emit(record(LogEvent.JOB_INFO, **about(2)))
    followed.emit(record(LogEvent.JOB_FINISHED, job_id=2))
    followed.end("finished")
    assert followed.line(None) == "micro: 2 of 2 jobs done"


def test_what_it_knows_is_written_down() -> None:
    followed = board(io.StringIO())
    followed.begin()
    run = state.read()
    assert run is not None and run.state == "running" and run.process.lives()
    assert (run.done, run.total, run.running) == (0, 2, [])
    assert run.ends is not None and round(run.ends - run.updated) == 900
    assert state.ended_early()
    followed.emit(record(LogEvent.JOB_INFO, **about(1)))
    followed.emit(record(LogEvent.JOB_ERROR, **about(1, "none.log") | {"rule_msg": None}))
    assert ", 1 failed" in followed.line(None)
    followed.end("failed")
    run = state.read()
    assert run is not None and run.state == "failed"
    assert [(job.rule, job.about, job.log) for job in run.failed] == [("train_sft", "Train sft", "none.log")]
    followed.emit(record(LogEvent.JOB_INFO, **about(1)))  # tried again
    followed.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    followed.end("finished")
    run = state.read()
    assert run is not None and run.failed == []
    assert not state.ended_early()


def test_a_terminal_that_is_gone_keeps_no_run_from_its_end(checkout: Path) -> None:
    gone = Terminal()
    followed = board(gone)
    followed.begin()
    gone.close()
    followed.end("finished")
    run = state.read()
    assert run is not None and run.state == "finished"


def test_secrets_are_not_shown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "of-letters-and-more")
    monkeypatch.setattr(sys, "argv", ["snakemake", "--config", "x=of-letters-and-more"])
    log = checkout / "sft.log"
    log.write_text("error: no access with of-letters-and-more\n")
    shown = io.StringIO()
    followed = board(shown)
    followed.begin()
    followed.emit(record(LogEvent.JOB_ERROR, logging.ERROR, **about(1, str(log))))
    assert "no access with [HF_TOKEN]" in shown.getvalue()
    followed.end("failed")
    assert "of-letters-and-more" not in shown.getvalue() + state.FILE.read_text()


def test_a_failed_job_shows_the_last_lines_of_its_log(checkout: Path) -> None:
    log = checkout / "sft.log"
    log.write_text(
        "".join(f"line {n}\n" for n in range(100)) + "sft:  0%\rsft: 50%\r\n\nerror: the model is not finite\n"
    )
    shown = io.StringIO()
    followed = board(shown)
    followed.emit(record(LogEvent.JOB_INFO, **about(1, str(log))))
    followed.emit(record(LogEvent.JOB_ERROR, logging.ERROR, **about(1, str(log))))
    lines = shown.getvalue().splitlines()
    assert lines[0] == f"failed: Train sft (train_sft); the end of {log}:"
    assert lines[-2:] == ["  | sft: 50%", "  | error: the model is not finite"]
    assert len(lines) == 1 + 20


def test_jobs_of_slurm_are_those_of_this_folder_that_snakemake_submitted() -> None:
    run = "2b1c7e9a-0d3f-4c55-9a51-0123456789ab"
    text = (
        f"12|RUNNING|1:02|node3|{run}|rule_train_dpo_wildcards_0|/data/raml\n"
        f"13|PENDING|0:00|(Resources)|{run}|rule_score|/data/raml\n"
        f"14|RUNNING|9:00|node1|{run}|rule_score|/data/other\n"
        "15|RUNNING|9:00|node1|wrap|(null)|/data/raml\n"
        "slurm_load_jobs error\n"
    )
    found = slurm.listed(text, Path("/data/raml"))
    assert [(job.id, job.state, job.rule) for job in found] == [
        ("12", "running", "train_dpo 0"),
        ("13", "pending", "score"),
    ]
