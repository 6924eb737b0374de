"""`raml landscape` from the command line to its files."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from raml.probing.forced import forced_probe
from raml.probing.landscape import ForcedAnswer, answer_nll_landscape
from raml.probing.prompts import question_ids
from raml.schemas import LandscapePoint
from raml.storage import model_hash, read_provenance, read_table
from raml.trajectories.pretrained import load_pretrained
from tiny_model_folder import CONTEXT

Ask = Callable[..., Any]

QUESTIONS, ANSWERS = ("rows 3 ; A +1 ?", "rows 4 ; A +1 B +2 ?"), ("2 1", "7")
THINKING = "A 1 ; Wait A 2 ok"
FILES = {"landscape.parquet", "landscape.svg", "index.html"}


class Line:
    """A command line that works; tests change it."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.model: object = model
        self.asked = [part for pair in zip(QUESTIONS, ANSWERS, strict=True) for part in self._pair(*pair)]
        self.rest: list[object] = ["--instruction", "", "--size", 3, "--radius", 0.5]

    @staticmethod
    def _pair(question: str, answer: str) -> tuple[str, str, str, str]:
        return "--question", question, "--answer", answer

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def arguments(self, *more: object) -> list[object]:
        return ["landscape", "--model", self.model, *self.asked, *self.rest, "--out", self.out, *more]


@pytest.fixture
def line(model_folder: Path, tmp_path: Path) -> Line:
    return Line(model_folder, tmp_path)


def test_the_table_holds_the_landscapes_of_the_library(ask: Ask, line: Line, model_folder: Path) -> None:
    told = ask(*line.arguments("--seed", 5))
    assert told.code == 0
    assert {path.name for path in line.out.iterdir()} == FILES
    table = read_table(line.out / "landscape.parquet", LandscapePoint)
    model, tokenizer = load_pretrained(model_folder)
    asked = []
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
        probe = forced_probe(tokenizer, answer)
        prompt = question_ids(tokenizer, question, instruction="")
        asked.append(ForcedAnswer(prompt, probe.marker_ids, probe.answer_ids))
    expected = answer_nll_landscape(model.float(), asked, size=3, radius=0.5, seed=5)
    np.testing.assert_allclose(table["nll"].to_numpy().reshape(2, 3, 3), expected.nll, atol=1e-5)
    assert table["x"].to_list()[:3] == [-0.5, 0.0, 0.5] and set(table["seed"]) == {5}
    assert read_provenance(line.out / "landscape.parquet").model_hash == model_hash(model_folder)
    assert "question 2: NLL" in told.out and "9 grid points in" in told.out
    assert "landscape" in told.err  # the progress line


def test_the_page_is_whole_and_says_how_it_was_made(ask: Ask, line: Line) -> None:
    prompts = [line.file(f"p{number}", f"<bos> {text} <think>") for number, text in enumerate(QUESTIONS)]
    line.asked, line.rest = [], ["--size", 3, "--radius", 0.5]
    for prompt, answer in zip(prompts, ANSWERS, strict=True):
        line.asked += ["--prompt", str(prompt), "--answer", answer]
    thoughts = line.file("t", THINKING)
    more = ("--trajectory", thoughts, "--trajectory", thoughts, "--normalisation", "tensor")
    assert ask(*line.arguments(*more)).code == 0
    page = (line.out / "index.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub("<[^>]+>", " ", page))
    for part in ("3 x 3 within \N{PLUS-MINUS SIGN}0.5", "by tensor", "stored", "ms a point", "points outside"):
        assert part in text, part
    assert "<bos>" not in page and "&lt;bos&gt;" in page  # what people write is shown, not run
    assert not re.search(r'(?:src|href)="(?!data:|#|landscape\.)', page)  # nothing is fetched
    figure = ElementTree.fromstring((line.out / "landscape.svg").read_bytes())
    ids = {element.get("id") for element in figure.iter()}
    assert {"landscape-surface-2", "landscape-contour-curve-2"} <= ids


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--size", 4], "size = 4: must be odd"),
        (["--size", 10**20 + 1], "Invalid value for '--size': Input should be less than or equal to 1001"),
        (["--normalisation", "layer"], "'layer' is not one of 'filter', 'tensor'"),
        (["--seed", -1], "Invalid value for '--seed': "),
        (["--answer", "3"], "2 questions but 3 answers: give one --answer for each"),
        (["--prompt", __file__], "and not both"),
        (["--trajectory", __file__], "2 questions but 1 trajectories"),
        (["--question", "rows ?" + " A" * CONTEXT, "--answer", "3"], f"exceed the model's context of {CONTEXT}"),
    ],
)
def test_bad_input_is_one_clear_line(ask: Ask, line: Line, more: list[object], message: str) -> None:
    told = ask(*line.arguments(*more))
    assert told.code == 2 and message in told.error()
    assert not line.out.exists()
