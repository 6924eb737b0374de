import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from asked import PROVENANCE, question, save_model, save_questions

from raml.config import Efficiency
from raml.schemas import ForcedAnswer, Trajectory, column_types
from raml.step import run
from raml.storage import read_table, write_table
from raml.trajectories.answering import Answering, Kept
from raml.trajectories.efficiency import Job, main
from raml.trajectories.engine import PROGRAM, Completion, Request
from raml.trajectories.pretrained import load_tokenizer
from raml.trajectories.rows import trajectory_row
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.shards import ShardedEngine
from raml.trajectories.tokenizer import build_tokenizer, prompt_ids, token_ids

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_tokens": 20, "batch_size": 5, "threads": 1}
EFFICIENCY: dict[str, Any] = {
    "models": ["base"], "benchmarks": ["rows", "path"], "n": 2, "budgets": [3, 30], "summaries": 2,
    "summariser": "program", "end_of_thinking": "</think>", "answer_tokens": 6, "batch_size": 8, "threads": 1,
}  # fmt: skip
ENGINE = {"name": "torch", "dtype": "float32"}
MARKER_WORDS = ["</think>", "\n\n**Final Answer**\n\\boxed{"]
SUMMARISER = {
    "model": "m", "revision": "main", "prompt": "{question} {thinking} ;", "engine": ENGINE, "sampling": SAMPLING
}  # fmt: skip


def sample(asked: dict[str, Any], number: int, thinking: str, answer: str | None) -> dict[str, Any]:
    """A trajectory with this thinking, cut off if `answer` is None."""
    tokenizer = build_tokenizer()
    words = thinking.replace("Hold on", "Hold_on").split()
    ids = token_ids(tokenizer, [word.replace("_", " ") for word in words])
    if answer is not None:
        ids += token_ids(tokenizer, [*MARKER_WORDS, *answer.split(), "}", "<eos>"])
    prompt = prompt_ids(tokenizer, asked["prompt"])
    return trajectory_row(asked, "base", number, 0, prompt, ids, None, tokenizer, PROGRAM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A random model, a question of each of two families, and two trajectories of each: one right, one cut off."""
    save_model(tmp_path / "model")
    asked = [question("rows"), question("path")]
    save_questions(tmp_path / "q.parquet", *asked)
    rows = [
        sample(asked[0], 0, "B +1 = 1 3 Wait 2 b 2 ; a 3 ;", asked[0]["answer"]),
        sample(asked[0], 1, "a 3 ; b 2 ; c 4", None),
        sample(asked[1], 0, "A b Wait C d", asked[1]["answer"]),
        sample(asked[1], 1, "A b", "b"),
    ]
    table = pl.DataFrame(rows, schema=column_types(Trajectory))
    write_table(table, Trajectory, tmp_path / "samples.parquet", PROVENANCE)
    return tmp_path


def answer(
    folder: Path,
    out: str = "out.parquet",
    seed: int = 0,
    given: list[Path] | None = None,
    engine: dict[str, Any] | None = None,
    **changed: Any,
) -> pl.DataFrame:
    config = {"engine": engine or ENGINE, "sampling": SAMPLING, "efficiency": EFFICIENCY | changed}
    line = ["--scale", "tiny", "--config", json.dumps(config), "--seed", str(seed), "--writers", "base"]
    line += ["--models", str(folder / "model"), "--samples", str(folder / "samples.parquet")]
    line += ["--questions", str(folder / "q.parquet"), "--work", str(folder / "work"), "--out", str(folder / out)]
    line += ["--summariser", *map(str, given or [])]
    run(
        main, Job, inputs=["questions"], many=["models", "samples"], many_or_none=["summariser"],
        many_names=["writers"], outputs=["work", "out"], arguments=line,
    )  # fmt: skip
    return read_table(folder / out, ForcedAnswer)


def of(table: pl.DataFrame, method: str, variant: int | None = None) -> dict[tuple[str, int], dict[str, Any]]:
    rows = table.filter(pl.col("method") == method)
    rows = rows if variant is None else rows.filter(pl.col("variant") == variant)
    return {(row["question_id"], row["sample"]): row for row in rows.iter_rows(named=True)}


def test_thinking_is_the_trajectory_with_its_own_answer(folder: Path) -> None:
    own, samples = of(answer(folder), "thinking"), read_table(folder / "samples.parquet", Trajectory)
    for row in samples.iter_rows(named=True):
        found = own[row["question_id"], row["sample"]]
        assert found["correct"] == row["correct"]
        assert found["thinking_tokens"] == row["thinking_end"]
        assert found["thinking_tokens"] + found["answer_tokens"] == row["n_tokens"]
    assert {key for key, row in own.items() if row["correct"]} == {("rows-0", 0), ("path-0", 0)}


def test_a_budget_truncates_what_is_longer_and_leaves_what_ended_before(folder: Path) -> None:
    table = answer(folder)
    counts = dict(table.group_by(pl.col("method").cast(pl.String)).len().iter_rows())
    assert counts == {"thinking": 4, "budget": 8, "no_thinking": 4, "summary": 8, "control": 8}
    own, short, long = of(table, "thinking"), of(table, "budget", 3), of(table, "budget", 30)
    assert short["rows-0", 0]["thinking_tokens"] == 3
    assert 2 < short["rows-0", 0]["answer_tokens"] <= 2 + EFFICIENCY["answer_tokens"]
    alike = ("thinking_tokens", "answer_tokens", "correct")
    assert [short["path-0", 1][name] for name in alike] == [own["path-0", 1][name] for name in alike]
    assert [long["rows-0", 0][name] for name in alike] == [own["rows-0", 0][name] for name in alike]
    assert long["rows-0", 1]["thinking_tokens"] == 8  # cut off: all of it is kept and an answer forced
    assert long["rows-0", 1]["answer_tokens"] > 2


def test_summary_and_control_are_equally_long(folder: Path) -> None:
    table = answer(folder)
    for number in (0, 1):
        summary, control = of(table, "summary", number), of(table, "control", number)
        assert {key: row["thinking_tokens"] for key, row in summary.items()} == {
            ("rows-0", 0): 6, ("rows-0", 1): 9, ("path-0", 0): 2, ("path-0", 1): 2,
        }  # fmt: skip
        for key, row in control.items():
            whole = of(table, "thinking")[key]["thinking_tokens"]
            assert row["thinking_tokens"] == min(whole, summary[key]["thinking_tokens"])


def test_a_summary_with_the_gold_answer_is_counted_and_not_answered_after(folder: Path) -> None:
    gold = question("number_sorting")
    tokens = gold["answer"].split()
    steps = " ".join(f"{number} : {' '.join(tokens[place + 1 :])} ;" for place, number in enumerate(tokens))
    save_questions(folder / "q.parquet", gold)
    rows = [sample(gold, number, steps, None) for number in range(2)]
    table = pl.DataFrame(rows, schema=column_types(Trajectory))
    write_table(table, Trajectory, folder / "samples.parquet", PROVENANCE)
    found = answer(folder, benchmarks=["number_sorting"])
    summaries = found.filter(method="summary")
    assert summaries.height == 4 and summaries["leaked"].all() and summaries["correct"].is_null().all()
    assert not found.filter(pl.col("method") != "summary")["leaked"].any()
    assert set(summaries["answer_tokens"]) == {0}


def test_the_same_seed_gives_the_same_bytes_and_one_more_budget_changes_no_other_answer(folder: Path) -> None:
    first, _ = answer(folder), answer(folder, "again.parquet")
    assert (folder / "out.parquet").read_bytes() == (folder / "again.parquet").read_bytes()
    more = answer(folder, "more.parquet", budgets=[3, 5, 30])
    key = ["question_id", "sample", "method", "variant"]
    assert more.join(first, on=key, how="semi").sort(key).equals(first.sort(key))
    assert not answer(folder, "other.parquet", seed=1).drop("seed").equals(first.drop("seed"))


def test_the_model_answers_after_what_is_kept(folder: Path) -> None:
    """A model that repeats the number before the forced end is right after the one and wrong after the other."""
    tokenizer = load_tokenizer(folder / "model")
    asked = question("rows") | {"answer": "3", "prompt": "A +1 +2 ; rows ?"}
    heard: list[tuple[int, ...]] = []

    class Echo:
        origin = PROGRAM

        def stream(
            self, requests: Sequence[Request], seed: int, *, max_tokens: int | None = None
        ) -> Iterator[tuple[int, Completion]]:
            close = token_ids(tokenizer, ["}", "<eos>"])
            for place, request in enumerate(requests):
                heard.append(request.prompt_ids)
                yield place, Completion([request.prompt_ids[-3], *close], finished=True)

    row = sample(asked, 0, "a 3", "3")
    three, four = (token_ids(tokenizer, [number]) for number in "34")
    engine = ShardedEngine(Echo(), folder / "work", {}, 8)
    answering = Answering("base", engine, tokenizer, Efficiency.model_validate(EFFICIENCY), 0)
    found = answering.forced([Kept(row, asked, three), Kept(row, asked, four)], "summary")
    assert [one["correct"] for one in found] == [True, False]
    assert [list(ids[-3:]) for ids in heard] == [[*ids, *token_ids(tokenizer, MARKER_WORDS)] for ids in (three, four)]


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(folder, "undisturbed.parquet", given=[folder / "model"], summariser=SUMMARISER)
    assert not any((folder / "work").iterdir())
    calls: list[int] = []
    usual = TorchSampler._prefill

    def killed_in_the_sixth_batch(sampler: TorchSampler, requests: list[Request], steps: int) -> Any:
        calls.append(len(requests))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return usual(sampler, requests, steps)

    monkeypatch.setattr(TorchSampler, "_prefill", killed_in_the_sixth_batch)
    with pytest.raises(KeyboardInterrupt):
        answer(folder, "killed.parquet", given=[folder / "model"], summariser=SUMMARISER)
    assert not (folder / "killed.parquet").exists()
    answer(folder, "killed.parquet", given=[folder / "model"], summariser=SUMMARISER)
    assert (folder / "killed.parquet").read_bytes() == (folder / "undisturbed.parquet").read_bytes()
    assert calls[:2] == [5, 3]  # eight summaries in batches of five
    assert len(calls) == 6 + 4  # two summaries with their controls; budgets and no thinking were kept
    assert not any((folder / "work").iterdir())


@pytest.mark.vllm
def test_greedy_answers_of_vllm_are_those_of_the_torch_sampler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLING, "temperature", 0.0)
    vllm = ENGINE | {"name": "vllm"}
    found = answer(
        folder, "vllm.parquet", given=[folder / "model"], engine=vllm, summariser=SUMMARISER | {"engine": vllm}
    )
    assert found.equals(answer(folder, "torch.parquet", given=[folder / "model"], summariser=SUMMARISER))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": 3}, "holds 2 trajectories of rows-0 by 'base'; efficiency.n asks for 3"),
        ({"budgets": [8, 4]}, "budgets = [8, 4] must rise"),
        ({"given": [Path(__file__).parent]}, "1 models given as --summariser; efficiency.summariser asks for 0"),
    ],
)
def test_bad_input_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        answer(folder, **changed)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (folder / "out.parquet").exists()
