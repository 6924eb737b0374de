import pytest

from raml.config import Sampling
from raml.errors import ConfigError
from raml.trajectories.engine import Request
from raml.trajectories.vllm_parameters import request_seed, sampling_parameters

SAMPLING = Sampling(temperature=0.7, top_p=0.8, top_k=5, max_tokens=6, batch_size=8, threads=1)


def test_parameters_are_the_configured_ones_and_the_stops_alone_end_a_completion():
    parameters = sampling_parameters(SAMPLING, {9, 2})
    assert {name: parameters[name] for name in ("temperature", "top_p", "top_k", "max_tokens")} == {
        "temperature": 0.7, "top_p": 0.8, "top_k": 5, "max_tokens": 6
    }  # fmt: skip
    assert parameters["stop_token_ids"] == [2, 9]
    assert parameters["ignore_eos"]


@pytest.mark.parametrize("temperature", [0.001, 2.5])
def test_temperatures_that_vllm_changes_or_refuses(temperature):
    sampling = SAMPLING.model_copy(update={"temperature": temperature})
    with pytest.raises(ConfigError, match=rf"sampling\.temperature = {temperature}: .* 0 or from 0.01 to 2.0"):
        sampling_parameters(sampling, [2])


def test_seeds_are_the_requests_own():
    requests = [Request(question, (1,), sample) for question in "ab" for sample in range(3)]
    seeds = [request_seed(seed, request) for request in requests for seed in (0, 1)]
    assert len(set(seeds)) == 12
    assert seeds == [request_seed(seed, request) for request in requests for seed in (0, 1)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert request_seed(0, Request("a", (1,), 0)) == request_seed(0, Request("a", (5, 6), 0))
