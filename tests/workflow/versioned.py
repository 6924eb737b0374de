"""Repositories in temporary folders, in which the results of the finished minimal run are versioned by git and DVC."""

import os
import subprocess
import sys
from pathlib import Path

from checkout import ROOT, Checkout, copy, environment

SCALE = "config/scales/minimal.yaml"


def run(root: Path, *command: str, code: int = 0, **variables: str) -> str:
    """What a command prints; programs of this environment are found."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    source = {"PYTHONPATH": os.pathsep.join(str(folder / "src") for folder in (root, ROOT))}
    variables = {**environment(), "PATH": path, **source, **variables}
    ran = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def commit(root: Path, message: str) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", message)


def initialise(root: Path) -> None:
    """Make a checkout a repository of git and DVC, with the stages of `dvc.yaml` for the scale minimal."""
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


def publish(root: Path, store: Path) -> None:
    """Make a finished run's folder a repository: small results in git, the others in a remote that is a folder."""
    initialise(root)
    run(root, "dvc", "remote", "add", "--default", "store", str(store))
    run(root, "dvc", "commit", "--force")
    run(root, "dvc", "push")
    commit(root, "Results")


def cloned(source: Path, target: Path) -> Checkout:
    subprocess.run(["git", "clone", "--quiet", str(source), str(target)], check=True)
    return Checkout(target)
