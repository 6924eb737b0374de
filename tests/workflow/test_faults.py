"""Bad input ends with one line that names it; a fault never leaves something half-written that counts as done."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import polars as pl
import pytest
from checkout import ROOT, Built, Checkout, copy, environment
from pydantic_core import to_jsonable_python

from raml.config import canonical_json, load_scale
from raml.errors import RamlError
from raml.running import lock
from raml.schemas import Question
from raml.storage import Provenance, read_table, write_table

T = TypeVar("T")

pytestmark = pytest.mark.timeout(900)  # the first to need the whole DAG waits for it

SCALE = load_scale("minimal", folder=ROOT / "config" / "scales")
PROVENANCE = Provenance(scale="minimal", config_hash="c", code_version="v", seed=0)


def run_step(module: str, section: str, **files: Path) -> subprocess.CompletedProcess[str]:
    """Run a step by itself, as Snakemake would."""
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    command = [sys.executable, "-m", module, "--scale", "minimal", "--config", section, *options]
    return subprocess.run(
        command, env={**environment(), "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True
    )


def as_json(sections: dict[str, object]) -> str:
    """Sections of the configuration as a step receives them."""
    return json.dumps(to_jsonable_python(sections))


# Bad settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["scale=huge"], r"unknown scale 'huge'; allowed: .*minimal.*"),
        ([f"scale={'x' * 300}"], r"cannot read the scale x{80}: File name too long"),
        (["scale=minimal", "colour=red"], r".*minimal\.yaml: unknown key colour; allowed here: .*sft.*"),
        (
            ["scale=minimal", 'sft={"long": {"learning_rate": -0.1}}'],
            r".*sft\.long\.learning_rate = '?-0\.1'?: input should be greater than 0",
        ),
    ],
    ids=["unknown scale", "a name that no file can have", "unknown key", "negative learning rate"],
)
@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "run"])
def test_bad_settings_end_with_one_line_and_exit_code_2(
    checkout: Checkout, settings: list[str], message: str, dry: list[str]
) -> None:
    ran = checkout.run(*dry, "--config", *settings)
    assert ran.returncode == 2
    assert ran.stdout == ""
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert len(lines) == 1
    assert re.fullmatch(f"error: {message}", lines[0])
    assert not (checkout.root / "results").exists()
    assert not (checkout.root / "logs").exists()


# Bad files


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with questions and a tokenizer as the workflow makes them."""
    folder = tmp_path_factory.mktemp("made")
    files = {name: folder / f"{name}.parquet" for name in ("train", "development", "benchmarks")}
    for ran in (
        run_step("raml.questions.build", canonical_json(SCALE.questions), **files),
        run_step("raml.trajectories.tokenizer", "{}", out=folder / "tokenizer"),
    ):
        assert ran.returncode == 0, ran.stderr
    return folder


def spoil(path: Path) -> None:
    pl.read_parquet(path).with_columns(answer=pl.lit("")).write_parquet(path)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "message"), [(spoil, "breaks the schema Question"), (truncate, "is truncated or not Parquet")]
)
def test_a_malformed_question_file_ends_with_one_line(
    made: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    questions = tmp_path / "train.parquet"
    shutil.copy(made / "train.parquet", questions)
    damage(questions)
    ran = run_step(
        "raml.trajectories.oracle",
        as_json({"oracle": SCALE.oracle, "styles": ["long"]}),
        questions=questions,
        tokenizer=made / "tokenizer",
        outs=tmp_path / "out" / "long.parquet",
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {questions} {message}")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.workflow
def test_a_failed_job_shows_the_end_of_its_log(copy_of_built: Checkout) -> None:
    table = copy_of_built.root / "results" / "minimal" / "evaluations" / "evaluations.parquet"
    before = table.stat()
    truncate(table)
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))  # damage that nothing tells
    ran = copy_of_built.run("quantities", "--forcerun", "quantities")
    assert ran.returncode == 1
    assert "evaluations.parquet is truncated or not Parquet" in ran.stdout + ran.stderr
    assert not (copy_of_built.root / "results" / "minimal" / "tables" / "quantities.parquet").exists()


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root; the tests with a file size limit stand in for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 16 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def many_questions() -> pl.DataFrame:
    """A table whose file is larger than 64 kB."""
    noise = [os.urandom(64).hex() for _ in range(2000)]
    values = {name: pl.lit("x") for name in Question.column_names()}
    values |= {"id": pl.Series(noise), "kind": pl.lit("train"), "answer_type": pl.lit("math"), "difficulty": pl.lit(1)}
    return pl.select(**values).cast(dict(Question.create_empty().schema))


def test_a_file_size_limit_leaves_the_old_table(small_files: None, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    write_table(Question.create_empty(), Question, path, PROVENANCE)
    with pytest.raises(RamlError, match=f"cannot write {path}: File too large"):
        write_table(many_questions(), Question, path, PROVENANCE)
    assert read_table(path, Question).is_empty()
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_a_step_on_a_full_disk_ends_with_one_line(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(60_000))
    ran = run_step(
        "raml.questions.build",
        canonical_json(SCALE.questions),
        train=small_disk / "q" / "train.parquet",
        development=small_disk / "q" / "development.parquet",
        benchmarks=small_disk / "q" / "benchmarks.parquet",
    )
    assert ran.returncode == 1
    assert re.fullmatch(r"error: cannot write .*: No space left on device; .*\n", ran.stderr)
    assert not list(small_disk.rglob("*.tmp"))


# A killed run


TRUNK = "results/minimal/models/seed0/trunk/"
LONGER = [f"{TRUNK}model.safetensors", "--config", "scale=minimal", 'pretraining={"steps": 150}']


@pytest.fixture(scope="module")
def undisturbed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The trunk of a pretraining that takes some seconds, by file."""
    checkout = Checkout(tmp_path_factory.mktemp("undisturbed") / "copy")
    copy(built.checkout.root, checkout.root)
    ran = checkout.run(*LONGER)
    assert ran.returncode == 0, ran.stderr
    return trunk(checkout)


@pytest.mark.workflow
@pytest.mark.parametrize(
    "victims", [pytest.param("snakemake", marks=pytest.mark.dag), "snakemake and its job"]
)  # the first is slow
def test_after_kill_9_in_training_the_next_run_repairs_itself(
    undisturbed: dict[str, str], copy_of_built: Checkout, victims: str
) -> None:
    checkout = copy_of_built
    log = checkout.root / "logs" / "minimal" / "pretrain" / "seed0.log"
    log.unlink()
    run = checkout.start(*LONGER)
    try:
        wait_for(lambda: log.exists() and "pretraining:" in log.read_text())
        job = wait_for(lambda: training_job(checkout))
        if victims != "snakemake":
            os.kill(job, signal.SIGKILL)
        run.kill()
        assert run.wait() == -signal.SIGKILL
        wait_for(lambda: not Path(f"/proc/{job}").exists())
    finally:
        run.kill()
    assert trunk(checkout) == {}

    again = checkout.run(*LONGER)
    assert again.returncode == 0, again.stderr
    assert trunk(checkout) == undisturbed


def trunk(checkout: Checkout) -> dict[str, str]:
    """The files of the model that all base models share, by path."""
    return {path: digest for path, digest in checkout.artifacts().items() if path.startswith(TRUNK)}


def test_a_second_run_says_so_in_one_line(
    new_checkout: Callable[[], Checkout], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = new_checkout()
    monkeypatch.chdir(checkout.root)
    first = lock.take()
    first.hold(None)
    for command in (["questions_phase"], ["all", "--delete-all-output"]):
        refused = checkout.run(*command)
        assert refused.returncode == 2
        _, line = refused.stderr.splitlines()  # after Snakemake's own about its profile
        assert line.startswith(f"error: another run is at work in {checkout.root} (process {os.getpid()} on ")
        assert refused.stdout == ""
    assert not (checkout.root / "results" / "minimal").exists()
    assert checkout.planned("questions_phase") == {"build_questions": 1}
    first.release()
    assert checkout.run("questions_phase").returncode == 0


def wait_for(condition: Callable[[], T | None], seconds: float = 120) -> T:
    """The condition's value once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")


def training_job(checkout: Checkout) -> int | None:
    """The process that pretrains in `checkout`, or None."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if b"raml.training.pretrain" in command and (folder / "cwd").readlink() == checkout.root:
                return int(folder.name)
        except OSError:
            continue
    return None
