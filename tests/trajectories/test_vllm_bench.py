import pytest

from benchmarks import sampler, vllm_engine
from benchmarks.vllm_engine import MICRO_SAMPLING, sampler_comparison

SHORT = {"max_tokens": 4}


@pytest.mark.vllm
def test_vllm_and_the_torch_sampler_do_equal_work(monkeypatch):
    monkeypatch.setattr(sampler, "PROMPTS", 2)
    monkeypatch.setattr(vllm_engine, "SAMPLES", 3)
    measured = sampler_comparison(sampling=MICRO_SAMPLING.model_copy(update=SHORT), rounds=2)
    assert (measured["rows"], measured["max_tokens"]) == (6, 4)
    assert all(3 < measured[f"{name}_mean_tokens"] <= 4 for name in ("sampler", "vllm"))
    assert all(measured[f"{name}_tokens_per_second"] > 0 for name in ("sampler", "vllm"))
    assert measured["ratio"] > 0
