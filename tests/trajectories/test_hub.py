"""Models that `raml` is pointed at: folders that are none, parts of one, names of the Hub."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from raml.errors import DataError, InputError
from raml.trajectories import hub
from raml.trajectories.hub import load_named
from tiny_model_folder import tiny_model


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "model_type"),
        ("{", "not a valid JSON"),
        ('{"model_type": "llama"}', "model.safetensors"),
        ("[1]", "TypeError|config"),
        ('{"model_type": "llama", "hidden_size": 30, "num_attention_heads": 7}', "attention heads"),
        ('{"model_type": "llama", "hidden_size": "many"}', "hidden_size"),
        ('{"model_type": "vit"}', "Unrecognized configuration class"),
        ('{"model_type": "new", "auto_map": {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}}', "custom code"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, config: str | None, message: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(DataError, match=f"holds no causal language model .*{message}") as refused:
        load_named(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_missing_and_truncated_weights_are_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 of the model's weights, such as model\.layers\.1\.mlp"):
        load_named(str(tmp_path / "model"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match="holds no causal language model"):
        load_named(str(tmp_path / "model"))


def test_weights_of_another_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model(tmp_path)
    shown: list[str] = []
    logging.set_verbosity_warning()
    logger = logging.get_logger("transformers")
    monkeypatch.setattr(logger.handlers[0], "emit", lambda record: shown.append(record.getMessage()))
    config = json.loads((tmp_path / "config.json").read_text())

    def refused(message: str, **changes: object) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(DataError, match=message) as error:
            load_named(str(tmp_path))
        assert "\n" not in str(error.value)
        assert shown == []  # no report of transformers around it

    refused(r"holds 9 weights of layers .* such as model\.layers\.1\.", num_hidden_layers=1)
    refused(r"lacks 9 of the model's weights", num_hidden_layers=3)
    refused(r"weight .* is 32 x 48, but config.json describes one of 32 x 56", intermediate_size=56)
    refused(r"holds no causal language model", quantization_config={"quant_method": "gptq", "bits": 4})


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    model_folder = tmp_path / "whole"
    tiny_model(model_folder)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model_folder / name, tmp_path)
    with pytest.raises(DataError, match="holds no causal language model with its tokenizer"):
        load_named(str(tmp_path))


@pytest.mark.parametrize("name", ["./missing", "/no/such/folder", "a/b/c", "no such name", "~/model"])
def test_what_can_be_neither_folder_nor_hub_name_is_refused_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.Client, "send", refuse)
    with pytest.raises(DataError, match="there is no such folder"):
        load_named(name)


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("asked the network")


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("Name or service not known"), OfflineModeIsEnabled("offline mode is enabled")]
)
def test_a_hub_out_of_reach_ends_with_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(hub, "model_info", unreachable)
    with pytest.raises(InputError, match=r"owner/name: there is no such folder, and the .* Hub does not give it"):
        load_named("owner/name")


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda: torch finds no GPU"):
        load_named(str(tmp_path), device="cuda")
