"""The step on a small hand-made samples table: which trajectories it follows, and what it writes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import step_tables
from step_tables import ORIGIN, PROBING, TOKENIZER, ids, prompt, question_table, sample, sample_table
from transformers import LlamaForCausalLM

from raml.answers.format import MARKER, THINK_END
from raml.config import Probing
from raml.errors import DataError, InputError
from raml.probing.chosen import PassedOver, choose_trajectories
from raml.probing.curves import separate_answer_nll_curve
from raml.probing.probe import Job, main, mode_probes, those_that_fit
from raml.schemas import ProbeCurve, Question, Trajectory
from raml.storage import model_hash, read_provenance, read_table, write_table
from raml.trajectories.tokenizer import token_ids
from tiny_model_folder import tiny_model

CONTEXT = 48
QUESTIONS = question_table({"easy-1": "7 3", "hard-1": "7 3", "other-1": "7 3", "hard-2": "5"})
WRONG: dict[str, Any] = {"answer": "9", "correct": False, "reward": 0.0}


def settings(**changes: Any) -> Probing:
    return PROBING.model_copy(update={"models": ["sft_long"], "benchmarks": ["hard", "easy"], **changes})


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sft_long"
    tiny_model(folder, context=CONTEXT)
    return folder


SAMPLES = sample_table(
    [
        sample("hard-1", 3, "4 5 6 8"),
        sample("hard-1", 0, "4 5 6"),
        sample("hard-1", 1, "4 5 6"),  # the thinking of sample 0 again
        sample("hard-1", 2, "9 9", **WRONG),
        sample("hard-1", 4, "8 8 8"),  # the third correct one
        sample("hard-1", 5, "4 5 6", **WRONG),  # another answer after the thinking of sample 0
        sample("hard-1", 6, ""),
        sample("hard-1", 7, "4 4 4", **WRONG, finished=False, formatted=False, answer_start=None, answer_end=None),
        sample("easy-1", 0, "11 12 13 14 15"),
        sample("other-1", 0, "11"),  # of a benchmark that is not probed
    ]
)


def test_chooses_distinct_finished_trajectories_in_sample_order() -> None:
    chosen, passed_over = choose_trajectories(QUESTIONS, SAMPLES, settings(), "sft_long")
    assert [one.question_id for one in chosen] == ["hard-1"] * 4 + ["easy-1"]
    assert [(one.sample, one.correct) for one in chosen] == [(0, True), (2, False), (3, True), (5, False), (0, True)]
    assert passed_over == PassedOver(ended=8, empty=1, empty_correct=1, incorrect=3, unfinished=1)
    assert [one.benchmark for one in chosen] == ["hard"] * 4 + ["easy"]
    assert list(chosen[1].thinking_ids) == ids("9 9")
    assert (chosen[1].gold, list(chosen[1].prompt_ids)) == ("7 3", prompt("hard-1"))


def test_refuses_samples_and_benchmarks_that_do_not_fit() -> None:
    with pytest.raises(DataError, match=r"the probed model is 'base', but the samples were written by sft_long"):
        choose_trajectories(QUESTIONS, SAMPLES, settings(), "base")
    with pytest.raises(InputError, match=r"names \['gone'\], but the questions table holds only easy, hard, other"):
        choose_trajectories(QUESTIONS, SAMPLES, settings(benchmarks=["hard", "gone"]), "sft_long")


def test_a_gold_answer_that_the_tokenizer_does_not_know_is_named(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = QUESTIONS.with_columns(answer=pl.lit("7 cats"))
    with pytest.raises(SystemExit, match="2"):
        probe(tmp_path, model_folder, SAMPLES, settings(), questions=unknown)
    assert "cats" in capsys.readouterr().err.splitlines()[-1]


def probe(
    folder: Path, model_folder: Path, samples: pl.DataFrame, job: Probing, questions: pl.DataFrame = QUESTIONS
) -> Path:
    write_table(questions, Question, folder / "questions.parquet", ORIGIN)
    write_table(samples, Trajectory, folder / "samples.parquet", ORIGIN)
    files = {name: folder / f"{name}.parquet" for name in ("samples", "questions", "out")}
    options = {"writer": "sft_long", "model": model_folder, **files}
    return step_tables.start(
        main, Job(probing=job), options, inputs=["model", "samples", "questions"], names=["writer"]
    )


def test_step_writes_the_curves_of_the_chosen_trajectories(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    too_long = sample("hard-2", 0, "4 " * (CONTEXT - len(prompt("hard-2")) - 2))  # fits in thinking mode alone
    samples = pl.concat([SAMPLES, sample_table([too_long])])
    out = probe(tmp_path, model_folder, samples, settings(stride=2))
    assert capsys.readouterr().out.startswith(
        "chosen: 4 correct and 2 incorrect trajectories; skipped: 1 of them that with the gold answer exceed the "
        "model's context, 1 of all 9 samples that ended with an answer but have no thinking (1 of them correct), and "
        "1 of all 3 incorrect samples that did not end with an answer"
    )

    curves = read_table(out, ProbeCurve)
    assert curves["trajectory_id"].unique(maintain_order=True).to_list() == [
        "hard-1/sft_long/0",
        "hard-1/sft_long/2",
        "hard-1/sft_long/3",
        "hard-1/sft_long/5",
        "easy-1/sft_long/0",
    ]
    model = LlamaForCausalLM.from_pretrained(model_folder)
    for mode, marker in (("thinking", [MARKER]), ("no_thinking", [THINK_END, MARKER])):
        one = curves.filter(trajectory_id="hard-1/sft_long/3", mode=mode)
        assert one["position"].to_list() == [0, 2, 4]
        assert one["token_id"].to_list() == [None, *ids("5 8")]
        assert one.select("benchmark", "model", "seed", "answer", "correct", "length").unique().rows() == [
            ("hard", "sft_long", 3, "7 3", True, 4)
        ]
        parts = prompt("hard-1"), ids("4 5 6 8"), token_ids(TOKENIZER, marker), ids("7 3")
        by_hand = separate_answer_nll_curve(model, *parts, stride=2)
        np.testing.assert_allclose(one["nll"].to_numpy(), by_hand, atol=1e-4, rtol=0)
    assert read_provenance(out).model_hash == model_hash(model_folder)


def test_trajectories_that_fill_the_context_to_the_last_token_fit() -> None:
    [one, *_], _ = choose_trajectories(QUESTIONS, SAMPLES, settings(), "sft_long")
    probes = mode_probes(TOKENIZER, one.gold, THINK_END)
    needed = len(one.prompt_ids) + 3 + 2 + 2  # prompt, thinking, end of thinking with marker, answer
    assert those_that_fit([one], probes, needed) == [one]
    assert those_that_fit([one], probes, needed - 1) == []


def test_step_writes_the_same_bytes_twice(tmp_path: Path, model_folder: Path) -> None:
    first = probe(tmp_path, model_folder, SAMPLES, settings()).read_bytes()
    second = probe(tmp_path, model_folder, SAMPLES.reverse(), settings()).read_bytes()
    assert first == second


def test_step_without_a_trajectory_to_follow_writes_an_empty_table(tmp_path: Path, model_folder: Path) -> None:
    unfinished = SAMPLES.filter(~pl.col("finished"))
    assert read_table(probe(tmp_path, model_folder, unfinished, settings()), ProbeCurve).is_empty()


def test_step_refuses_a_folder_that_is_no_model(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(SystemExit) as ended:
        probe(tmp_path, tmp_path / "nothing", SAMPLES, settings())
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {tmp_path / 'nothing'} is no model folder")


@pytest.mark.parametrize("module", ["chosen", "roles"])
def test_what_needs_no_torch_does_not_import_it(module: str) -> None:
    code = f"import sys, raml.probing.{module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})
