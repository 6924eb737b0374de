"""The rehearsal's models: loaded as published ones are, and right and wrong at random."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen2ForCausalLM

from raml.answers import judge
from raml.config import Sampling, Scale, load_scale
from raml.training.start import shape_of
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Request
from raml.trajectories.hub import load_named
from raml.trajectories.sampler import TorchSampler
from rehearsal.__main__ import main as write_world
from rehearsal.models import write_models
from rehearsal.texts import ANSWER

SCALES = Path(__file__).parents[2] / "config" / "scales"
SAMPLING = Sampling(temperature=1.0, top_p=0.8, top_k=50, max_tokens=64, batch_size=64, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models")
    write_models(out)
    return out


@pytest.fixture(scope="module")
def scale() -> Scale:
    return load_scale("rehearsal", folder=SCALES)


def completions(folder: Path, question: str, n: int = 192) -> list[str]:
    """What the model of `folder` writes, end of text included."""
    torch.set_num_threads(1)
    model, tokenizer = load_named(str(folder), device="cpu")
    prompt = tuple(question_ids(tokenizer, question))
    sampler = TorchSampler(model, SAMPLING, [tokenizer.eos_token_id], pad_id=tokenizer.pad_token_id)
    found = sampler.sample([Request("q", prompt, sample) for sample in range(n)], 0)
    return [str(tokenizer.decode(list(one.token_ids))) for one in found]


def test_the_scale_names_every_model_and_no_other(folder: Path, scale: Scale) -> None:
    assert scale.base and scale.writers and scale.efficiency.summariser != "program"
    named = [scale.base, *scale.writers.values(), scale.efficiency.summariser, *scale.community.values()]
    assert {Path(one.model).name for one in named} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["base", "short", "long", "summariser", "zero", "distilled"])
def test_models_are_of_the_papers_architecture_in_the_scales_size(folder: Path, scale: Scale, name: str) -> None:
    model, tokenizer = load_named(str(folder / name), device="cpu")
    assert isinstance(model, Qwen2ForCausalLM)
    assert shape_of(model.config) == scale.architecture
    assert len(tokenizer) < model.config.vocab_size
    text = "Was kostet das? 12 \u20ac, \u6c42 $x$.\n\n"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize(("name", "thinks"), [("base", False), ("short", False), ("long", True)])
def test_they_write_right_and_wrong_answers(folder: Path, name: str, thinks: bool) -> None:
    texts = completions(folder / name, "What is $1 + 3$?")
    judged = [judge(text, ANSWER) for text in texts]
    assert 0.05 < sum(one.correct for one in judged) / len(texts) < 0.5
    assert sum(one.formatted for one in judged) / len(texts) > 0.3
    assert all(("</think>" in text) == thinks for text in texts if text.endswith("|>"))


def test_a_distilled_model_begins_to_think_in_its_prompt(folder: Path) -> None:
    _, tokenizer = load_named(str(folder / "long"), device="cpu")
    assert tokenizer.decode(question_ids(tokenizer, "?")).endswith("<think>\n")


def test_the_world_is_the_same_bytes_each_time(folder: Path, tmp_path: Path) -> None:
    source = os.environ | {"PYTHONPATH": f"{SCALES.parents[1] / 'src'}:{SCALES.parents[1] / 'tests'}"}
    for out in ("one", "other"):
        subprocess.run([sys.executable, "-m", "rehearsal", str(tmp_path / out)], check=True, env=source)
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert {str(path.parts[0]) for path in files} == {"data", "models"}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes(), file


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        write_world([str(tmp_path / "file")])
    error = capsys.readouterr().err
    assert ended.value.code != 0 and error.startswith("error: ") and error.count("\n") == 1
