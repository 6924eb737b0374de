"""The real vLLM on tiny models (`make test-vllm`); what needs no vLLM is tested everywhere."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import vllm_models
from plain_sampling import requests
from scipy.stats import chisquare
from vllm_models import MIXED, SETTINGS, STOPS, model, sampling, save, torch_sampler, vllm_engine

from raml.errors import ConfigError, InputError, RamlError
from raml.trajectories import vllm_engine as module
from raml.trajectories.decoding import filter_probabilities
from raml.trajectories.engine import Completion, Request
from raml.trajectories.vllm_engine import VllmEngine

needs_vllm = pytest.mark.vllm


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: save(model(name), root / name) for name in ("qwen2", "llama")}


@pytest.fixture(scope="module")
def engine(folders):
    """Samples, from the Qwen2. A process holds one engine at a time: tests with one of their own come last."""
    return vllm_engine(folders["qwen2"], sampling())


@pytest.fixture(scope="module")
def expected(engine):
    return dict(zip(MIXED, engine.sample(MIXED, 5), strict=True))


def elsewhere(folder, seed=5, batch_size=16):
    """What sampling in a process of its own gives, or its error."""
    ran = subprocess.run(
        [sys.executable, vllm_models.__file__, str(folder), str(seed), str(batch_size)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(ran.stdout.splitlines()[-1])
    return found if isinstance(found, dict) else [Completion(**completion) for completion in found]


@needs_vllm
@pytest.mark.parametrize("chosen", [MIXED[::-2], MIXED[:1], [*MIXED, *MIXED[::-1]]], ids=["order", "alone", "twice"])
def test_a_completion_depends_neither_on_order_nor_on_company(engine, expected, chosen):
    assert engine.sample(chosen, 5) == [expected[request] for request in chosen]


@needs_vllm
@pytest.mark.timeout(200)
def test_completions_are_the_same_in_another_process(folders, expected):
    assert elsewhere(folders["qwen2"]) == list(expected.values())


@needs_vllm
def test_tokens_have_the_probabilities_that_the_torch_sampler_draws_from(engine, folders):
    prompt, settings = MIXED[0].prompt_ids, engine.sampling
    with torch.no_grad():
        logits = model("qwen2")(torch.tensor([prompt])).logits[:, -1].double()
    kept = filter_probabilities((logits / settings.temperature).softmax(-1), settings.top_k, settings.top_p)[0]
    probabilities = (kept / kept.sum()).numpy()
    drawn = engine.sample([Request("q", prompt, sample) for sample in range(600)], 0)
    counts = np.bincount([completion.token_ids[0] for completion in drawn], minlength=len(probabilities))
    allowed = probabilities > 0
    assert 2 < allowed.sum() <= settings.top_k
    assert not counts[~allowed].any()
    assert chisquare(counts[allowed], 600 * probabilities[allowed]).pvalue > 0.001


@needs_vllm
def test_bad_prompts_are_refused(engine):
    with pytest.raises(InputError, match="question q has an empty prompt"):
        engine.sample([*MIXED, Request("q", (), 0)], 0)
    with pytest.raises(InputError, match=r"110 prompt tokens \+ 24 to be written = 134 exceed .* context of 128"):
        engine.sample([Request("q", (5,) * 110, 0)], 0)
    with pytest.raises(InputError, match=r"question q: token 9999 is none of the model's \d+; is the tokenizer"):
        engine.sample([Request("q", (5, 9999), 0)], 0)
    assert len(engine.sample([Request("q", (5,) * 104, 0)], 0)) == 1
    assert engine.sample([], 0) == []


@needs_vllm
def test_an_engine_that_dies_ends_with_one_line_and_keeps_whole_batches(engine, expected, monkeypatch):
    core = engine._llm.llm_engine.engine_core
    get_output, steps = core.get_output, iter(range(30))

    def dies(*arguments):
        if next(steps, None) is None:
            raise RuntimeError("out of\nmemory")
        return get_output(*arguments)

    monkeypatch.setattr(core, "get_output", dies)
    stream = engine.stream([*MIXED, *MIXED, *MIXED], 5)
    found = [next(stream) for _ in range(engine.sampling.batch_size)]
    assert [completion for _, completion in found[: len(MIXED)]] == list(expected.values())
    with pytest.raises(
        RamlError, match=r"^vLLM died over .*qwen2 \(RuntimeError: out of memory\); run again to go on$"
    ):
        next(stream)


# From here on, the engine above is not used any more.


@needs_vllm
@pytest.mark.parametrize("name", ["qwen2", "llama"])
def test_greedy_equals_the_torch_sampler(folders, name):
    greedy = sampling(temperature=0.0)
    expected = torch_sampler(model(name), greedy).sample(MIXED, 0)
    assert vllm_engine(folders[name], greedy).sample(MIXED, 0) == expected


@needs_vllm
def test_max_tokens_cuts_without_changing_what_comes_before(folders, expected):
    short = vllm_engine(folders["qwen2"], sampling(max_tokens=6, batch_size=64))
    assert short.sample(MIXED, 5, max_tokens=24) == list(expected.values())
    for whole, cut in zip(expected.values(), short.sample(MIXED, 5), strict=True):
        assert cut.token_ids == whole.token_ids[:6]
        assert cut.finished == (len(whole.token_ids) <= 6 and whole.finished)
    # With more prompt tokens at once than vLLM reads in a step, 4,096, what each gets is the same.
    many = requests([110] * 60, n=1)
    assert [short.sample([request], 0)[0] for request in many[35:40]] == short.sample(many, 0)[35:40]


@needs_vllm
def test_a_diverged_model_is_refused(tmp_path):
    diverged = model("qwen2")
    diverged.model.norm.weight.data[0] = torch.nan
    with pytest.raises(RamlError, match=r"nan predicts NaN; its training diverged"):
        vllm_engine(save(diverged, tmp_path / "nan"), sampling())


@needs_vllm
@pytest.mark.timeout(200)
def test_a_model_that_vllm_cannot_serve_is_refused(tmp_path):
    narrow = elsewhere(save(model("qwen2", head_dim=16), tmp_path / "narrow"))
    assert narrow["error"] == "InputError"
    assert narrow["message"].startswith(f"vLLM cannot serve {tmp_path / 'narrow'} (")
    assert "\n" not in narrow["message"]


def test_without_vllm_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ConfigError, match="vLLM is not installed; `make vllm` installs it"):
        VllmEngine(tmp_path, sampling(), STOPS, SETTINGS)


def test_nothing_is_imported_before_it_is_needed():
    assert module.__name__ in sys.modules
    code = "import sys, raml.trajectories.engines, raml.training.grpo; sys.exit('vllm' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
