"""The benchmarks' figures; thresholds far from the targets, since a test machine is busy."""

from pathlib import Path

import pytest
from tiny_models import VOCABULARY, build

from benchmarks import probing as bench
from raml.probing.curves import Probe


def test_packed_is_exact_and_faster_than_separate_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REPETITIONS", 3)
    monkeypatch.setattr(bench, "SLOPE_REPETITIONS", 1)
    figures = bench.probing_benchmark()
    assert figures["max_difference_nats"] < 1e-4
    assert figures["separate_over_packed"] > 4
    assert figures["packed_over_plain_rows"] < 3
    assert (figures["positions"], figures["tokens_fed"]) == (96, 615)
    assert 0.7 < figures["slope"] < 1.6


def test_pretrained_figures_name_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama", max_position_embeddings=512)
    monkeypatch.setattr(bench, "load_pretrained", lambda folder: (model, range(VOCABULARY)))
    monkeypatch.setattr(bench, "forced_probe", lambda tokenizer, answer: Probe((5,) * 11, (7, 8)))
    monkeypatch.setattr(bench, "question_ids", lambda tokenizer, question: (1,) * 20)
    monkeypatch.setattr(bench, "LONG", 200)
    monkeypatch.setattr(bench, "PRETRAINED_SLOPE_LENGTHS", (64, 300))
    figures = bench.pretrained_benchmark(Path("a folder"))
    assert figures["max_difference_nats_at_96"] < 1e-4
    assert figures["max_difference_nats_at_200"] < 1e-4
    assert figures["tokens_fed_at_200"] == 20 + 199 + 200 * 12
    assert figures["separate_over_packed_at_200"] > 4
    assert figures["separate_seconds_at_200_estimated_from_16_positions"] > 0
    assert (figures["prompt_tokens"], figures["marker_tokens"], figures["answer_tokens"]) == (20, 11, 2)
    assert all(isinstance(value, float | int) for value in figures.values())
