import os
import sys
from pathlib import Path

import pytest

from raml.bench import best_seconds, job_seconds, machine
from raml.errors import RamlError

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write_benchmarks(folder: Path, ends: tuple[float, float, float]) -> None:
    jobs = [("score.tsv", 1.5, 1), ("sft/seed0/long.tsv", 10, 8), ("sft/seed0/short.tsv", 5, 4)]
    for (name, wall, cpu), end in zip(jobs, ends, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{HEADER}{wall}\t0:00:01\t1\t1\t1\t1\t1\t1\t1\t{cpu}")
        os.utime(folder / name, (end, end))


def test_job_times_are_added_up_by_rule(tmp_path: Path) -> None:
    write_benchmarks(tmp_path, (112, 110, 105.5))
    assert job_seconds(tmp_path) == {
        "run_seconds": 12,
        "job_seconds": 16.5,
        "job_seconds_by_rule": {"score": 1.5, "sft": 15},
        "cpu_seconds": 13,
    }


def test_jobs_of_several_runs_have_no_common_duration(tmp_path: Path) -> None:
    write_benchmarks(tmp_path, (9000, 110, 105.5))
    assert job_seconds(tmp_path)["run_seconds"] is None


def test_no_run_no_times(tmp_path: Path) -> None:
    with pytest.raises(RamlError, match="`make reproduce` first"):
        job_seconds(tmp_path)


def test_a_command_is_timed() -> None:
    assert 0 < best_seconds([sys.executable, "-c", "print('done')"], expected="done") < 30


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "print('busy')"])
def test_a_command_that_does_not_end_as_it_should_is_no_timing(code: str) -> None:
    with pytest.raises(RamlError, match="did not end as it should"):
        best_seconds([sys.executable, "-c", code], expected="done")


def test_the_machine_is_described() -> None:
    described = machine()
    assert described["cores"] >= 1
    assert set(described["packages"]) >= {"torch", "snakemake"}
