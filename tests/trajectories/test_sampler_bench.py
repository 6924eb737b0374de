import torch

from benchmarks import sampler
from benchmarks.sampler import SAMPLING, sampler_benchmark


def test_the_benchmark_compares_equal_work(monkeypatch):
    monkeypatch.setattr(sampler, "PROMPTS", 2)
    monkeypatch.setattr(sampler, "SAMPLES", 3)
    threads = torch.get_num_threads()
    measured = sampler_benchmark(sampling=SAMPLING.model_copy(update={"max_tokens": 4}), rounds=2)
    assert torch.get_num_threads() == threads
    assert (measured["rows"], measured["max_tokens"], measured["model"]) == (6, 4, "random")
    assert 3 < measured["sampler_mean_tokens"] <= 4
    assert 3 < measured["generate_mean_tokens"] <= 4
    assert measured["ratio"] > 0
    assert measured["sampler_tokens_per_second"] > 0
