"""The doctor looks at this machine; what it lacks is taken away or put before it as real programs and modules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def ask(*options: str, folder: Path = ROOT, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from raml.cli import main; main()", "doctor", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": "http://127.0.0.1:9", **environment},
        capture_output=True,
        text=True,
    )


def findings(*options: str, **environment: str) -> dict[str, dict[str, Any]]:
    ran = ask("--json", *options, **environment)
    return {finding["name"]: finding for finding in json.loads(ran.stdout)}


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_this_machine_can_run_the_micro_scale() -> None:
    ran = ask()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = findings()
    assert {"Python", "packages", "tools", "processor", "GPU", "vLLM", "disk", "caches", "Hub", "DVC", "Slurm"} <= set(
        found
    )
    assert found["packages"]["found"].endswith("have the versions of requirements/core.lock")
    assert found["Hub"]["status"] == "ok" and "cannot be reached" in found["Hub"]["found"]
    assert all(finding["mend"] for finding in found.values() if finding["status"] != "ok")


def test_a_scale_that_needs_more_ends_with_one_line_and_exit_code_1(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "exit 9")
    ran = ask("--scale", "paper", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: scale paper cannot run here as it is: GPU, ")
    assert ran.stderr.count("\n") == 1 and "Hub" in ran.stderr


def test_gpus_and_partitions_are_named(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA X, 570.1, 81559 MiB'; echo 'NVIDIA Y, 570.1, 24564 MiB'")
    program(tmp_path, "sinfo", "echo 'gpu* up 4'")
    found = findings(PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert found["GPU"]["found"] == "NVIDIA X, 570.1, 81559 MiB; NVIDIA Y, 570.1, 24564 MiB"
    assert found["Slurm"] == {"name": "Slurm", "status": "ok", "found": "gpu* up 4", "mend": ""}
    program(tmp_path, "sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert findings(PATH=f"{tmp_path}:{os.environ['PATH']}")["Slurm"]["status"] == "warning"


def test_a_vllm_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "vllm.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    found = findings(PYTHONPATH=f"{ROOT / 'src'}:{tmp_path}")["vLLM"]
    assert found["status"] == "warning" and "libcudart.so.13" in found["found"] and "make vllm" in found["mend"]
    (tmp_path / "vllm.py").write_text("__version__ = '0.31.0'")
    found = findings(PYTHONPATH=f"{ROOT / 'src'}:{tmp_path}")["vLLM"]
    assert found["status"] == "ok" and found["found"] == "0.31.0 can be imported"
