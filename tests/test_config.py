import copy
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.config import (
    SFT,
    Efficiency,
    EngineSettings,
    available_scales,
    canonical_json,
    config_hash,
    load_scale,
    merge,
    validate,
)
from raml.errors import ConfigError

ROOT = Path(__file__).parents[1]
SCALES = ROOT / "config" / "scales"
SFT_VALUES = {
    "start": "base",
    "trajectories_per_question": 2,
    "exposures_per_question": 4,
    "max_prompt_tokens": 10,
    "max_tokens": 20,
    "learning_rate": 1e-3,
    "batch_size": 8,
    "warmup_ratio": 0.1,
    "mask_wrong_attempts": True,
}

keys = st.text("abcde", min_size=1, max_size=2)
trees = st.recursive(st.integers(), lambda children: st.dictionaries(keys, children, max_size=3), max_leaves=8)
mappings = st.dictionaries(keys, trees, max_size=3)


def load_published() -> dict[str, Any]:
    published = load_scale("paper", folder=SCALES).published
    assert published is not None
    return published.model_dump()


@pytest.mark.parametrize("name", available_scales(SCALES))
def test_every_scale_is_valid(name: str) -> None:
    assert load_scale(name, folder=SCALES).scale == name


@pytest.mark.parametrize("name", ["huge", "", "../scales/minimal", "minimal.yaml"])
def test_unknown_scale_names_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown scale '{name}'; allowed: .*minimal") as raised:
        load_scale(name, folder=SCALES)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"colour": 1}, r"unknown key colour; allowed here: architecture, base, .*sft"),
        ({"sft": {"long": {"lr": 1}}}, r"unknown key sft\.long\.lr; allowed here: .*learning_rate"),
        ({"sft": {"huge": SFT_VALUES}}, r"sft\.huge.*'short' or 'long'"),
        ({"sft": {"long": {"learning_rate": -1}}}, r"sft\.long\.learning_rate = -1: input should be greater than 0"),
        ({"pretraining": {"steps": "many"}}, r"pretraining\.steps = 'many': .*integer"),
        ({"pretraining": {"muon_learning_rate": float("nan")}}, r"pretraining\.muon_learning_rate = nan: .*finite"),
        ({"seeds": []}, r"seeds = \[\]: .*at least 1 item"),
        ({"probing": {"benchmarks": ["nowhere"]}}, r"probing\.benchmarks names \['nowhere'\]"),
        ({"probing": {"models": ["gpt"]}}, r"probing\.models names \['gpt'\]; allowed: \['base', 'sft_short'"),
        ({"landscape": {"size": 4}}, r"landscape: size must be odd"),
        ({"evaluation": {"n": 2, "k": 3}}, r"evaluation: k = 3 must be at most n = 2"),
        ({"evaluation": {"n": 0, "k": 0}}, r"evaluation\.n .*; evaluation\.k "),
        ({"architecture": {"heads": 3}}, r"hidden_size = 32 x heads = 96 .*kv_heads = heads and tied: true"),
        ({"grpo": {"batch_size": 6}}, r"grpo: batch_size = 6 completions must be a multiple of group_size = 4"),
        ({"grpo": {"update_trajectories": 5}}, r"update_trajectories = 5 must be at most group_size = 4"),
        ({"grpo": {"evaluate_at": [2]}}, r"evaluate_at = \[2\] must be ascending and below steps = 2"),
        ({"grpo": {"iterations": 2}}, r"steps and evaluate_at must be multiples of iterations = 2"),
        ({"sweeps": {"update_trajectories": [2, 8]}}, r"sweeps\.update_trajectories = \[8\] exceed the group"),
        ({"sweeps": {"long_shares": [0.2, 0.1]}}, r"long_shares = \[0\.2, 0\.1\] must be ascending"),
        ({"sweeps": {"n": 1}}, r"sweeps\.n = 1 must be at least evaluation\.k = 2"),
        ({"dpo": {"start": "zero_grpo"}}, r"dpo\.start = 'zero_grpo' is no model to start from; allowed: \['base',"),
        ({"cold_start": "base"}, r"cold_start = 'base' is no model to start from; allowed: \['sft_short', 'sft_long'"),
        ({"hardware": {"processes": 2}}, r"hardware: processes = 2 needs a launcher"),
        (
            {"hardware": {"launcher": "slurm"}},
            r"hardware\.launcher = 'slurm' is no file of .*accelerate; allowed: ddp_cpu, fsdp, null",
        ),
        (
            {"hardware": {"launcher": "fsdp"}},
            r"hardware\.sharded = false contradicts hardware\.launcher = 'fsdp', whose distributed_type is FSDP",
        ),
        (
            {"hardware": {"launcher": "ddp_cpu", "sharded": True}},
            r"hardware\.sharded = true contradicts hardware\.launcher = 'ddp_cpu', whose distributed_type is MULTI_GPU",
        ),
        ({"sweeps": {"long_shares": [0.1, 0.8]}}, r"long_shares = \[0\.8\] and .*short_share = 0\.3 must add up"),
        ({"pretraining": {"annealing": {"long_share": 0.8}}}, r"annealing\.long_share \+ short_share must be at"),
        (
            {"sft": {"short": {"max_tokens": 130}}},
            r"sft\.short\.max_prompt_tokens \+ max_tokens = 127 \+ 130 must be at most architecture\.context = 256",
        ),
        ({"dpo": {"max_prompt_tokens": 200}}, r"dpo\.max_prompt_tokens \+ max_tokens = 200 \+ 128 must be at most"),
        ({"grpo": {"max_tokens": 200}}, r"grpo\.max_prompt_tokens \+ max_tokens = 127 \+ 200 must be at most"),
        ({"sampling": {"max_tokens": 256}}, r"sampling\.max_tokens = 256 leaves no room for a prompt"),
        ({"device": {"kind": "tpu"}}, r"device\.kind = 'tpu': input should be 'cpu' or 'gpu'"),
        ({"pretraining": None}, r"either `pretraining` or `base`"),
        ({"base": {"model": "Qwen/Qwen2.5-7B", "revision": "main"}}, r"either `pretraining` or `base`, and not both"),
        ({"oracle": None, "writers": {}}, r"`oracle` programs solve generated `questions`"),
        (
            {"oracle": None, "writers": {}, "questions": None, "published": load_published()},
            r"`pretraining` is on what `oracle` programs write",
        ),
        ({"efficiency": {"models": ["sft_longer"]}}, r"efficiency\.models names \['sft_longer'\]; allowed: \['base'"),
        ({"efficiency": {"benchmarks": ["gone"]}}, r"efficiency\.benchmarks names \['gone'\]; allowed: \['path'"),
        ({"efficiency": {"benchmarks": ["rows", "rows"]}}, r"efficiency\.benchmarks = .* names one twice"),
        ({"efficiency": {"n": 5}}, r"efficiency\.n = 5 must be at most evaluation\.n = 4"),
        ({"efficiency": {"budgets": [16, 8]}}, r"budgets = \[16, 8\] must rise"),
        ({"efficiency": {"summariser": "oracle"}}, r"efficiency\.summariser"),
    ],
)
def test_bad_values_are_named_in_one_line(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_scale("minimal", overrides, SCALES)
    assert "\n" not in str(raised.value)
    assert "minimal.yaml" in str(raised.value)


def test_a_launcher_that_accelerate_cannot_read_is_named(tmp_path: Path) -> None:
    for folder in ("scales", "accelerate"):
        shutil.copytree(ROOT / "config" / folder, tmp_path / folder)
    (tmp_path / "accelerate" / "ddp_cpu.yaml").write_text("use_cpu: true\n")
    with pytest.raises(ConfigError, match=r"ddp_cpu\.yaml is no configuration of accelerate: .*distributed_type"):
        load_scale("minimal", {"hardware": {"launcher": "ddp_cpu"}}, tmp_path / "scales")


MINIMAL = (SCALES / "minimal.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1", "must hold a mapping, found list"),
        ("", "must hold a mapping"),
        (MINIMAL, "must be the file's own name, 'x'"),
        (re.sub(r"top_p: \S+,? ?", "", MINIMAL.replace("scale: minimal", "scale: x")), r"missing key sampling\.top_p"),
    ],
)
def test_a_file_that_holds_no_scale_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_scale("x", folder=tmp_path)


def test_a_scale_extends_another(tmp_path: Path) -> None:
    shutil.copy(SCALES / "minimal.yaml", tmp_path)
    (tmp_path / "own.yaml").write_text("extends: minimal\nscale: own\nseeds: [4]\nsft: {long: {batch_size: 5}}\n")
    (tmp_path / "further.yaml").write_text("extends: own\nscale: further\nsft: {long: {learning_rate: 0.5}}\n")
    minimal, further = load_scale("minimal", folder=tmp_path), load_scale("further", folder=tmp_path)
    assert further.seeds == [4]
    changed = {"batch_size": 5, "learning_rate": 0.5}
    assert further.sft["long"].model_dump() == minimal.sft["long"].model_dump() | changed
    assert further.sft["short"] == minimal.sft["short"]
    overridden = load_scale("further", {"sft": {"long": {"batch_size": 6}}}, tmp_path)
    assert overridden.sft["long"].batch_size == 6


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("second", "first", r"second\.yaml: extends = 'first' leads back to itself"),
        ("first", "first", r"first\.yaml: extends = 'first' leads back to itself"),
        ("third", "first", r"unknown scale 'third'; allowed: first, second"),
    ],
)
def test_what_a_scale_extends_exists_and_is_another(tmp_path: Path, first: str, second: str, message: str) -> None:
    for name, extended in (("first", first), ("second", second)):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {extended}\nscale: {name}\n")
    with pytest.raises(ConfigError, match=message):
        load_scale("first", folder=tmp_path)


@given(mappings, mappings)
def test_merge_keeps_both_sides_and_lets_the_second_win(base: dict[str, Any], overrides: dict[str, Any]) -> None:
    before = copy.deepcopy((base, overrides))
    merged = merge(base, overrides)
    assert merged.keys() == base.keys() | overrides.keys()
    assert merge(merged, overrides) == merged
    assert merge(base, {}) == base
    assert (base, overrides) == before
    for key, value in overrides.items():
        if not isinstance(value, dict):
            assert merged[key] == value


@given(st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False))
def test_the_hash_follows_the_value(rate: float) -> None:
    one = validate(SFT, {**SFT_VALUES, "learning_rate": rate}, "here")
    default = validate(SFT, dict(reversed(SFT_VALUES.items())), "here")
    assert canonical_json(default) == canonical_json(validate(SFT, SFT_VALUES, "here"))
    assert (config_hash(one) == config_hash(default)) == (rate == SFT_VALUES["learning_rate"])


def test_a_summarising_model_has_a_prompt_with_both_placeholders() -> None:
    efficiency = load_scale("paper", folder=SCALES).efficiency.model_dump()
    efficiency["summariser"]["prompt"] = "Shorten this: {thinking}"
    with pytest.raises(ConfigError, match=r"prompt lacks the placeholder \{question\}"):
        validate(Efficiency, efficiency, "here")
    with pytest.raises(ConfigError, match=r"efficiency\.summariser = program knows generated `questions` only"):
        load_scale("paper", {"efficiency": {"summariser": "program"}}, SCALES)


def test_a_scale_knows_the_engines_that_it_samples_with() -> None:
    assert load_scale("micro", {}, SCALES).engines == {"torch"}
    assert load_scale("paper", {}, SCALES).engines == {"vllm"}
    server = {"name": "server", "dtype": "bfloat16", "url": "http://host:8000"}
    for overrides in ({"efficiency": {"summariser": {"engine": server}}}, {"writers": {"long": {"engine": server}}}):
        assert load_scale("paper", overrides, SCALES).engines == {"vllm", "server"}


@pytest.mark.parametrize("url", ["https://me:secret@host", "http://secret@host:8000/v1"])
def test_secrets_in_urls_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="put the key in VLLM_API_KEY") as error:
        validate(EngineSettings, {"name": "server", "dtype": "bfloat16", "url": url}, "here")
    assert "secret" not in str(error.value)
