import pytest
from misbehaving_server import NAME, STOP, serving, tokens
from plain_sampling import requests

from raml.config import EngineSettings, Sampling
from raml.errors import ConfigError, InputError, RamlError
from raml.trajectories import retries
from raml.trajectories.engine import Completion, Origin, Request
from raml.trajectories.server_engine import TRIES, ServerEngine
from raml.trajectories.vllm_parameters import request_seed

SAMPLING = Sampling(temperature=1.0, top_p=0.8, top_k=5, max_tokens=6, batch_size=8, threads=1)
MIXED = requests([5, 9, 1, 9, 17], n=4)
TROUBLES = ["429", "429 0.02", "500", "503", "hang up", "half a body", "half of JSON", "aborted"]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.002)


def engine(server, model=NAME, sampling=SAMPLING, **changes):
    return ServerEngine(model, sampling, [STOP, 7], settings(server.url, **changes))


def settings(url, **changes):
    return EngineSettings(name="server", url=url, dtype="bfloat16", **changes)


def expected(seed, asked=MIXED, max_tokens=SAMPLING.max_tokens):
    written = [tokens(request_seed(seed, request), max_tokens) for request in asked]
    return [Completion(ids, finished=ids[-1] in (STOP, 7)) for ids in written]


def test_the_server_is_asked_for_what_the_torch_sampler_does():
    with serving() as server:
        engine(server, concurrency=1).sample(MIXED[4:5], seed=3)
    (asked,) = server.asked
    assert asked["prompt"] == list(MIXED[4].prompt_ids)
    assert asked["seed"] == request_seed(3, MIXED[4])
    assert (asked["temperature"], asked["top_p"], asked["top_k"], asked["max_tokens"]) == (1.0, 0.8, 5, 6)
    assert asked["stop_token_ids"] == [STOP, 7]
    assert asked["ignore_eos"] and asked["return_token_ids"]
    assert asked["model"] == NAME


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_that_passes_loses_and_doubles_nothing(trouble):
    with serving() as server:
        writer = engine(server)
        server.troubles = [trouble, trouble]
        assert writer.sample(MIXED, seed=0) == expected(0)
        assert len(server.answered) == len(MIXED)
        assert set(server.answered.values()) == {1}
        assert len(server.asked) == 3 * len(MIXED)


def test_a_call_may_have_a_limit_of_its_own():
    with serving() as server:
        assert engine(server).sample(MIXED, seed=1, max_tokens=3) == expected(1, max_tokens=3)
        with pytest.raises(InputError, match="100 prompt tokens"):
            engine(server).sample([Request("q", (5,) * 100, 0)], 0, max_tokens=29)


def test_trouble_that_stays_ends_with_one_line():
    with serving() as server:
        writer = engine(server)
        server.troubles = ["500"] * TRIES
        with pytest.raises(RamlError, match=rf"sample \d of question q\d: no answer after {TRIES} .*500") as raised:
            writer.sample(MIXED, seed=0)
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, InputError)


@pytest.mark.parametrize("status", ["400", "404"])
def test_a_refused_request_is_not_tried_again(status):
    with serving() as server:
        writer = engine(server, concurrency=1)
        server.troubles = [status]
        with pytest.raises(InputError, match=f"refuses: HTTP {status}: it says {status}"):
            writer.sample(MIXED, seed=0)
        assert len(server.asked) <= 2  # one more may be under way


def test_no_more_requests_than_asked_for_are_under_way():
    with serving() as server:
        engine(server, concurrency=3).sample(MIXED, seed=0)
        assert 1 <= server.most <= 3


def test_the_server_says_what_it_is():
    with serving("500", "half of JSON") as server:
        assert engine(server).origin == Origin("server", "0.31.0", "bfloat16")


def test_a_model_is_known_by_its_name_its_root_or_its_folder(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    with serving() as server:
        server.models = [{"id": "other"}, {"id": NAME, "root": str(tmp_path / "model"), "max_model_len": 128}]
        for model in (NAME, str(tmp_path / "model"), "model"):
            assert engine(server, model).sample(MIXED, seed=0) == expected(0)


def test_a_server_of_another_model_is_refused():
    message = rf"serves {NAME}, not another/model; start `vllm serve another/model"
    with serving() as server, pytest.raises(InputError, match=message):
        engine(server, "another/model")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"finish_reason": "stop", "text": "a"}, "returns no token ids"),
        ({"finish_reason": "length", "token_ids": [5, 5]}, "after 2 tokens by 'length'.*--generation-config vllm"),
        ({"finish_reason": "stop", "token_ids": [5, 9]}, "after 2 tokens by 'stop'.*--generation-config vllm"),
    ],
)
def test_a_server_that_samples_otherwise_is_refused(choice, message):
    with serving() as server:
        writer = engine(server)
        server.changes = {"choices": [choice]}
        with pytest.raises(InputError, match=message):
            writer.sample(MIXED[:1], seed=0)


def test_nobody_listens():
    with serving() as server:
        url = server.url
    with pytest.raises(RamlError, match=rf"{url}/version: no answer after 3 tries \(ConnectError"):
        ServerEngine(NAME, SAMPLING, [STOP], settings(url))


@pytest.mark.parametrize("url", ["localhost:8000", "http://"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigError, match=r"engine\.url"):
        ServerEngine(NAME, SAMPLING, [STOP], settings(url))


def test_the_key_of_a_server_comes_from_the_environment(monkeypatch):
    for key, sent in ((None, None), ("swordfish", "Bearer swordfish")):
        monkeypatch.setenv("VLLM_API_KEY", key) if key else monkeypatch.delenv("VLLM_API_KEY", raising=False)
        with serving() as server:
            engine(server).sample(MIXED, 0)
        assert server.keys == {sent}


def test_bad_prompts_are_refused_before_anything_is_sent():
    with serving() as server:
        writer = engine(server)
        with pytest.raises(InputError, match="question q has an empty prompt"):
            writer.sample([*MIXED, Request("q", (), 0)], 0)
        with pytest.raises(InputError, match=r"123 prompt tokens \+ 6 to be written = 129 exceed .* of 128"):
            writer.sample([*MIXED, Request("q", (5,) * 123, 0)], 0)
        assert not server.asked
        assert writer.sample([], 0) == []
