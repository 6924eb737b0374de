"""`raml status`."""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raml.running import lock, state


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # without squeue
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / "dpo.log").write_text("dpo:  10%|#   | 1/10\rdpo:  20%|##  | 2/10")
    return tmp_path


def wrote(**changed: Any) -> None:
    """A run by this process, which has been at work for an hour."""
    now = time.time()
    working = state.Running(
        id=3, rule="train_dpo", about="Train dpo, seed 0", log="dpo.log", since=now - 120, expected=600.0
    )
    run = state.Run(
        scale="micro",
        command="snakemake --cores 2 all",
        process=lock.Process.of(os.getpid()),
        started=now - 3600,
        updated=now,
        state="running",
        done=12,
        total=56,
        ends=now + 7200,
        running=[working],
        failed=[],
    )
    state.write(run.model_copy(update=changed))


def test_a_run_at_work_is_told_with_its_jobs_and_their_progress(
    raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrote()
    assert raml_command("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("micro: 12 of 56 jobs done, about 2 h 00 min left (")
    assert lines[0].endswith("), 1 at work (snakemake --cores 2 all)")
    assert lines[1:] == ["  Train dpo, seed 0: 2 min of about 10 min, dpo.log", "    dpo:  20%|##  | 2/10"]


def test_a_run_on_another_machine_is_told_as_it_was_last_written(
    raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrote(process=lock.Process(pid=1, began=0, boot="", host="login2"), updated=time.time() - 180)
    taken = lock.take()
    assert raml_command("status") == 0
    assert capsys.readouterr().out.startswith("micro: on login2, as of 3 min ago, 12 of 56 jobs done, about 2 h 00 min")
    taken.release()  # as when its container was killed
    assert raml_command("status") == 0
    assert "the last run (micro) on login2 was killed, or has a lock that is not seen here, 3 min ago" in (
        capsys.readouterr().out
    )


def test_a_killed_run_is_told_in_one_line_with_how_to_go_on(
    raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = lock.Process.of(os.getpid()).model_copy(update={"began": 0})
    wrote(process=gone)
    assert raml_command("status") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "nothing runs in " in line
    assert re.search(r"\(micro\) was killed \d+ s ago, 12 of 56 jobs done", line)
    assert line.endswith("go on with: snakemake --cores 2 all")
    assert raml_command("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["running"], told["ends"]) == ("killed", [], None)


def test_secrets_in_logs_are_not_shown(
    checkout: Path,
    raml_command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "of-letters-and-more")
    (checkout / "dpo.log").write_text("asked with of-letters-and-more")
    wrote()
    for options in ((), ("--json",)):
        assert raml_command("status", *options) == 0
        shown = capsys.readouterr().out
        assert "of-letters-and-more" not in shown
        assert "asked with [HF_TOKEN]" in shown


def test_a_failed_run_shows_the_end_of_the_log(
    raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrote(state="failed", failed=[state.Failed(rule="train_dpo", about="Train dpo, seed 0", log="dpo.log")])
    assert raml_command("status") == 0
    shown = capsys.readouterr().out
    assert re.search(r"failed \d+ s ago", shown)
    assert "  | dpo:  20%|##  | 2/10" in shown


def test_a_finished_run_and_none_at_all_are_one_line(
    checkout: Path, raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert raml_command("status") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "no run was started here" in line and "snakemake --cores 2" in line
    wrote(state="finished", done=56, running=[])
    assert raml_command("status") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert re.search(r"the last run \(micro\) ended \d+ s ago, 56 of 56 jobs done$", line)


def test_a_slurm_that_does_not_answer_is_told_of_a_run_on_slurm(
    checkout: Path, raml_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "squeue").write_text("#!/bin/sh\nexit 1\n")
    (checkout / "squeue").chmod(0o755)
    wrote()
    assert raml_command("status") == 0
    assert "Slurm" not in capsys.readouterr().out
    wrote(command="snakemake --profile workflow/profiles/slurm")
    assert raml_command("status") == 0
    assert capsys.readouterr().out.endswith("Slurm does not answer (squeue)\n")
    assert raml_command("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["slurm"] is None
