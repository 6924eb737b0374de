"""Published models as folders of ours: from a folder, and from a hub on this machine."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from byte_level import byte_level_tokenizer
from local_hub import COMMIT, error_line, run_step, serving
from raml.config import Base
from raml.step import run
from raml.storage import Provenance, model_hash
from raml.trajectories.fetch import main
from raml.trajectories.pretrained import load_pretrained

FILES = {
    *("model.safetensors", "config.json", "generation_config.json", "raml.json"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
}


def save(folder: Path, tokenizer: PreTrainedTokenizerBase | None = None, **options: Any) -> Path:
    torch.manual_seed(0)
    tokenizer = tokenizer or byte_level_tokenizer(300)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 1}
    config = Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=64, **sizes)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    return folder


def line(model: str | Path, *outs: Path, **more: str) -> list[str]:
    section = json.dumps({"model": str(model), "revision": "main"} | more)
    return ["--scale", "tiny", "--config", section, "--outs", *map(str, outs)]


def fetch(model: str | Path, *outs: Path, **more: str) -> None:
    run(main, Base, many_outputs=["outs"], arguments=line(model, *outs, **more))


def origin(folder: Path) -> Provenance:
    return Provenance.model_validate_json((folder / "raml.json").read_text())


@pytest.mark.parametrize(("more", "dtype"), [({}, torch.bfloat16), ({"dtype": "float32"}, torch.float32)])
def test_a_folder_becomes_one_of_ours(tmp_path: Path, more: dict[str, str], dtype: torch.dtype) -> None:
    source = save(tmp_path / "source", max_shard_size="20KB")
    assert len(list(source.glob("*.safetensors"))) > 1
    fetch(source, tmp_path / "out", **more)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert origin(tmp_path / "out").model_hash == model_hash(tmp_path / "out")
    (one, _), (other, tokenizer) = load_pretrained(source), load_pretrained(tmp_path / "out")
    assert other.dtype == dtype
    weights = other.state_dict()
    assert all(torch.equal(weight.to(dtype), weights[name]) for name, weight in one.state_dict().items())
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.chat_template


def test_further_folders_share_the_files_and_survive_the_first(tmp_path: Path) -> None:
    outs = [tmp_path / f"seed{seed}" / "base" for seed in range(3)]
    fetch(save(tmp_path / "source"), *outs)
    nodes = {(out / "model.safetensors").stat().st_ino for out in outs}
    assert len(nodes) == 1
    for path in outs[0].iterdir():
        path.unlink()
    assert {path.name for path in outs[2].iterdir()} == FILES
    assert load_file(outs[2] / "model.safetensors")
    fetch(tmp_path / "source", *outs)
    assert {path.name for path in outs[0].iterdir()} == FILES


@pytest.mark.parametrize(
    ("lacking", "message"),
    [("chat_template", "no chat template, so how to ask it is unknown"), ("eos_token", "no end-of-text token")],
)
def test_a_model_that_cannot_be_asked_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lacking: str, message: str
) -> None:
    tokenizer = byte_level_tokenizer(300)
    setattr(tokenizer, lacking, None)
    with pytest.raises(SystemExit) as left:
        fetch(save(tmp_path / "source", tokenizer), tmp_path / "out")
    assert left.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: the tokenizer of ") and message in error
    assert not (tmp_path / "out").exists()


def test_the_hub_is_asked_for_a_revision_and_the_commit_recorded(tmp_path: Path) -> None:
    source = save(tmp_path / "source", max_shard_size="20KB")
    out, other = tmp_path / "out", tmp_path / "other"
    with serving(tmp_path / "home", models={"own/model": source}) as hub:

        def fetched(out: Path, revision: str, **more: str) -> subprocess.CompletedProcess[str]:
            return run_step(hub, "raml.trajectories.fetch", line("own/model", out, revision=revision), **more)

        ran = fetched(out, "v1")
        gone = fetched(other, "gone")
    cached = fetched(tmp_path / "again", COMMIT, HF_HUB_OFFLINE="1")
    offline = fetched(other, 40 * "0", HF_HUB_OFFLINE="1")
    assert ran.returncode == cached.returncode == 0, ran.stderr + cached.stderr
    assert origin(out).model_hash == origin(tmp_path / "again").model_hash == COMMIT
    assert "own/model: there is no such folder, and the Hugging Face Hub does not give it" in error_line(gone)
    assert "it is not whole in the cache and HF_HUB_OFFLINE=1 forbids to ask" in error_line(offline)
    assert not other.exists()


def test_a_gated_model_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    source = save(tmp_path / "source")
    with serving(tmp_path / "home", models={"own/model": source}, gated=frozenset({"own/model"})) as hub:
        ran = run_step(hub, "raml.trajectories.fetch", line("own/model", tmp_path / "out"))
    start = "error: model own/model is gated: accept its conditions at https://huggingface.co"
    assert error_line(ran).startswith(start)
    assert not (tmp_path / "out").exists()
