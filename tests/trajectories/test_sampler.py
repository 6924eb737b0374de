import dataclasses

import pytest
import torch
from plain_sampling import EOS, PAD, VOCABULARY, plain_completion, requests, tiny_llama, tiny_qwen2
from transformers import MistralConfig, MistralForCausalLM

from raml.config import Sampling
from raml.errors import InputError, RamlError
from raml.trajectories.engine import Request
from raml.trajectories.sampler import TorchSampler

SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=24, batch_size=64, threads=1)
STOPS = [EOS, 7, 11, 30]  # a random model seldom hits one id; with several, rows finish at many steps
MIXED = requests([5, 9, 1, 9, 17], n=3)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="module")
def qwen2():
    return tiny_qwen2()


def sampler(model, **changes):
    return TorchSampler(model, SAMPLING.model_copy(update=changes), STOPS, pad_id=PAD)


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"),
    [(0.0, 1.0, 0), (1.0, 1.0, 0), (0.7, 0.8, 0), (1.3, 1.0, 5), (1.0, 0.9, 12), (1.6, 0.6, 30)],
)
@pytest.mark.parametrize("make", [tiny_qwen2, tiny_llama], ids=["a key per query", "grouped queries"])
def test_equals_a_plain_loop(make, temperature, top_p, top_k):
    model = make()
    engine = sampler(model, temperature=temperature, top_p=top_p, top_k=top_k, batch_size=12)
    assert engine.sample(MIXED, 3) == [plain_completion(model, r, engine.sampling, STOPS, 3) for r in MIXED]


@pytest.mark.parametrize("batch_size", [1, 4, 15])
def test_a_completion_depends_neither_on_batch_size_nor_on_order_nor_on_company(qwen2, batch_size):
    expected = dict(zip(MIXED, sampler(qwen2).sample(MIXED, 5), strict=True))
    chosen = MIXED[::-2]
    assert sampler(qwen2, batch_size=batch_size).sample(chosen, 5) == [expected[request] for request in chosen]


def test_a_limit_of_one_call_is_that_of_an_engine_of_its_own(qwen2):
    short = sampler(qwen2, max_tokens=6)
    assert sampler(qwen2).sample(MIXED, 5, max_tokens=6) == short.sample(MIXED, 5)
    assert short.sample(MIXED, 5, max_tokens=SAMPLING.max_tokens) == sampler(qwen2).sample(MIXED, 5)
    with pytest.raises(InputError, match="110 prompt tokens"):
        short.sample([Request("q", (5,) * 110, 0)], 0, max_tokens=24)
    short.sample([Request("q", (5,) * 110, 0)], 0)


def test_bad_prompts_are_refused(qwen2):
    with pytest.raises(InputError, match="question q has an empty prompt"):
        sampler(qwen2).sample([Request("q", (), 0)], 0)
    with pytest.raises(InputError, match=r"110 prompt tokens \+ 24 to be written = 134 exceed .* context of 128"):
        sampler(qwen2).sample([Request("q", (5,) * 110, 0)], 0)
    sampler(qwen2).sample([Request("q", (5,) * 104, 0)], 0)


def test_sliding_windows_are_refused():
    config = MistralConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=32, sliding_window=4,
    )  # fmt: skip
    with pytest.raises(InputError, match="full attention only"):
        sampler(MistralForCausalLM(config)).sample([dataclasses.replace(MIXED[0])], 0)


def test_a_diverged_model_is_refused():
    model = tiny_qwen2()
    model.model.norm.weight.data[0] = torch.nan
    with pytest.raises(RamlError, match="predicts NaN"):
        sampler(model).sample(MIXED[:1], 0)
