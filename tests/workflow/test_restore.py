"""Results travel through git and a DVC remote: a clone restores them in one command and has nothing to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, Checkout, copy, environment

pytestmark = [pytest.mark.dag, pytest.mark.timeout(1800)]


def run(root: Path, *command: str, code: int = 0) -> str:
    """What a command prints; programs of this environment are found."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = {"PYTHONPATH": str(root / "src")}
    ran = subprocess.run(
        command, cwd=root, env={**environment(), "PATH": path, **source}, capture_output=True, text=True
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def commit(root: Path, message: str) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", message)


def raml(root: Path, *arguments: str, code: int = 0) -> str:
    return run(root, sys.executable, "-c", "from raml.cli import main; main()", *arguments, code=code)


@pytest.fixture
def published(copy_of_built: Checkout, tmp_path: Path) -> Path:
    """A repository with the small results of the finished run, the others in a remote that is a folder."""
    root = copy_of_built.root
    stages = (ROOT / "dvc.yaml").read_text().replace("micro", "minimal")
    for phase in ("questions", "trajectories", "training", "analysis"):
        stages = stages.replace(f"{phase}_phase\n", f"{phase}_phase --config scale=minimal\n")
    (root / "dvc.yaml").write_text(stages)
    ignored = (ROOT / ".gitignore").read_text().replace("/results/minimal/\n", "")
    (root / ".gitignore").write_text(ignored)
    copy(ROOT / ".dvcignore", root / ".dvcignore")
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        copy(ROOT / ".dvc" / name, root / ".dvc" / name)
    run(root, "git", "init", "--quiet", "--initial-branch", "main")
    run(root, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(root, "dvc", "commit", "--force")
    run(root, "dvc", "push")
    commit(root, "Results")
    return root


def cloned(source: Path, target: Path) -> Checkout:
    subprocess.run(["git", "clone", "--quiet", str(source), str(target)], check=True)
    return Checkout(target)


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
    assert "dvc fetch` failed" in raml(clone.root, "restore", "--scale", "minimal", code=1)
    run(clone.root, "dvc", "remote", "remove", "store")
    assert "no DVC remote is configured" in raml(clone.root, "restore", "--scale", "minimal", code=2)


def test_spoiled_files_are_named(published: Path, tmp_path: Path) -> None:
    clone = cloned(published, tmp_path / "clone")
    raml(clone.root, "restore", "--scale", "minimal")
    (clone.root / "results" / "minimal" / "claims.json").write_text("[]")
    told = raml(clone.root, "restore", "--scale", "minimal", code=1)
    assert "1 of" in told and "results/minimal/claims.json" in told and "git checkout" in told
