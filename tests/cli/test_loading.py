"""Models that `raml` is pointed at: folders that are none, parts of one, names of the Hub."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM
from transformers.utils import logging

from raml.cli.own_model import load, output_folder
from raml.errors import DataError, InputError, RamlError
from raml.trajectories import hub
from raml.trajectories.tokenizer import build_tokenizer
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
        load(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_missing_and_truncated_weights_are_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 of the model's weights, such as model\.layers\.1\.mlp"):
        load(str(tmp_path / "model"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match="holds no causal language model"):
        load(str(tmp_path / "model"))


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
            load(str(tmp_path))
        assert "\n" not in str(error.value)
        assert shown == []  # no report of transformers around it

    refused(r"holds 9 weights of layers .* such as model\.layers\.1\.", num_hidden_layers=1)
    refused(r"lacks 9 of the model's weights", num_hidden_layers=3)
    refused(r"weight .* is 32 x 48, but config.json describes one of 32 x 56", intermediate_size=56)
    refused(r"holds no causal language model", quantization_config={"quant_method": "gptq", "bits": 4})


def test_a_folder_without_tokenizer_is_refused(model_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model_folder / name, tmp_path)
    with pytest.raises(DataError, match="holds no causal language model with its tokenizer"):
        load(str(tmp_path))


@pytest.mark.parametrize("name", ["./missing", "/no/such/folder", "a/b/c", "no such name", "~/model"])
def test_what_can_be_neither_folder_nor_hub_name_is_refused_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.Client, "send", refuse)
    with pytest.raises(DataError, match="there is no such folder"):
        load(name)


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
        load("owner/name")


def test_a_gpu_that_is_not_there_is_refused(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda: torch finds no GPU"):
        load(str(model_folder), "cuda")


def test_an_output_folder_gets_all_files_or_none(tmp_path: Path) -> None:
    out, other = tmp_path / "new" / "out", tmp_path / "new" / "out" / "other"
    with pytest.raises(RuntimeError), output_folder(out) as folder:
        (folder / "a").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for content in ("first", "second"):
        with output_folder(out) as folder:
            (folder / "a").write_text(content)
        other.write_text("mine")
        assert {path.name: path.read_text() for path in out.iterdir()} == {"a": content, "other": "mine"}
    assert out.stat().st_mode == out.parent.stat().st_mode  # others may read it as usual
    with pytest.raises(RuntimeError), output_folder(out) as folder:
        (folder / "a").write_text("third")
        raise RuntimeError
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a": "second", "other": "mine"}


def test_a_full_disk_ends_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(RamlError, match=r"cannot write .*out: No space left"), output_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["probe", "landscape"])
def test_an_encoder_is_refused_with_one_line(ask: Callable[..., Any], command: str, tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(tmp_path / "bert")
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "bert")
    (tmp_path / "thoughts.txt").write_text("A 1 ; Wait A 2 ok")
    texts = ["--question", "rows 3", "--instruction", "", "--answer", "2 1", "--trajectory", tmp_path / "thoughts.txt"]
    told = ask(command, "--model", tmp_path / "bert", *texts, "--out", tmp_path / "out")
    assert told.code == 2 and "no causal language model" in told.error()
    assert not (tmp_path / "out").exists()
