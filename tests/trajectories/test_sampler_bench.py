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


def test_a_row_is_counted_up_to_its_end_of_text():
    class Scripted:
        def generate(self, prompts, **kwargs):
            return torch.tensor([[9, 9, 5, 2, 0], [9, 9, 5, 5, 5], [9, 9, 2, 0, 0]])

    requests = [sampler.Request("q", (9, 9), sample) for sample in range(3)]
    assert sampler.generated_tokens(Scripted(), requests, SAMPLING, 0, 2) == 2 + 3 + 1
