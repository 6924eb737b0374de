import json

import polars as pl
import pytest
from asked import PROVENANCE, question, save_model, save_questions

from raml.schemas import Question, Trajectory
from raml.step import run
from raml.storage import read_provenance, read_table, write_table
from raml.trajectories.sample import Job, main
from raml.trajectories.sampler import TorchSampler
from raml.trajectories.tokenizer import build_tokenizer, prompt_ids

CONFIG = {
    "engine": {"name": "torch", "dtype": "float32"},
    "sampling": {
        "temperature": 1.0, "top_p": 0.9, "top_k": 40, "max_tokens": 12, "batch_size": 5, "threads": 1
    },
    "n": 4,
    "kinds": None,
    "thinking": True,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model")
    save_questions(tmp_path / "questions.parquet", question("rows"), question("path"))
    return tmp_path


def sample(folder, out="samples.parquet", seed=0, config=CONFIG, models=("base",), outs=None):
    """`models` are the names of the one model in `folder`; their table is `out`, unless each has its own in `outs`."""
    arguments = {"scale": "tiny", "config": json.dumps(config), "seed": str(seed)}
    files = {"questions": folder / "questions.parquet", "work": folder / "work"}
    line = [word for name, value in {**arguments, **files}.items() for word in (f"--{name}", str(value))]
    line += ["--models", *[str(folder / "model")] * len(models), "--writers", *models]
    line += ["--outs", *(str(folder / name) for name in outs or [out] * len(models))]
    names = {"many_outputs": ["outs"], "many_names": ["writers"]}
    run(main, Job, inputs=["questions"], many=["models"], outputs=["work"], **names, arguments=line)
    return folder / out


def test_without_thinking_the_prompt_ends_it(folder):
    table = read_table(sample(folder, config={**CONFIG, "thinking": False}), Trajectory)
    think_end = build_tokenizer().convert_tokens_to_ids("</think>")
    assert all(ids[-1] == think_end for ids in table["prompt_ids"])
    full = read_table(sample(folder, out="full.parquet"), Trajectory)
    assert [ids[:-1] for ids in table["prompt_ids"].to_list()] == full["prompt_ids"].to_list()


def test_n_judged_trajectories_per_question(folder):
    path = sample(folder)
    table = read_table(path, Trajectory)
    assert table.select("question_id", "writer", "sample", "seed").rows() == [
        (question, "base", number, 0) for question in ("rows-0", "path-0") for number in range(4)
    ]
    prompt = question("path")["prompt"]
    assert table["prompt_ids"][4].to_list() == prompt_ids(build_tokenizer(), prompt)
    assert table["n_tokens"].max() <= 12
    assert read_provenance(path).model_hash is not None


def test_the_same_seed_gives_the_same_bytes(folder):
    first = sample(folder, "first.parquet").read_bytes()
    assert sample(folder, "second.parquet").read_bytes() == first
    assert sample(folder, "third.parquet", seed=1).read_bytes() != first


def test_each_model_can_have_a_table_of_its_own_with_the_bytes_that_it_has_alone(folder):
    sample(folder, models=("base", "other", "third"), outs=["a.parquet", "b.parquet", "a.parquet"])
    alone = sample(folder, "alone.parquet", models=("other",))
    assert (folder / "b.parquet").read_bytes() == alone.read_bytes()
    shared = sample(folder, "shared.parquet", models=("base", "third"))
    assert (folder / "a.parquet").read_bytes() == shared.read_bytes()
    assert read_provenance(shared).model_hash.count(",") == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": ("base", "other"), "outs": ["a.parquet"]}, "2 --models, 2 --writers, 1 --outs: give as many of"),
        ({"config": CONFIG | {"part": {"number": 2, "of": 2}}}, "part 2 of 2: the last one is 1"),
        ({"config": CONFIG | {"part": {"number": 0, "of": 3}}}, "too few for 3 parts"),
        ({"config": CONFIG | {"kinds": ["within_domain"]}}, "holds no question of kinds ['within_domain']"),
    ],
)
def test_bad_input_is_one_clear_line(folder, changed, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        sample(folder, **changed)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not list(folder.glob("[as]*.parquet"))


def test_only_questions_of_the_wanted_kinds_are_asked(folder):
    questions = read_table(folder / "questions.parquet", Question)
    kinds = pl.Series(["in_domain", "other_domain"], dtype=Question.kind.dtype)
    write_table(questions.with_columns(kind=kinds), Question, folder / "questions.parquet", PROVENANCE)
    table = read_table(sample(folder, config={**CONFIG, "kinds": ["other_domain"]}), Trajectory)
    assert table["question_id"].unique().to_list() == [questions["id"][1]]


def test_parts_together_are_the_whole(folder):
    whole = read_table(sample(folder, "whole.parquet"), Trajectory)
    parts = [
        read_table(sample(folder, f"part{n}.parquet", config={**CONFIG, "part": {"number": n, "of": 2}}), Trajectory)
        for n in range(2)
    ]
    assert [part["question_id"].n_unique() for part in parts] == [1, 1]
    assert pl.concat(parts).equals(whole)


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(folder, monkeypatch):
    undisturbed = sample(folder, "undisturbed.parquet").read_bytes()
    calls, usual = [], TorchSampler._prefill

    def killed_in_the_second_batch(sampler, requests, steps):
        calls.append(len(requests))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return usual(sampler, requests, steps)

    monkeypatch.setattr(TorchSampler, "_prefill", killed_in_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        sample(folder, "killed.parquet")
    assert not (folder / "killed.parquet").exists() and any((folder / "work").iterdir())
    assert sample(folder, "killed.parquet").read_bytes() == undisturbed
    assert calls == [5, 3, 3]  # batches of 5 of 8 requests: the first one was not decoded again
    assert not any((folder / "work").iterdir())
