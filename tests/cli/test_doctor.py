"""The doctor looks at this machine; what it lacks is taken away or put before it as real programs and modules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(*options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from raml.cli import main; main()", "doctor", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": "http://127.0.0.1:9", **environment},
        capture_output=True,
        text=True,
    )


def findings(*options: str, **environment: str) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(run("--json", *options, **environment).stdout)}


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_this_machine_can_run_the_micro_scale() -> None:
    ran = run(COLUMNS="80")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for text in ("have the versions of requirements/core.lock", "the scale does not need it"):
        assert text in " ".join(ran.stdout.split())
    assert max(map(len, ran.stdout.splitlines())) <= 80


def test_a_scale_that_needs_more_ends_with_one_line_and_exit_code_1(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "exit 9")
    ran = run("--scale", "paper", "--json", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: scale paper cannot run here as it is: GPU, ")
    assert ran.stderr.count("\n") == 1 and "Hub" in ran.stderr
    assert all(bool(finding["hint"]) == (finding["status"] != "ok") for finding in json.loads(ran.stdout))


def test_gpus_partitions_and_a_broken_vllm_are_named(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA X, 570.1, 81559 MiB'; echo 'NVIDIA Y, 570.1, 24564 MiB'")
    program(tmp_path, "sinfo", "echo 'gpu* up 4'")
    (tmp_path / "vllm.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    here = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
    result = findings(**here)
    assert result["GPU"]["detail"] == "NVIDIA X, 570.1, 81559 MiB; NVIDIA Y, 570.1, 24564 MiB"
    assert result["Slurm"] == {"name": "Slurm", "status": "ok", "detail": "gpu* up 4", "hint": ""}
    vllm = result["vLLM"]
    assert vllm["status"] == "warning" and "libcudart.so.13" in vllm["detail"] and "make vllm" in vllm["hint"]
    program(tmp_path, "sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")
    (tmp_path / "vllm.py").write_text("__version__ = '0.31.0'")
    result = findings(**here)
    assert result["Slurm"]["status"] == "warning" and result["vLLM"]["detail"] == "0.31.0 can be imported"
