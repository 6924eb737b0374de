"""Models that `raml` is pointed at: folders that are none, parts of one, names of the Hub."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from safetensors.torch import load_file, save_file
from tiny_model_folder import tiny_model

from raml.cli.common import load, output_folder
from raml.errors import DataError, InputError, RamlError
from raml.trajectories import hub


def test_a_folder_is_loaded_in_eval_mode(model_folder: Path) -> None:
    model, tokenizer = load(str(model_folder))
    assert not model.training
    assert (model.dtype, model.device.type) == (torch.float32, "cuda" if torch.cuda.is_available() else "cpu")
    assert tokenizer.bos_token == "<bos>"
    assert load(str(model_folder), "cpu", "bfloat16").model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "model_type"),
        ("{", "not a valid JSON"),
        ('{"model_type": "llama"}', "model.safetensors"),
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


def test_a_model_too_large_for_the_memory_fails_with_one_line(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(RamlError, match="does not fit into the memory") as failed:
        load(str(model_folder), "cpu")
    assert failed.value.exit_code == 1


def test_an_output_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for content in ("first", "second"):
        with output_folder(tmp_path / "out") as folder:
            (folder / "a").write_text(content)
        assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [("a", content)]
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("third")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [("a", "second")]
