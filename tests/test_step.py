import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raml.config import Section
from raml.errors import ConfigError, DataError, RamlError
from raml.step import WORKFLOW_PID, Step, check_lengths, run


class Settings(Section):
    rate: float


seen: list[Step[Settings]] = []


def note(step: Step[Settings]) -> None:
    seen.append(step)


def fail(step: Step[Settings]) -> None:
    raise RamlError("the loss is not finite")


def refuse(step: Step[Settings]) -> None:
    raise DataError("x.parquet is truncated")


def arguments(*more: str, config: str = '{"rate": 0.5}') -> list[str]:
    return ["--scale", "micro", "--config", config, *more]


def test_a_step_gets_its_settings_files_and_names(tmp_path: Path) -> None:
    seen.clear()
    here = str(tmp_path)
    run(
        note,
        Settings,
        inputs=["base"],
        many=["sample_files"],
        outputs=["out"],
        names=["model"],
        arguments=arguments(
            "--seed", "3", "--base", here, "--sample-files", here, here, "--out", "o/p", "--model", "sft"
        ),
    )
    (step,) = seen
    assert step.module == __name__
    assert (step.scale, step.seed, step.config.rate) == ("micro", 3, 0.5)
    assert step.files == {"base": tmp_path, "out": Path("o/p")}
    assert step.lists == {"sample_files": [tmp_path, tmp_path]}
    assert step.names == {"model": "sft"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"rate": "fast"}', "error: --config: rate = 'fast': "),
        ('{"rate": 1, "colour": 2}', "error: --config: unknown key colour; allowed here: rate"),
        ("{", "error: --config is not JSON"),
    ],
)
def test_bad_settings_end_with_one_line_and_exit_code_2(
    config: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(note, Settings, arguments=arguments(config=config))
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_lists_that_go_together_are_equally_long() -> None:
    check_lengths({"--models": ["a", "b"], "--outs": ["c", "d"]})
    with pytest.raises(ConfigError, match=r"^2 --models, 1 --outs: give as many of each"):
        check_lengths({"--models": ["a", "b"], "--outs": ["c"]})


def test_a_missing_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "x.parquet"
    with pytest.raises(SystemExit) as ended:
        run(note, Settings, many=["samples"], arguments=arguments("--samples", str(tmp_path), str(missing)))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: --samples = {missing} does not exist\n"


@pytest.mark.parametrize(("main", "exit_code"), [(fail, 1), (refuse, 2)])
def test_named_errors_end_without_a_traceback(main, exit_code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(main, Settings, arguments=arguments())
    assert ended.value.code == exit_code
    assert capsys.readouterr().err.count("\n") == 1


def test_the_provenance_names_scale_seed_and_settings() -> None:
    step = Step(module="raml.config", scale="small", config=Settings(rate=1), seed=2, files={}, names={})
    provenance = step.provenance(model_hash="m")
    assert (provenance.scale, provenance.seed, provenance.model_hash) == ("small", 2, "m")


def test_a_job_ends_with_the_workflow_that_started_it() -> None:
    workflow = subprocess.Popen(["sleep", "60"])
    job = subprocess.Popen(
        [sys.executable, "-c", JOB], env={**os.environ, WORKFLOW_PID: str(workflow.pid)}, stdout=subprocess.PIPE
    )
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == b"at work\n"
        time.sleep(1)
        assert job.poll() is None
        workflow.kill()
        workflow.wait()
        assert job.wait(timeout=10) == -signal.SIGKILL
    finally:
        workflow.kill()
        job.kill()


JOB = f"""
import time
from raml.config import Section
from raml.step import run

class Settings(Section):
    pass

def work(step):
    print("at work", flush=True)
    time.sleep(60)

run(work, Settings, arguments={json.dumps(["--scale", "micro", "--config", "{}"])})
"""
