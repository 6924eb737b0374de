"""docs/probe.md does what it says."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from byte_level import byte_level_tokenizer

GUIDE = Path(__file__).parents[2] / "docs" / "probe.md"
NAMED = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trajectory and with a tiny model of byte tokens under the name that the guide uses."""
    byte_level_tokenizer(259).save_pretrained(tmp_path / NAMED)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=259, max_position_embeddings=1024, **sizes)).save_pretrained(
        tmp_path / NAMED
    )
    (tmp_path / "thoughts.txt").write_text("17 + 25 = 42.\nWait — 42 - 12 = 30 🐑.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_what_is_promised(workplace: Path, ask: Callable[..., Any]) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    command, *_ = re.findall(r"^    (raml probe(?:.*\\\n)+.*)$", text, re.MULTILINE)
    assert NAMED in command
    assert ask(*shlex.split(command.replace("\\\n", " "))[1:]).code == 0
    promised = set(re.findall(r"^\| `(\w+\.\w+)` \|", text, re.MULTILINE))
    assert {path.name for path in (workplace / "probe").iterdir()} == promised
    assert {"index.html", "curves.svg", "curves.parquet"} == promised


def test_the_example_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    length = len((workplace / "thoughts.txt").read_bytes())
    assert capsys.readouterr().out.splitlines()[-1] == str((3, length + 1))


def test_the_options_are_those_of_the_command() -> None:
    from raml.cli.probe import probe

    text = GUIDE.read_text(encoding="utf-8")
    known = {f"--{name.replace('_', '-')}" for name in probe.__annotations__ if name != "return"}
    assert set(re.findall(r"--[a-z-]+[a-z]", text)) == known
