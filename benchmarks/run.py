"""The timings that the project holds itself to, written to `results/micro/bench.json`.

    make bench

Sampler, probing, landscapes and training are measured side by side with what they are compared with, on one thread,
on the micro architecture and, where prompts are as long as in life, on SmolLM2-135M from PyPI; vLLM too where
`make vllm` has installed it; commands by the wall clock, the best of three; the run itself from Snakemake's benchmark
files.
"""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cleaning import cleaning_benchmark
from benchmarks.landscape import landscape_benchmark
from benchmarks.plan_check import plan_benchmark
from benchmarks.probing import pretrained_benchmark, probing_benchmark
from benchmarks.sampler import sampler_benchmark
from benchmarks.training import training_benchmark
from raml.config import load_scale
from raml.errors import RamlError
from raml.lineage.environment import processor
from raml.lineage.timings import measure
from raml.storage import write_json

RESULTS = Path("results/micro")
OUT = RESULTS / "bench.json"
MODEL, QUESTIONS = RESULTS / "models" / "seed0" / "sft_long", RESULTS / "questions" / "benchmarks.parquet"
BASE, TRAIN = RESULTS / "models" / "seed0" / "base", RESULTS / "questions" / "train.parquet"
TRAJECTORIES = RESULTS / "trajectories" / "oracle_long.parquet"
SMOLLM2 = Path(".cache/smollm2")
BENCHMARKS = Path("benchmarks/micro")
PACKAGES = ["torch", "transformers", "trl", "polars", "snakemake"]
RUNS = 3


def main() -> None:
    """Measure and write."""
    bin_folder = Path(sys.executable).parent
    measured = {
        "machine": machine(),
        "commands": {
            "raml_help_seconds": best_seconds([str(bin_folder / "raml"), "--help"]),
            "snakemake_nothing_to_do_seconds": best_seconds(
                [str(bin_folder / "snakemake"), "--cores", "2"], expected="Nothing to be done"
            ),
        },
        "run": measure("micro", BENCHMARKS).model_dump(mode="json"),
        "cleaning": cleaning_benchmark(),
        "sampler": sampler_benchmark(MODEL, QUESTIONS, sampling=load_scale("micro").sampling),
        "probing": probing_benchmark(),
        "probing_smollm2": pretrained_benchmark(SMOLLM2),
        "landscape": landscape_benchmark(pretrained=SMOLLM2),
        "training": training_benchmark(load_scale("micro"), BASE, TRAIN, TRAJECTORIES),
        "plan": plan_benchmark(BASE, TRAJECTORIES, TRAIN, load_scale("micro")),
    }
    if importlib.util.find_spec("vllm"):  # last, since it changes the process's environment
        from benchmarks.vllm_engine import vllm_benchmark

        measured["vllm"] = vllm_benchmark(SMOLLM2)
    write_json(measured, OUT)
    print(f"written: {OUT}")


def machine() -> dict[str, Any]:
    """Processor, cores, system and the versions that timings depend on."""
    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def best_seconds(command: Sequence[str], expected: str = "") -> float:
    """The shortest wall time of `RUNS` runs of `command`.

    Raises:
        RamlError: it failed, or its output lacks `expected`.
    """
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        ran = subprocess.run(command, capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        if ran.returncode or expected not in ran.stdout + ran.stderr:
            raise RamlError(f"`{' '.join(command)}` did not end as it should; `make reproduce` first")
    return min(seconds)


if __name__ == "__main__":
    try:
        main()
    except RamlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
