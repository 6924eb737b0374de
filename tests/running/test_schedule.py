"""How long a DAG will take, by the times of earlier jobs."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.running.schedule import Expectation, Job, remaining

HEADER = "s\th:m:s\tmax_rss\n"


def job(*after: int, threads: int = 1, priority: int = 0, kind: str = "probe", benchmark: str | None = "b") -> Job:
    return Job(benchmark=benchmark, kind=kind, threads=threads, priority=priority, after=frozenset(after))


def test_jobs_share_the_cores_and_wait_for_their_inputs() -> None:
    jobs = {1: job(), 2: job(), 3: job(1, 2), 4: job(3)}
    seconds = {1: 10.0, 2: 4.0, 3: 5.0, 4: 1.0}
    assert remaining(jobs, seconds, {}, 2, by_threads=True) == 16
    assert remaining(jobs, seconds, {}, 1, by_threads=True) == 20
    assert remaining({3: jobs[3], 4: jobs[4]}, seconds, {}, 2, by_threads=True) == 6
    assert remaining({}, {}, {}, 2, by_threads=True) == 0


def test_what_running_jobs_have_had_counts() -> None:
    jobs = {1: job(), 2: job(1)}
    seconds = {1: 10.0, 2: 3.0}
    assert remaining(jobs, seconds, {1: 4.0}, 2, by_threads=True) == 9
    assert remaining(jobs, seconds, {1: 400.0}, 2, by_threads=True) == 3  # longer than expected: any moment now


def test_threads_take_cores_but_no_places_of_a_cluster() -> None:
    jobs = {1: job(threads=2), 2: job(threads=2)}
    seconds = {1: 10.0, 2: 10.0}
    assert remaining(jobs, seconds, {}, 2, by_threads=True) == 20
    assert remaining(jobs, seconds, {}, 2, by_threads=False) == 10
    assert remaining({1: job(threads=8)}, {1: 5.0}, {}, 2, by_threads=True) == 5  # scaled down, as Snakemake does


@given(st.data())
def test_no_schedule_beats_the_longest_chain_or_the_sum_over_cores(data: st.DataObject) -> None:
    number, cores = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    jobs, seconds, chains = {}, {}, {}
    for name in range(number):
        before = data.draw(st.sets(st.integers(0, max(0, name - 1)), max_size=3)) if name else set()
        jobs[name] = job(*before, threads=data.draw(st.integers(1, 3)), priority=data.draw(st.integers(0, 2)))
        seconds[name] = data.draw(st.floats(0, 100))
        chains[name] = seconds[name] + max((chains[other] for other in before), default=0.0)
    work = sum(seconds[name] * min(cores, jobs[name].threads) for name in jobs)
    took = remaining(jobs, seconds, {}, cores, by_threads=True)
    assert max(max(chains.values()), work / cores) <= took + 1e-6
    assert took <= sum(seconds.values()) + 1e-6


@pytest.fixture
def expectation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Expectation:
    """Of a scale of which two probes were timed here, and all rules elsewhere."""
    monkeypatch.chdir(tmp_path)
    folder = Path("benchmarks", "micro")
    for name, row in (
        ("probe/seed0.tsv", "30\t0:00:30\t1\n"),
        ("probe/seed1.tsv", "10\t0:00:10\t1\n"),
        ("fig2.tsv", ""),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(HEADER + row)
    rules = [{"rule": "probe", "seconds": 900.0, "jobs": 9}, {"rule": "fig2", "seconds": 8.0, "jobs": 2}]
    Path("times.json").write_text(json.dumps({"rules": rules}))
    return Expectation.read(folder, Path("times.json"))


def test_a_job_is_expected_to_take_what_it_took(expectation: Expectation) -> None:
    assert expectation.of(job(benchmark="benchmarks/micro/probe/seed1.tsv")) == 10
    assert expectation.of(job(benchmark="benchmarks/micro/probe/seed2.tsv")) == 20  # as others of its kind
    assert expectation.of(job(benchmark="benchmarks/micro/fig2.tsv", kind="fig2")) == 4  # half-written here
    assert expectation.of(job(benchmark="x", kind="new")) == 12  # the mean of the kinds
    assert expectation.of(job(benchmark=None, kind="all")) == 0


def test_this_run_corrects_earlier_ones(expectation: Expectation) -> None:
    probe = job(benchmark="benchmarks/micro/probe/seed0.tsv")
    expectation.done(probe, 60.0)
    assert expectation.of(probe) == pytest.approx(30 * (60 + 30) / (30 + 30))
    for _ in range(100):
        expectation.done(probe, 30_000.0)
    assert expectation.of(probe) == 300  # no more than tenfold


def test_without_any_times_nothing_is_expected_until_a_job_is_done(tmp_path: Path) -> None:
    expectation = Expectation.read(tmp_path, tmp_path / "times.json")
    assert expectation.of(job()) is None
    expectation.done(job(), 7.0)
    assert expectation.of(job()) == 7
    assert expectation.of(job(kind="fig2")) == 7
