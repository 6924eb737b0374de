"""The benchmarks' figures; thresholds far from the targets, since a test machine is busy."""

import pytest

from benchmarks import probing as bench
from benchmarks.landscape import landscape_benchmark


def test_packed_is_exact_and_faster_than_separate_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REPETITIONS", 3)
    monkeypatch.setattr(bench, "SLOPE_REPETITIONS", 1)
    figures = bench.probing_benchmark()
    assert figures["max_difference_nats"] < 1e-4
    assert figures["separate_over_packed"] > 4
    assert figures["packed_over_plain_rows"] < 3
    assert (figures["positions"], figures["tokens_fed"]) == (96, 615)
    assert 0.7 < figures["slope"] < 1.6


def test_landscapes_leave_no_drift_as_the_notebooks_way_does() -> None:
    results = landscape_benchmark(size=3, repetitions=1)
    assert results["micro_max_difference_nats"] < 0.01  # the notebook's way drifts
    assert results["micro_notebook_over_landscape"] > 1
    assert 0.5 < results["micro_landscape_over_forwards"] < 10
    assert results["micro_buffer_bytes"] == pytest.approx(16 * 604_416, rel=0.01)  # four copies in fp32
    assert not any(name.startswith("pretrained") for name in results)
