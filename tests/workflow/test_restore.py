"""Results travel through git and a DVC remote: a clone restores them in one command and has nothing to do."""

import shutil
import sys
from pathlib import Path

import pytest
from checkout import Checkout, scramble_times
from versioned import cloned, commit, run

pytestmark = [pytest.mark.dag, pytest.mark.timeout(1800)]


def raml(root: Path, *arguments: str, code: int = 0) -> str:
    return run(root, sys.executable, "-c", "from raml.cli import main; main()", *arguments, code=code)


def test_a_clone_restores_and_has_nothing_to_do(published: Path, tmp_path: Path) -> None:
    clone = cloned(published, tmp_path / "clone")
    assert (clone.root / "results" / "minimal" / "report" / "index.html").is_file()
    assert not (clone.root / "results" / "minimal" / "models").exists()
    assert "files restored; all" in raml(clone.root, "restore", "--scale", "minimal")
    assert "0 files restored" in raml(clone.root, "restore", "--scale", "minimal")
    assert clone.planned() == {}
    assert "up to date" in run(clone.root, "dvc", "status")
    assert run(clone.root, "git", "status", "--porcelain") == ""
    assert clone.run().returncode == 0
    assert run(clone.root, "git", "status", "--porcelain") == ""
    (clone.root / "results" / "minimal" / "models" / "seed0" / "dpo" / "model.safetensors").unlink()
    assert clone.planned()["train_dpo"] == 1
    (clone.root / "results" / "minimal" / "claims.json").write_text("[]")
    told = raml(clone.root, "restore", "--scale", "minimal", code=1)
    assert "1 of" in told and "results/minimal/claims.json" in told and "git checkout" in told


def test_after_dvc_pull_changes_rerun_exactly_their_jobs(published: Path, tmp_path: Path) -> None:
    clone, origin = cloned(published, tmp_path / "clone"), Checkout(published)
    run(clone.root, "dvc", "pull")
    scramble_times(clone.root)
    assert clone.planned() == {}
    of_landscape = origin.planned("--forcerun", "landscape")
    assert of_landscape["landscape"] == of_landscape["draw_raw"] == 1 and "sample_base" not in of_landscape
    assert clone.planned("--config", "scale=minimal", "landscape={radius: 0.5}") == of_landscape
    source = clone.root / "src" / "raml" / "probing" / "landscapes.py"
    text = source.read_text()
    source.write_text(text.replace("import torch\n", "import torch  # for its threads\n"))
    assert clone.planned() == {}
    source.write_text(text.replace("settings.size**2", "settings.size * settings.size"))
    assert clone.planned() == of_landscape
    source.write_text(text)
    (clone.root / "results" / "minimal" / "models" / "seed0" / "dpo" / "config.json").unlink()
    assert clone.planned() == origin.planned("--forcerun", "train_dpo")


def test_a_second_run_changes_no_byte_and_not_dvc_lock(published: Path, tmp_path: Path) -> None:
    clone = cloned(published, tmp_path / "clone")
    shutil.rmtree(clone.root / "results")
    run(clone.root, "dvc", "repro")
    assert clone.artifacts() == Checkout(published).artifacts()
    assert run(clone.root, "git", "status", "--porcelain") == ""  # dvc.lock, records and small results


def test_branches_switch_with_their_results(published: Path, tmp_path: Path) -> None:
    clone = cloned(published, tmp_path / "clone")
    raml(clone.root, "restore", "--scale", "minimal")
    run(clone.root, "git", "switch", "--quiet", "--create", "other")
    scale = clone.root / "config" / "scales" / "minimal.yaml"
    scale.write_text(scale.read_text().replace("answer_tokens: ", "answer_tokens: 1"))
    assert clone.planned()["efficiency"] == 1
    run(clone.root, "dvc", "repro")
    assert clone.planned() == {}
    commit(clone.root, "Longer answers")
    for branch in ("main", "other"):
        run(clone.root, "git", "switch", "--quiet", branch)
        assert clone.planned()["efficiency"] == 1  # the table is still the other branch's
        run(clone.root, "dvc", "checkout")
        assert clone.planned() == {}
        assert "up to date" in run(clone.root, "dvc", "status")


def test_what_cannot_be_restored_is_said_in_one_line(published: Path, tmp_path: Path) -> None:
    clone = cloned(published, tmp_path / "clone")
    told = raml(clone.root, "restore", "--scale", "micro", code=2)
    assert "no records of scale 'micro'" in told and "scales with records: minimal" in told
    assert "configured are store" in raml(clone.root, "restore", "--scale", "minimal", "--remote", "elsewhere", code=2)
    shutil.rmtree(tmp_path / "store")
    assert "dvc checkout` failed" in raml(clone.root, "restore", "--scale", "minimal", code=1)
    run(clone.root, "dvc", "remote", "remove", "store")
    assert "no DVC remote is configured" in raml(clone.root, "restore", "--scale", "minimal", code=2)
