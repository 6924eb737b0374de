"""A clone knows how its results were made: nothing reruns, and what differs does, whatever the files' times are."""

import json
import os
import shutil
from pathlib import Path

import pytest
from checkout import SOURCES, Built, Checkout, copy, scramble_times

from raml.running import lock, state

pytestmark = [pytest.mark.workflow, pytest.mark.timeout(900)]

FROM_CLAIMS = {"decide": 1, "draw": 1, "draw_raw": 1, "environment": 1, "build_report": 1, "crate": 1}


@pytest.fixture
def clone(built: Built, tmp_path: Path) -> Checkout:
    """Sources and results of the finished run without Snakemake's own records, with times that mean nothing."""
    root = tmp_path / "clone"
    root.mkdir()
    for name in [*SOURCES, "results"]:
        copy(built.checkout.root / name, root / name)
    scramble_times(root)
    return Checkout(root)


def edit(path: Path, old: str, new: str) -> None:
    """Replace text in a file that keeps its time, as a clone's files may have any."""
    time = path.stat().st_mtime
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    os.utime(path, (time, time))


def test_a_clone_has_nothing_to_do(clone: Checkout) -> None:
    assert clone.planned() == {}
    scramble_times(clone.root)
    assert clone.planned() == {}


def test_without_records_everything_is_made_anew(clone: Checkout, built: Built) -> None:
    shutil.rmtree(clone.root / "results" / "minimal" / "records")
    planned = clone.planned()
    assert planned["build_questions"] == planned["pretrain"] == planned["decide"] == 1
    assert sum(planned.values()) == sum(clone.planned("--forceall").values())


def test_a_damaged_file_is_made_again(copy_of_built: Checkout) -> None:
    os.truncate(copy_of_built.root / "results" / "minimal" / "evaluations" / "evaluations.parquet", 100)
    assert copy_of_built.planned("quantities") == {"score": 1, "quantities": 1}


def test_a_file_of_other_bytes_is_made_anew(clone: Checkout) -> None:
    weights = clone.root / "results" / "minimal" / "models" / "seed0" / "sft_short" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    planned = clone.planned()
    assert planned["train_sft_short"] == 1 and "train_sft_long" not in planned


def test_an_older_input_of_other_bytes_is_no_sign_of_freshness(clone: Checkout) -> None:
    assert clone.planned() == {}
    edit(clone.root / "config" / "reported.yaml", "20.34", "20.35")
    os.utime(clone.root / "config" / "reported.yaml", (1, 1))
    assert FROM_CLAIMS.items() <= clone.planned().items()
    edit(clone.root / "config" / "reported.yaml", "20.35", "20.34")
    assert clone.planned() == {}


@pytest.mark.dag
def test_records_have_nothing_of_the_run_and_survive_it(clone: Checkout, built: Built) -> None:
    folder = built.checkout.root / "results" / "minimal" / "records"
    before = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    assert list(before) == ["analysis.json", "questions.json", "training.json", "trajectories.json"]
    assert str(built.checkout.root).encode() not in b"".join(before.values())
    assert not {"starttime", "endtime", "job_hash"} & json.loads(before["questions.json"])["jobs"][0].keys()
    (clone.root / "results" / "minimal" / "figures" / "tab2.svg").unlink()
    assert clone.run().returncode == 0
    assert {
        path.name: path.read_bytes() for path in (clone.root / folder.relative_to(built.checkout.root)).iterdir()
    } == before


@pytest.mark.dag
def test_a_clone_of_the_small_results_loses_no_record(clone: Checkout) -> None:
    """Without what DVC holds: what is there has nothing to do, and a run leaves the records of the rest alone."""
    results = clone.root / "results" / "minimal"
    for folder in ("models", "trajectories", "probes", "evaluations/samples", "evaluations/sweeps"):
        shutil.rmtree(results / folder)
    figure = "results/minimal/figures/tab2.svg"
    assert clone.planned(figure) == {}
    before = {path.name: path.read_bytes() for path in (results / "records").iterdir()}
    (clone.root / figure).unlink()
    assert clone.run(figure).returncode == 0
    assert {path.name: path.read_bytes() for path in (results / "records").iterdir()} == before


def test_the_run_after_a_killed_one_keeps_its_records(copy_of_built: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = copy_of_built.root / "results" / "minimal" / "records" / "questions.json"
    before = kept.read_bytes()
    kept.unlink()
    monkeypatch.chdir(copy_of_built.root)
    killed = state.Run(
        scale="minimal",
        command="snakemake questions_phase",
        process=lock.Process.of(os.getpid()).model_copy(update={"began": 0}),
        started=0.0,
        updated=0.0,
        state="running",
        done=1,
        total=2,
        ends=None,
        running=[],
        failed=[],
    )
    state.write(killed)
    ran = copy_of_built.run("questions_phase")
    assert ran.returncode == 0 and "Nothing to be done" in ran.stderr + ran.stdout
    assert kept.read_bytes() == before


def test_touching_and_damaged_records_are_refused_in_one_line(clone: Checkout) -> None:
    ran = clone.run("--touch", "--config", "scale=minimal", "evaluation={n: 5}")
    assert ran.returncode == 2
    assert "error: --touch would call old results new" in ran.stderr
    (clone.root / "results" / "minimal" / "records" / "training.json").write_text("{")
    ran = clone.run("--dry-run")
    assert ran.returncode == 2
    assert "error: results/minimal/records/training.json is damaged; take it from git again" in ran.stderr
