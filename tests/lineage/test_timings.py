"""Where a run's time went."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark_files import HEADER, write_benchmarks
from raml.errors import DataError
from raml.lineage.timings import elapsed, measure, read_jobs, read_times


def test_jobs_are_summed_by_rule_and_seed(tmp_path: Path) -> None:
    found = measure("minimal", write_benchmarks(tmp_path))
    assert [rule.rule for rule in found.rules] == ["train_dpo", "sample", "decide"]
    dpo, _, decide = found.rules
    assert (dpo.jobs, dpo.seconds, dpo.longest_seconds, dpo.cpu_seconds) == (2, 80.0, 50.0, 32.0)
    assert dpo.peak_memory_mb == 800 and dpo.share == round(80 / 95.1234, 4)
    assert (decide.seconds, decide.cpu_seconds, decide.peak_memory_mb) == (0.1, None, None)
    assert [(part.seed, part.jobs, part.seconds) for part in found.seeds] == [(None, 1, 0.1), (0, 2, 40), (1, 2, 55)]
    # The first two overlap by 20 of 60 s; then come three jobs by themselves.
    assert (found.seconds, found.elapsed_seconds) == (95.1, 75.1)
    assert found.cores >= 1 and found.processor


def test_jobs_of_runs_with_other_seeds_are_not_mixed(tmp_path: Path) -> None:
    """Files of a rule that is gone, or of a run with fewer seeds, stay behind; those of no run do not count."""
    folder = write_benchmarks(tmp_path)
    before = measure("minimal", folder)
    for rule in ("sample_development", "sft"):
        (folder / rule).mkdir()
        (folder / rule / "seed0.tsv").write_text((folder / "train_dpo/seed0.tsv").read_text())
        if rule == "sample_development":
            assert measure("minimal", folder) == before
    with pytest.raises(DataError, match=r"mixes runs: jobs of sft are of seeds 0, those of sample of 0 and 1; delete"):
        measure("minimal", folder)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=8))
def test_what_is_elapsed_is_the_time_with_a_job_at_work(spans: list[tuple[int, int]]) -> None:
    jobs = pl.DataFrame([{"end": float(start + seconds), "seconds": float(seconds)} for start, seconds in spans])
    assert elapsed(jobs) == len({second for start, seconds in spans for second in range(start, start + seconds)})


@pytest.mark.parametrize("content", ["[]", "{"])
def test_what_holds_no_times_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "times.json").write_text(content)
    with pytest.raises(DataError, match=r"times\.json (holds no times|is not JSON)"):
        read_times(tmp_path / "times.json")


@pytest.mark.parametrize("content", ["", HEADER, f"{HEADER}x\n"])
def test_what_is_no_benchmark_file_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="run the workflow here first"):
        read_jobs(tmp_path)
    (tmp_path / "decide.tsv").write_text(content)
    with pytest.raises(DataError, match=r"decide\.tsv is no benchmark file"):
        read_jobs(tmp_path)
