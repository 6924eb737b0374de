"""Snakemake's benchmark files with a known content."""

import os
from pathlib import Path

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"

# Where each file lies, wall-clock seconds, memory and CPU time as Snakemake writes them, and when the job ended.
JOBS = {
    "train_dpo/seed0.tsv": ("30.0000", "800.50", "12.00", 1030),
    "train_dpo/seed1.tsv": ("50.0000", "700.00", "20.00", 1060),
    "sample/seed0/dpo.tsv": ("10.0000", "300.00", "9.00", 2010),
    "sample/seed1/dpo.tsv": ("5.0000", "300.00", "4.00", 2020),
    "decide.tsv": ("0.1234", "NA", "NA", 3000),
}


def write_benchmarks(folder: Path) -> Path:
    for name, (seconds, memory, cpu, end) in JOBS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEADER}{seconds}\t0:00:30\t{memory}\t1\t1\t1\t0\t0\t50.0\t{cpu}\n")
        os.utime(path, (end, end))
    return folder
