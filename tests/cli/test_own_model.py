"""What `raml probe` and `raml landscape` share."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertForMaskedLM

from raml.cli.own_model import output_folder
from raml.errors import RamlError
from raml.trajectories.tokenizer import build_tokenizer


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
