"""The step on small hand-made tables: which trajectories count, and what the loss after them is."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import step_tables
import torch
from step_tables import ORIGIN, PROBING, TOKENIZER, ids, prompt, question_table, sample, sample_table
from tiny_models import ARCHITECTURES, VOCABULARY, build, tiny
from transformers import AutoModelForCausalLM

from raml.answers.format import MARKER, THINK_END
from raml.errors import InputError, RamlError
from raml.probing.batched import ForcedAnswer, forced_answer_nll
from raml.probing.curves import separate_answer_nll_curve
from raml.probing.outer import Job, asked_questions, first_trajectories, main
from raml.schemas import OuterLoss, Question, Trajectory
from raml.storage import model_hash, read_provenance, read_table, write_table
from raml.trajectories.tokenizer import token_ids
from tiny_model_folder import tiny_model

JOB = Job(probing=PROBING.model_copy(update={"models": ["base"]}))
CONTEXT = 32
MODELS = ("base", "sft_long")
QUESTIONS = question_table({"rows-1": "7 3", "rows-2": "5", "path-1": "9", "top-1": "4"})


def samples(writer: str) -> pl.DataFrame:
    rows = [
        sample("rows-1", 2, "1 2 3"),
        sample("rows-1", 0, "1 2 3", finished=False),
        sample("rows-1", 1, "", correct=False),
        sample("rows-1", 3, "1 2 3 4"),  # the third that ended
        sample("rows-2", 0, "8 8", correct=False),
        sample("rows-2", 1, "8 8", correct=False),  # a repeat
        sample("path-1", 0, "6 " * (CONTEXT - 4)),  # too long with the answer
        sample("path-1", 1, "6", answer_start=None, answer_end=None),
        sample("top-1", 0, "2"),  # of a benchmark that is not probed
    ]
    return sample_table([row | {"writer": writer} for row in rows])


def oracles() -> pl.DataFrame:
    rows = [
        *(sample("rows-1", number, f"{number} ; 5") for number in range(3)),
        sample("path-1", 0, "9 9", correct=False),
        sample("path-1", 1, "9 9 9"),
    ]
    return sample_table([row | {"writer": "oracle_long"} for row in rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outer")
    for seed, name in enumerate(MODELS):
        tiny_model(folder / name, seed=seed, context=CONTEXT)
        write_table(samples(name), Trajectory, folder / f"{name}.parquet", ORIGIN)
    write_table(QUESTIONS, Question, folder / "questions.parquet", ORIGIN)
    write_table(oracles(), Trajectory, folder / "oracles.parquet", ORIGIN)
    return folder


def start(folder: Path, out: str, **changes: list[str]) -> Path:
    """Run the step, with other values of some options."""
    options = {
        "models": [folder / name for name in MODELS],
        "writers": list(MODELS),
        "samples": [folder / f"{name}.parquet" for name in MODELS],
        "oracles": folder / "oracles.parquet",
        "questions": folder / "questions.parquet",
        "out": folder / out,
    }
    kinds = {"inputs": ["oracles", "questions"], "many": ["models", "samples"], "many_names": ["writers"]}
    return step_tables.start(main, JOB, options | changes, **kinds)


@pytest.fixture(scope="module")
def table(folder: Path) -> pl.DataFrame:
    return read_table(start(folder, "outer.parquet"), OuterLoss)


def test_the_first_that_ended_count_repeats_and_empty_ones_too(table: pl.DataFrame) -> None:
    own = table.filter(pl.col("model") == "base", pl.col("source") == "own")
    assert own.select("question_id", "trajectory", "correct", "length").rows() == [
        ("rows-1", "base/1", False, 0),
        ("rows-1", "base/2", True, 3),
        ("rows-2", "base/0", False, 2),
        ("rows-2", "base/1", False, 2),
    ]
    assert own["nll"][2] == own["nll"][3]
    assert own["nll"][0] == own["nll_without"][0] == own["nll_without"][1]


def test_correct_oracle_trajectories_are_the_same_for_all_models(table: pl.DataFrame) -> None:
    for model in MODELS:
        rows = table.filter(pl.col("model") == model, pl.col("source") == "oracle")
        assert rows.select("question_id", "trajectory", "correct").rows() == [
            ("rows-1", "oracle_long/0", True),
            ("rows-1", "oracle_long/1", True),
            ("path-1", "oracle_long/1", True),
        ]
    of_models = table.filter(pl.col("source") == "oracle").group_by("model", maintain_order=True).agg("nll")["nll"]
    assert of_models[0].to_list() != of_models[1].to_list()
    assert set(table["seed"]) == {3} and set(table["kind"]) == {"in_domain"}
    assert set(table["benchmark"]) == {"rows", "path"}


def test_the_loss_is_the_end_of_the_no_thinking_curve(table: pl.DataFrame, folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder / "sft_long")
    marker = token_ids(TOKENIZER, [THINK_END, MARKER])
    for trajectory, thinking in (("sft_long/2", "1 2 3"), ("oracle_long/1", "1 ; 5")):
        [row] = table.filter(pl.col("model") == "sft_long", trajectory=trajectory, question_id="rows-1").rows(
            named=True
        )
        by_hand = separate_answer_nll_curve(model, prompt("rows-1"), ids(thinking), marker, ids("7 3"))
        assert row["nll"] == pytest.approx(by_hand[-1], abs=1e-5)
        assert row["nll_without"] == pytest.approx(by_hand[0], abs=1e-5)


def test_what_is_left_out_is_counted_and_the_bytes_are_the_same_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [start(folder, f"{name}.out") for name in ("one", "two")]
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        f"{model}: 3 oracle and 4 own trajectories; left out: 1 that with the gold answer exceed the model's context, "
        "and 2 of its 8 samples, which did not end with an answer"
        for model in MODELS
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    hashes = ",".join(model_hash(folder / name) for name in MODELS)
    assert read_provenance(paths[0]).model_hash == hashes


def test_trajectories_are_taken_in_sample_order() -> None:
    questions = asked_questions(QUESTIONS, ["rows"])
    found, unfinished = first_trajectories(questions, samples("base").reverse(), 1)
    assert found.select("question_id", "trajectory").rows() == [("rows-1", "base/1"), ("rows-2", "base/0")]
    assert unfinished == 1
    with pytest.raises(InputError, match=r"names \['gone'\], but the questions table holds only rows, path, top"):
        asked_questions(QUESTIONS, ["rows", "gone"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"writers": ["base"]}, "go together one by one, found 2, 1 and 2 of them"),
        ({"writers": ["base", "dpo"]}, "holds no samples of 'dpo'"),
        ({"writers": ["base", "base"]}, "names a model twice"),
        ({"oracles": ["other.parquet"]}, "holds no correct trajectory of ['rows', 'path']"),
    ],
)
def test_bad_input_ends_with_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, list[str]], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    other = oracles().with_columns(question_id=pl.lit("top-1"), sample=pl.int_range(pl.len(), dtype=pl.Int32))
    write_table(other, Trajectory, folder / "other.parquet", ORIGIN)
    with pytest.raises(SystemExit) as ended:
        start(folder, "bad.parquet", **changes)
    last = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2 and last.startswith("error: ") and message in last
    assert not (folder / "bad.parquet").exists()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_padded_batch_gives_what_separate_passes_give(architecture: str) -> None:
    rng = np.random.default_rng(0)
    model = tiny(architecture)
    parts = [[rng.integers(3, VOCABULARY, size).tolist() for size in sizes] for sizes in rng.integers(1, 12, (9, 4))]
    forced = [ForcedAnswer([*prompt, *thinking], marker, answer) for prompt, thinking, marker, answer in parts]
    by_hand = [separate_answer_nll_curve(model, *one)[-1] for one in parts]
    for token_budget in (1, 80, 10_000):
        np.testing.assert_allclose(
            forced_answer_nll(model, forced, token_budget=token_budget), by_hand, atol=1e-5, rtol=0
        )
    assert not model.training


def test_logits_that_are_not_finite_are_an_error() -> None:
    model = build("llama")
    with torch.no_grad():
        model.get_input_embeddings().weight[5] = float("nan")
    with pytest.raises(RamlError, match="not finite"):
        forced_answer_nll(model, [ForcedAnswer([5], [6], [7])], token_budget=64)
    with pytest.raises(InputError, match="there are no questions"):
        forced_answer_nll(model, [], token_budget=64)
