"""Send one of Snakemake's jobs to Kubernetes through `kubectl` and print the name that it got there."""

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any


def main() -> None:
    """Called by Snakemake with the options of config.yaml and, last, the script that the job is to run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--claim", required=True, help="persistent volume claim that holds this checkout")
    parser.add_argument("--mount", required=True, help="where the claim is mounted, here and in jobs")
    parser.add_argument("--rule", required=True)
    for amount in ("--cpus", "--memory-mb", "--gpus", "--minutes"):
        parser.add_argument(amount, type=int, required=True)
    parser.add_argument("script", type=Path)
    given = parser.parse_args()
    created = subprocess.run(
        ["kubectl", "create", "--filename", "-", "--output", "name"],
        input=json.dumps(manifest(given)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(created.stdout.strip().rpartition("/")[2])


def manifest(given: argparse.Namespace) -> dict[str, Any]:
    """The job: one pod, begun once, since it is Snakemake that begins jobs again."""
    limits = {"cpu": str(given.cpus), "memory": f"{given.memory_mb}M"}
    if given.gpus:
        limits["nvidia.com/gpu"] = str(given.gpus)
    container = {
        "name": "job",
        "image": given.image,
        "command": ["/bin/sh", str(given.script.resolve())],
        "workingDir": str(Path.cwd()),
        "resources": {"limits": limits, "requests": limits},
        "volumeMounts": [{"name": "checkout", "mountPath": given.mount}],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "checkout", "persistentVolumeClaim": {"claimName": given.claim}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": f"raml-{given.rule.replace('_', '-')[:40]}-", "labels": {"app": "raml"}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 60 * given.minutes,
            "ttlSecondsAfterFinished": 86_400,
            "template": {"spec": pod},
        },
    }


if __name__ == "__main__":
    main()
