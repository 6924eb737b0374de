"""The step on a small hand-made samples table: which trajectories it follows, and what it writes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raml.answers.format import MARKER, THINK_END, THINK_START
from raml.config import Probing
from raml.errors import DataError, InputError
from raml.probing.chosen import PassedOver, choose_trajectories
from raml.probing.curves import separate_answer_nll_curve
from raml.probing.probe import Job, main, mode_probes, those_that_fit
from raml.schemas import ProbeCurve, Question, Trajectory
from raml.step import run
from raml.storage import Provenance, model_hash, read_provenance, read_table, write_table
from raml.trajectories.engine import PROGRAM

WORDS = ["<pad>", "<bos>", "<eos>", THINK_START, THINK_END, MARKER, "}", *(str(number) for number in range(20))]
CONTEXT = 48


def settings(**changes: Any) -> Probing:
    values: dict[str, Any] = {
        "models": ["sft_long"],
        "benchmarks": ["hard", "easy"],
        "trajectories_per_question": 2,
        "stride": 1,
        "token_budget": 64,
        "end_of_thinking": THINK_END,
        "threads": 1,
    }
    return Probing(**{**values, **changes})


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    word_level = models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>")
    tokenizer = Tokenizer(word_level)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    phrases = [THINK_START, THINK_END, MARKER]
    tokenizer.add_tokens([AddedToken(phrase, lstrip=True, rstrip=True, normalized=False) for phrase in phrases])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("models") / "sft_long"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def question(name: str, split: str, answer: str = "7 3") -> dict[str, Any]:
    return {
        "id": name,
        "source": "test",
        "family": "rows",
        "domain": "arithmetic",
        "split": split,
        "kind": "in_domain",
        "prompt": "1 2",
        "answer": answer,
        "answer_type": "integers",
        "difficulty": 1,
        "metadata": "{}",
    }


def sample(name: str, number: int, thinking: str, *, correct: bool, finished: bool = True) -> dict[str, Any]:
    words = [*thinking.split(), THINK_END, MARKER, *(["7", "3"] if correct else ["9"]), "}", "<eos>"]
    n_thinking = len(thinking.split())
    if not finished:
        words = words[: n_thinking + 1]
    ids = [WORDS.index(word) for word in words]
    return {
        "question_id": name,
        "writer": "sft_long",
        "sample": number,
        "seed": 0,
        **PROGRAM.columns(),
        "prompt_ids": [WORDS.index(word) for word in ("<bos>", "1", "2", THINK_START)],
        "token_ids": ids,
        "loss_mask": [True] * len(ids),
        "text": " ".join(words),
        "thinking_start": 0,
        "thinking_end": n_thinking,
        "answer_start": n_thinking + 2 if finished else None,
        "answer_end": len(words) - 2 if finished else None,
        "finished": finished,
        "correct": correct,
        "formatted": finished,
        "reward": 1.0 if correct else 0.0,
        "n_tokens": len(ids),
    }


def questions_table() -> pl.DataFrame:
    rows = [question("e1", "easy"), question("h1", "hard"), question("t1", "other"), question("h2", "hard", "5")]
    return pl.DataFrame(rows, schema=Question.create_empty().schema)


def samples_table() -> pl.DataFrame:
    rows = [
        sample("h1", 3, "4 5 6 8", correct=True),
        sample("h1", 0, "4 5 6", correct=True),
        sample("h1", 1, "4 5 6", correct=True),  # the thinking of sample 0 again
        sample("h1", 2, "9 9", correct=False),
        sample("h1", 4, "8 8 8", correct=True),  # the third correct one
        sample("h1", 5, "4 5 6", correct=False),  # another answer after the thinking of sample 0
        sample("h1", 6, "", correct=True),
        sample("h1", 7, "4 4 4", correct=False, finished=False),
        sample("e1", 0, "11 12 13 14 15", correct=True),
        sample("t1", 0, "11", correct=True),  # of a benchmark that is not probed
    ]
    return pl.DataFrame(rows, schema=Trajectory.create_empty().schema)


def test_chooses_distinct_finished_trajectories_in_sample_order() -> None:
    chosen, passed_over = choose_trajectories(questions_table(), samples_table(), settings(), "sft_long")
    found = [(one.question_id, one.sample, one.correct) for one in chosen]
    assert found == [("h1", 0, True), ("h1", 2, False), ("h1", 3, True), ("h1", 5, False), ("e1", 0, True)]
    assert passed_over == PassedOver(ended=8, empty=1, empty_correct=1, incorrect=3, unfinished=1)
    assert [one.benchmark for one in chosen] == ["hard"] * 4 + ["easy"]
    assert [WORDS[token] for token in chosen[1].thinking_ids] == ["9", "9"]
    assert (chosen[1].gold, chosen[1].prompt_ids) == ("7 3", [1, 8, 9, 3])


def test_refuses_samples_and_benchmarks_that_do_not_fit() -> None:
    with pytest.raises(DataError, match=r"the probed model is 'base', but the samples were written by sft_long"):
        choose_trajectories(questions_table(), samples_table(), settings(), "base")
    with pytest.raises(InputError, match=r"names \['gone'\], but the questions table holds only easy, hard, other"):
        choose_trajectories(questions_table(), samples_table(), settings(benchmarks=["hard", "gone"]), "sft_long")


def test_a_gold_answer_that_the_tokenizer_does_not_know_is_named(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = questions_table().with_columns(answer=pl.lit("7 cats"))
    with pytest.raises(SystemExit, match="2"):
        probe(tmp_path, model_folder, samples_table(), settings(), questions=unknown)
    assert "cats" in capsys.readouterr().err.splitlines()[-1]


def probe(
    folder: Path, model_folder: Path, samples: pl.DataFrame, job: Probing, questions: pl.DataFrame | None = None
) -> Path:
    """Run the step as the workflow does."""
    questions = questions_table() if questions is None else questions
    origin = Provenance(scale="test", config_hash="0", code_version="0")
    write_table(questions, Question, folder / "questions.parquet", origin)
    write_table(samples, Trajectory, folder / "samples.parquet", origin)
    out = folder / "curves.parquet"
    arguments = ["--scale", "test", "--config", json.dumps({"probing": job.model_dump()}), "--seed", "3"]
    arguments += ["--writer", "sft_long"]
    paths = {
        "model": model_folder,
        "samples": folder / "samples.parquet",
        "questions": folder / "questions.parquet",
        "out": out,
    }
    arguments += [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    run(main, Job, inputs=["model", "samples", "questions"], outputs=["out"], names=["writer"], arguments=arguments)
    return out


def test_step_writes_the_curves_of_the_chosen_trajectories(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    too_long = sample("h2", 0, "4 " * (CONTEXT - 6), correct=True)  # fits in thinking mode alone
    samples = pl.concat([samples_table(), pl.DataFrame([too_long], schema=samples_table().schema)])
    out = probe(tmp_path, model_folder, samples, settings(stride=2))
    assert capsys.readouterr().out.startswith(
        "chosen: 4 correct and 2 incorrect trajectories; skipped: 1 of them that with the gold answer exceed the "
        "model's context, 1 of all 9 samples that ended with an answer but have no thinking (1 of them correct), and "
        "1 of all 3 incorrect samples that did not end with an answer"
    )

    curves = read_table(out, ProbeCurve)
    assert curves["trajectory_id"].unique(maintain_order=True).to_list() == [
        "h1/sft_long/0",
        "h1/sft_long/2",
        "h1/sft_long/3",
        "h1/sft_long/5",
        "e1/sft_long/0",
    ]
    model = LlamaForCausalLM.from_pretrained(model_folder)
    thinking = [WORDS.index(word) for word in ("4", "5", "6", "8")]
    gold = [WORDS.index("7"), WORDS.index("3")]
    for mode, marker in (("thinking", [MARKER]), ("no_thinking", [THINK_END, MARKER])):
        one = curves.filter(trajectory_id="h1/sft_long/3", mode=mode)
        assert one["position"].to_list() == [0, 2, 4]
        assert one["token_id"].to_list() == [None, WORDS.index("5"), WORDS.index("8")]
        assert one.select("benchmark", "model", "seed", "answer", "correct", "length").unique().rows() == [
            ("hard", "sft_long", 3, "7 3", True, 4)
        ]
        marker_ids = [WORDS.index(word) for word in marker]
        by_hand = separate_answer_nll_curve(model, [1, 8, 9, 3], thinking, marker_ids, gold, stride=2)
        np.testing.assert_allclose(one["nll"].to_numpy(), by_hand, atol=1e-4, rtol=0)
    assert read_provenance(out).model_hash == model_hash(model_folder)


def test_both_modes_force_the_same_answer_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    thinking, no_thinking = mode_probes(tokenizer, "7 3", THINK_END).values()
    assert thinking.answer_ids == no_thinking.answer_ids == (WORDS.index("7"), WORDS.index("3"))
    assert no_thinking.marker_ids == (WORDS.index(THINK_END), *thinking.marker_ids)


def test_trajectories_that_fill_the_context_to_the_last_token_fit(tokenizer: PreTrainedTokenizerFast) -> None:
    [one, *_], _ = choose_trajectories(questions_table(), samples_table(), settings(), "sft_long")
    probes = mode_probes(tokenizer, one.gold, THINK_END)
    needed = 4 + 3 + 2 + 2  # prompt, thinking, end of thinking with marker, answer
    assert those_that_fit([one], probes, needed) == [one]
    assert those_that_fit([one], probes, needed - 1) == []


def test_step_writes_the_same_bytes_twice(tmp_path: Path, model_folder: Path) -> None:
    first = probe(tmp_path, model_folder, samples_table(), settings()).read_bytes()
    second = probe(tmp_path, model_folder, samples_table().reverse(), settings()).read_bytes()
    assert first == second


def test_step_without_a_trajectory_to_follow_writes_an_empty_table(tmp_path: Path, model_folder: Path) -> None:
    unfinished = samples_table().filter(~pl.col("finished"))
    assert read_table(probe(tmp_path, model_folder, unfinished, settings()), ProbeCurve).is_empty()


def test_step_refuses_a_folder_that_is_no_model(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(SystemExit) as ended:
        probe(tmp_path, tmp_path / "nothing", samples_table(), settings())
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {tmp_path / 'nothing'} is no model folder")


def test_importing_the_room_or_the_choice_does_not_import_torch() -> None:
    code = "import sys, raml.probing.chosen; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})
