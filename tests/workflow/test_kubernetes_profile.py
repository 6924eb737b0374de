"""Jobs through the Kubernetes profile, as far as that goes without a cluster.

A program in `kubectl`'s place keeps the manifests and runs what their containers would run, in an empty environment.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import Checkout, environment

pytestmark = [pytest.mark.dag, pytest.mark.timeout(900)]

KUBECTL = f"""#!{sys.executable}
import json, subprocess, sys
from pathlib import Path

folder, action = Path(__file__).parent, sys.argv[1]
if action == "create":
    job = json.load(sys.stdin)
    name = job["metadata"]["generateName"] + str(len(list(folder.glob("*.json"))))
    (folder / f"{{name}}.json").write_text(json.dumps(job))
    [container] = job["spec"]["template"]["spec"]["containers"]
    log = (folder / f"{{name}}.log").open("w")
    bare = {{"PATH": "/usr/bin:/bin", "HOME": "/tmp"}}
    ran = subprocess.run(container["command"], cwd=container["workingDir"], env=bare, stdout=log, stderr=log)
    (folder / f"{{name}}.code").write_text(str(ran.returncode))
    print(f"job.batch/{{name}}")
elif action == "get":
    code = (folder / f"{{sys.argv[3]}}.code").read_text()
    print(f"{{sys.argv[3]}}:1:" if code == "0" else f"{{sys.argv[3]}}::1", end="")
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A folder with a `kubectl`; it keeps there what it was given."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return program.parent


def run(checkout: Checkout, kubectl: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Snakemake with the profile."""
    path = f"{kubectl}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["snakemake", "--profile", "workflow/profiles/kubernetes", "--seconds-between-status-checks", "1", *arguments],
        cwd=checkout.root,
        env=environment() | {"PATH": path},
        capture_output=True,
        text=True,
    )


def test_jobs_ask_for_what_they_need_and_find_the_checkout(new_checkout: Callable[[], Checkout], kubectl: Path) -> None:
    checkout = new_checkout()
    ran = run(checkout, kubectl, "questions_phase", "--config", "scale=minimal")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (checkout.root / "results/minimal/questions/train.parquet").is_file()
    [path] = kubectl.glob("*.json")
    job = json.loads(path.read_text())
    assert path.stem.startswith("raml-build-questions-")
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 4 * 3600)
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["workingDir"] == str(checkout.root)
    assert container["resources"]["limits"] == container["resources"]["requests"] == {"cpu": "1", "memory": "6000M"}


def test_a_job_that_fails_is_begun_again_with_more(new_checkout: Callable[[], Checkout], kubectl: Path) -> None:
    checkout = new_checkout()
    step = checkout.root / "src" / "raml" / "questions" / "build.py"
    step.write_text("raise SystemExit(1)\n")
    ran = run(checkout, kubectl, "questions_phase", "--retries", "1", "--config", "scale=minimal")
    assert ran.returncode == 1
    jobs = [json.loads(path.read_text()) for path in sorted(kubectl.glob("*.json"))]
    limits = [job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] for job in jobs]
    assert limits == ["6000M", "9000M"]


@pytest.mark.parametrize("gpus", [0, 2])
def test_gpus_are_limits_too(gpus: int, kubectl: Path, tmp_path: Path) -> None:
    submit = Path(__file__).parents[2] / "workflow" / "profiles" / "kubernetes" / "submit.py"
    script = tmp_path / "job.sh"
    script.touch()
    options = {"image": "i", "claim": "c", "mount": "/m", "rule": "train_sft_long", "cpus": 16, "memory-mb": 96_000}
    given = [
        word for name, value in {**options, "gpus": gpus, "minutes": 1}.items() for word in (f"--{name}", str(value))
    ]
    path = f"{kubectl}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [sys.executable, submit, *given, script], env=environment() | {"PATH": path}, capture_output=True, text=True
    )
    assert ran.stdout == "raml-train-sft-long-0\n", ran.stderr
    pod = json.loads((kubectl / "raml-train-sft-long-0.json").read_text())["spec"]["template"]["spec"]
    expected = {"cpu": "16", "memory": "96000M", **({"nvidia.com/gpu": "2"} if gpus else {})}
    assert pod["containers"][0]["resources"] == {"limits": expected, "requests": expected}
    assert pod["volumes"] == [{"name": "checkout", "persistentVolumeClaim": {"claimName": "c"}}]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "checkout", "mountPath": "/m"}]
