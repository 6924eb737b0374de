"""`raml probe` from the command line to its files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from raml.answers.format import MARKER
from raml.probing.curves import answer_nll_curve
from raml.schemas import ProbeCurve
from raml.storage import read_provenance, read_table
from raml.trajectories.pretrained import load_pretrained
from tiny_model_folder import CONTEXT, tiny_model

Ask = Callable[..., Any]

QUESTION, THINKING, ANSWER = "rows 3 ; A +1 ?", "A 1 ; Wait A 2 ok", "2 1"
FILES = {"curves.parquet", "curves.svg", "index.html"}


class Request:
    """A command line that works; tests change one thing about it."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.trajectory = folder / "thoughts.txt"
        self.trajectory.write_text(THINKING + "\n")
        self.out = folder / "out"
        self.options: dict[str, object] = {
            "--model": model,
            "--question": QUESTION,
            "--instruction": "",
            "--answer": ANSWER,
            "--trajectory": self.trajectory,
            "--out": self.out,
        }

    def arguments(self, **changes: object) -> list[object]:
        options = self.options | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        return ["probe", *(part for option, value in options.items() if value is not None for part in (option, value))]


@pytest.fixture
def request_(model_folder: Path, tmp_path: Path) -> Request:
    return Request(model_folder, tmp_path)


def test_the_table_holds_the_curves_of_the_library(ask: Ask, request_: Request, model_folder: Path) -> None:
    told = ask(*request_.arguments(mode="both", distractor="2 3"))
    assert told.code == 0
    assert {path.name for path in request_.out.iterdir()} == FILES
    table = read_table(request_.out / "curves.parquet", ProbeCurve)
    model, tokenizer = load_pretrained(model_folder)

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    for (mode, answer), rows in table.group_by("mode", "answer", maintain_order=True):
        end = ids("</think>") if mode == "no_thinking" else []
        expected = answer_nll_curve(
            model, ids(f"<bos> {QUESTION} <think>"), ids(THINKING), end + ids(MARKER), ids(str(answer))
        )
        np.testing.assert_allclose(rows["nll"].to_numpy(), expected, atol=1e-5)
        assert rows["token_id"].to_list() == [None, *ids(THINKING)]
    assert table.group_by("mode", "answer").len().height == 4
    assert table["trajectory_id"].unique().item().endswith("/tiny/thoughts")
    assert table["correct"].is_null().all()
    assert read_provenance(request_.out / "curves.parquet").model_hash is not None

    gold = table.filter((table["answer"] == ANSWER) & (table["mode"] == "thinking"))["nll"].to_numpy()
    drop = np.diff(gold).min()
    assert f"largest drop {-drop:.3g} nats at token {np.diff(gold).argmin() + 1}" in told.out
    assert "probing: 100%" in told.err
    assert all(str(request_.out / name) in told.out for name in FILES)


def test_the_page_holds_text_and_numbers(ask: Ask, request_: Request) -> None:
    assert "after 7 tokens" in ask(*request_.arguments(stride=3)).out
    page = (request_.out / "index.html").read_text()
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    (trajectory,) = data["trajectories"]
    assert "".join(trajectory["tokens"]) == THINKING
    assert trajectory["positions"] == [0, 3, 6, 7]  # the last token has its colour too
    nll = read_table(request_.out / "curves.parquet", ProbeCurve)["nll"].to_numpy()
    np.testing.assert_allclose(trajectory["nll"][0], nll, rtol=1e-5)
    assert "every 3 tokens, and at the end" in page


def test_strides_end_at_the_end_of_each_trajectory(ask: Ask, request_: Request, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("A 1 ; Wait A")
    command = [*request_.arguments(), "--trajectory", tmp_path / "other.txt"]
    assert ask(*command).code == 0
    every = read_table(request_.out / "curves.parquet", ProbeCurve)
    assert ask(*command, "--stride", 2).code == 0
    some = read_table(request_.out / "curves.parquet", ProbeCurve)
    by_name = {name[0].rsplit("/", 1)[1]: rows for name, rows in some.group_by("trajectory_id")}
    assert sorted(by_name["thoughts"]["position"]) == [0, 2, 4, 6, 7]
    assert sorted(by_name["other"]["position"]) == [0, 2, 4, 5]
    both = some.join(every, on=["trajectory_id", "position"])
    assert both.height == some.height
    np.testing.assert_allclose(both["nll"].to_numpy(), both["nll_right"].to_numpy(), atol=1e-5)


def test_an_exact_prompt_replaces_the_template(ask: Ask, request_: Request, tmp_path: Path) -> None:
    assert ask(*request_.arguments()).code == 0
    by_template = read_table(request_.out / "curves.parquet", ProbeCurve)["nll"]
    (tmp_path / "prompt.txt").write_text(f"<bos> {QUESTION} <think>\n")
    assert ask(*request_.arguments(question=None, instruction=None, prompt=tmp_path / "prompt.txt")).code == 0
    assert read_table(request_.out / "curves.parquet", ProbeCurve)["nll"].to_list() == by_template.to_list()


BAD: dict[str, tuple[dict[str, object], str]] = {
    "choice": ({"mode": "fast"}, "'fast' is not one of 'thinking', 'no-thinking', 'both'"),
    "minimum": ({"stride": 0}, "Invalid value for '--stride': "),
    "unknown option": ({"guess": 1}, "No such option: --guess"),
    "blank": ({"answer": " "}, "the answer is blank"),
    "unknown word": ({"answer": "12345"}, "no token for '12345' in the answer"),
    "no question": ({"question": None}, "give --question TEXT, or --prompt FILE"),
    "question and prompt": ({"prompt": __file__}, "give --question TEXT, or --prompt FILE with the exact prompt, and"),
    "equal distractor": ({"distractor": f" {ANSWER}"}, "an answer is given twice"),
    "end of thinking": ({"end_of_thinking": "</think>"}, "only forced with --mode no-thinking or --mode both"),
    "long stride": ({"stride": 8}, "--stride 8: trajectory thoughts has only 7 tokens"),
    "control character": ({"answer": "\frac{1}{2}"}, "it holds the control character U+000C at character 1"),
    "long name": ({"out": "o" * 300}, "File name too long"),
    "no model": ({"model": "./missing"}, "model ./missing: there is no such folder"),
    "no file": ({"trajectory": "gone.txt"}, "gone.txt cannot be read: no such file or directory"),
    "below a file": ({"out": f"{__file__}/out", "model": "./missing"}, "is a file; name a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_line(ask: Ask, request_: Request, case: str) -> None:
    changes, message = BAD[case]
    told = ask(*request_.arguments(**changes))
    assert told.code == 2 and message in told.error()
    assert not request_.out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" \n\n", "is empty"),
        (b"A \xff", "is not UTF-8 text (byte 2)"),
        (b"A 1 ; " * 30, f"= {12 + 90 + 3 - 4} tokens exceed the model's context of {CONTEXT}; shorten the trajectory"),
    ],
)
def test_an_unusable_trajectory_ends_with_one_line(ask: Ask, request_: Request, content: bytes, message: str) -> None:
    request_.trajectory.write_bytes(content)
    told = ask(*request_.arguments())
    assert told.code == 2 and message in told.error() and "thoughts" in told.error()


def test_nan_logits_end_with_exit_code_1(ask: Ask, request_: Request, tmp_path: Path) -> None:
    tiny_model(tmp_path / "broken")
    weights = load_file(tmp_path / "broken" / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, tmp_path / "broken" / "model.safetensors", metadata={"format": "pt"})
    told = ask(*request_.arguments(model=tmp_path / "broken"))
    assert told.code == 1 and "the answer's NLL is not finite" in told.error()
    assert not request_.out.exists()


def test_out_of_memory_is_said_once_and_survived(ask: Ask, request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "2 1 ; 3 4 5"  # 6 tokens at 8 positions
    assert ask(*request_.arguments(answer=long)).code == 0
    expected = read_table(request_.out / "curves.parquet", ProbeCurve)["nll"].to_numpy()
    forward = LlamaForCausalLM.forward
    limit = 20  # the context alone has 15

    def small(self: LlamaForCausalLM, *, input_ids: torch.Tensor, **options: Any) -> Any:
        if input_ids.numel() > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(LlamaForCausalLM, "forward", small)
    told = ask(*request_.arguments(answer=long))
    assert told.code == 0 and told.err.count("warning: out of memory") == 1
    nll = read_table(request_.out / "curves.parquet", ProbeCurve)["nll"].to_numpy()
    np.testing.assert_allclose(nll, expected, atol=1e-5)

    limit = 0
    told = ask(*request_.arguments(answer=long, out=request_.out.with_name("none")))
    assert told.code == 1 and "out of memory" in told.error()
    assert not request_.out.with_name("none").exists()
