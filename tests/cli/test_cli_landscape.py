"""`raml landscape` from the command line to its files."""

import html
import re
from collections.abc import Callable
from pathlib import Path
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

Command = Callable[..., int]

QUESTIONS, ANSWERS = ("rows 3 ; A +1 ?", "rows 4 ; A +1 B +2 ?"), ("2 1", "7")
THINKING = "A 1 ; Wait A 2 ok"
FILES = {"landscape.parquet", "landscape.svg", "index.html"}


class Line:
    """A command line that works; tests change it."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.model: object = model
        self.asked = [*pair(QUESTIONS[0], ANSWERS[0]), *pair(QUESTIONS[1], ANSWERS[1])]
        self.rest: list[object] = ["--instruction", "", "--size", 3, "--radius", 0.5]

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def arguments(self, *more: object) -> list[object]:
        return ["landscape", "--model", self.model, *self.asked, *self.rest, "--out", self.out, *more]


def pair(question: str, answer: str) -> tuple[str, str, str, str]:
    return "--question", question, "--answer", answer


@pytest.fixture
def line(model_folder: Path, tmp_path: Path) -> Line:
    return Line(model_folder, tmp_path)


def test_the_table_holds_the_landscapes_of_the_library(ask: Command, line: Line, model_folder: Path) -> None:
    line.out.mkdir()
    (line.out / "notes.txt").write_text("mine")  # which stays
    printed = ask(*line.arguments("--seed", 5))
    assert printed.code == 0
    assert {path.name for path in line.out.iterdir()} == FILES | {"notes.txt"}
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
    figure = (line.out / "landscape.svg").read_text(encoding="utf-8")
    assert "landscape-surface-2" in figure and "contour-curve" not in figure  # without a trajectory
    page = (line.out / "index.html").read_text(encoding="utf-8")
    assert "points outside" not in page and "time runs" not in page
    assert "question 2: NLL" in printed.out and "9 grid points in" in printed.out
    assert "landscape" in printed.err  # the progress line


def test_the_page_is_whole_and_says_how_it_was_made(ask: Command, line: Line) -> None:
    prompts = [line.file(f"p{number}", f"<bos> {text} <think>") for number, text in enumerate(QUESTIONS)]
    line.asked, line.rest = [], ["--size", 3, "--radius", 0.5]
    for prompt, answer in zip(prompts, ANSWERS, strict=True):
        line.asked += ["--prompt", str(prompt), "--answer", answer]
    thoughts = line.file("t", THINKING)
    told = ask(*line.arguments("--trajectory", thoughts, "--trajectory", thoughts, "--normalisation", "tensor"))
    assert told.code == 0
    page = (line.out / "index.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub("<[^>]+>", " ", page))
    size = "3 x 3 within \N{PLUS-MINUS SIGN}0.5"
    for part in (size, "by tensor", "stored", "Peak memory", "ms a point", "points outside"):
        assert part in text, part
    assert "<bos>" not in page and "&lt;bos&gt;" in page  # what people write is shown, not run
    assert not re.search(r'(?:src|href)="(?!data:|#|landscape\.)', page)  # nothing is fetched
    figure = ElementTree.fromstring((line.out / "landscape.svg").read_bytes())
    ids = {element.get("id") for element in figure.iter()}
    assert {"landscape-surface-2", "landscape-contour-curve-2"} <= ids


def check(ask: Command, line: Line, message: str, *more: object) -> None:
    told = ask(*line.arguments(*more))
    assert told.code == 2 and message in told.error()
    assert not line.out.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--token-budget", 0], "token_budget = 0: must be at least 1"),
        (["--normalisation", "layer"], "--normalisation = 'layer': allowed are filter, tensor"),
        (["--size", 10**20 + 1], "must be at most 1001"),
        (["--radius", 1e300], "--radius 1e+300: must be at most 1000"),
        (["--seed", 10**20 - 1], "--seed 99999999999999999999: must be from 0 to 2^63 - 1"),
        (["--answer", "3"], "2 questions but 3 answers: give one --answer for each"),
        (["--question", " ", "--answer", "3"], "a --question is empty"),
        (["--trajectory", "gone.txt"], "2 questions but 1 trajectories"),
        (["--trajectory", "gone.txt", "--trajectory", "gone.txt"], "--trajectory gone.txt cannot be read"),
    ],
)
def test_bad_input_is_one_clear_line(ask: Command, line: Line, more: list[object], message: str) -> None:
    check(ask, line, message, *more)


def test_a_question_or_a_prompt_but_not_both(ask: Command, line: Line) -> None:
    prompt = line.file("p", "rows")
    check(ask, line, "and not both", "--prompt", prompt)
    line.asked = ["--answer", "2"]
    check(ask, line, "--instruction is not used with --prompt", "--prompt", prompt)
    check(ask, line, "give --question TEXT, or --prompt FILE")


def test_lengths_are_checked_before_any_trajectory_is_followed(
    ask: Command, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raml.cli.survey.answer_nll_curves", None)  # a call would be a TypeError
    short, long = line.file("short", THINKING), line.file("long", "A " * CONTEXT)
    check(ask, line, "trajectory 2: prompt", "--trajectory", short, "--trajectory", long)
    line.asked = [*pair(QUESTIONS[0], "3"), *pair("rows ?" + " A" * CONTEXT, "3")]
    check(ask, line, "question 2: ", "--trajectory", short, "--trajectory", short)
