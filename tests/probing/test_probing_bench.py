"""The benchmarks' figures; thresholds far from the targets, since a test machine is busy."""

import pytest

from raml.probing import bench


def test_packed_is_exact_and_faster_than_separate_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REPETITIONS", 3)
    monkeypatch.setattr(bench, "SLOPE_REPETITIONS", 1)
    figures = bench.probing_benchmark()
    assert figures["max_difference_nats"] < 1e-4
    assert figures["separate_over_packed"] > 4
    assert figures["packed_over_plain_rows"] < 3
    assert (figures["positions"], figures["tokens_fed"]) == (96, 615)
    assert 0.7 < figures["slope"] < 1.6
