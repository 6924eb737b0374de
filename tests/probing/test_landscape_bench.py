"""The benchmark runs, and its three ways agree."""

import pytest

from benchmarks.landscape import landscape_benchmark


def test_benchmark_measures_what_it_says() -> None:
    results = landscape_benchmark(size=3, repetitions=1)
    assert results["micro_max_difference_nats"] < 0.01  # the notebook's way drifts
    assert results["micro_notebook_over_landscape"] > 1
    assert 0.5 < results["micro_landscape_over_forwards"] < 10
    assert results["micro_buffer_bytes"] == pytest.approx(16 * 604_416, rel=0.01)  # four copies in fp32
    assert not any(name.startswith("pretrained") for name in results)
