"""The outer loop's loss on held-out questions (Eq. 8): the answer NLL after whole trajectories, of all main models.

    python -m raml.probing.outer --scale S --config '<probing>' --seed 0 --models MODEL... --writers NAME... \
        --samples SAMPLES... --oracles ORACLES --questions QUESTIONS --out results/S/probes/seed0/outer.parquet

L_q(theta'_T) of one trajectory is the mean NLL of the gold answer's tokens, forced after the trajectory, the end of
the thinking and the answer marker: the end of the no-thinking curve, which is the format that training sees. Two
sources, as techniques differ in theirs: correct trajectories that a program wrote, the same for all models, and each
model's own samples, right or wrong.

Of the own samples the first that ended are taken, repeats and empty thinking included: they estimate the mean over what
the model writes. The first *different* ones would not: at micro scale a third of the base model's samples are the
same empty thinking, and leaving repeats out moved its mean by 0.6 nats.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raml.config import Probing, Section
from raml.errors import ConfigError, DataError, InputError
from raml.probing.batched import ForcedAnswer, forced_answer_nll
from raml.probing.forced import forced_probe
from raml.probing.tree import Probe
from raml.progress import progress
from raml.schemas import OuterLoss, Question, Trajectory, column_types
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.pretrained import load_pretrained, on_device

AT_ONCE = 512  # trajectories between two states of the progress line

Sequences = dict[tuple[str, tuple[int, ...]], list[int]]
"""By question and thinking the ids that stand before the marker."""


class Job(Section):
    """The section that the outer loss depends on."""

    probing: Probing


def main(step: Step[Job]) -> None:
    """Write one row for each model, source and trajectory."""
    probing, folders, writers = step.config.probing, step.lists["models"], step.name_lists["writers"]
    torch.set_num_threads(probing.threads)
    tables = paired_tables(folders, writers, step.lists["samples"])
    questions = asked_questions(read_table(step.files["questions"], Question), probing.benchmarks)
    n = probing.trajectories_per_question
    oracles, _ = first_trajectories(questions, read_table(step.files["oracles"], Trajectory).filter("correct"), n)
    if oracles.is_empty():
        raise DataError(f"{step.files['oracles']} holds no correct trajectory of {probing.benchmarks}")

    losses: list[pl.DataFrame] = [OuterLoss.create_empty()]
    for folder, writer, path in tables:
        samples = read_table(path, Trajectory).filter(pl.col("writer") == writer)
        if samples.is_empty():
            raise DataError(f"{path} holds no samples of {writer!r}, which --writers names for it")
        own, unfinished = first_trajectories(questions, samples, n)
        followed = pl.concat([oracles.with_columns(source=pl.lit("oracle")), own.with_columns(source=pl.lit("own"))])
        model, tokenizer = load_pretrained(folder)
        model = on_device(model)
        found = outer_losses(model, tokenizer, followed, probing, f"outer loss of {writer}")
        about = [pl.lit(writer).alias("model"), pl.lit(step.seed, dtype=pl.Int64).alias("seed")]
        losses.append(OuterLoss.cast(found.with_columns(about).select(OuterLoss.column_names())))
        counts = {source: found.filter(pl.col("source") == source).height for source in ("oracle", "own")}
        print(
            f"{writer}: {counts['oracle']} oracle and {counts['own']} own trajectories; left out: "
            f"{followed.height - found.height} that with the gold answer exceed the model's context, and {unfinished} "
            f"of its {on_questions(samples, questions).height} samples, which did not end with an answer"
        )
    hashes = ",".join(model_hash(folder) for folder in folders)
    write_table(pl.concat(losses), OuterLoss, step.files["out"], step.provenance(model_hash=hashes))


def paired_tables(
    folders: Sequence[Path], writers: Sequence[str], samples: Sequence[Path]
) -> list[tuple[Path, str, Path]]:
    """Each model's folder, name and samples.

    Raises:
        ConfigError: they are not as many, or a name is given twice.
    """
    if not len(folders) == len(writers) == len(samples):
        raise ConfigError(
            f"--models, --writers and --samples go together one by one, found {len(folders)}, {len(writers)} and "
            f"{len(samples)} of them"
        )
    if len(set(writers)) != len(writers):
        raise ConfigError(f"--writers names a model twice: {', '.join(writers)}")
    return list(zip(folders, writers, samples, strict=True))


def asked_questions(questions: pl.DataFrame, benchmarks: Sequence[str]) -> pl.DataFrame:
    """`question_id`, `benchmark`, `kind` and `gold` of the questions of `benchmarks`.

    Args:
        questions: rows of `schemas.Question`.
        benchmarks: their splits.

    Raises:
        InputError: a benchmark without questions.
    """
    if missing := [name for name in benchmarks if name not in set(questions["split"])]:
        allowed = ", ".join(questions["split"].unique(maintain_order=True))
        raise InputError(f"probing.benchmarks names {missing}, but the questions table holds only {allowed}")
    of_benchmarks = questions.filter(pl.col("split").is_in(benchmarks))
    return of_benchmarks.select("kind", question_id="id", benchmark="split", gold="answer")


def on_questions(samples: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """The samples of `questions` (of `asked_questions`)."""
    return samples.join(questions, on="question_id", how="semi")


def first_trajectories(questions: pl.DataFrame, samples: pl.DataFrame, n: int) -> tuple[pl.DataFrame, int]:
    """The first `n` trajectories of each question that ended with an answer, and how many did not, of all.

    Args:
        questions: of `asked_questions`.
        samples: rows of `schemas.Trajectory`, of one writer.
        n: at most.

    Returns:
        One row a trajectory, in order of the questions and of the samples: the columns of `questions`, `trajectory`
        (writer/sample), `correct`, `prompt_ids` and `thinking_ids`; and the number of samples of these questions
        that are cut off or hold no answer.
    """
    thinking = pl.col("token_ids").list.slice(
        pl.col("thinking_start"), pl.col("thinking_end") - pl.col("thinking_start")
    )
    asked = on_questions(samples, questions)
    ended = asked.filter(pl.col("finished") & pl.col("answer_start").is_not_null())
    first = (
        ended.sort("sample")
        .group_by("question_id", maintain_order=True)
        .head(n)
        .select(
            "question_id",
            pl.format("{}/{}", "writer", "sample").alias("trajectory"),
            "correct",
            "prompt_ids",
            thinking.alias("thinking_ids"),
        )
    )
    return questions.join(first, on="question_id", maintain_order="left_right"), asked.height - ended.height


def outer_losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    trajectories: pl.DataFrame,
    settings: Probing,
    description: str,
) -> pl.DataFrame:
    """The outer loss of `model` on each of `trajectories`; those that exceed its context are left out.

    What occurs several times is computed once, and sequences of like length share a forward pass.

    Args:
        model: a causal LM.
        tokenizer: its own.
        trajectories: rows of `first_trajectories`.
        settings: end of the thinking and token budget.
        description: of the progress line.

    Returns:
        The rows that are left with columns `length` (trajectory tokens), `nll` and `nll_without` (nats per answer
        token) instead of the ids.

    Raises:
        InputError: the tokenizer does not know part of a gold answer.
        RamlError: as in `forced_answer_nll`.
    """
    golds = dict(trajectories.select("question_id", "gold").unique(maintain_order=True).iter_rows())
    probes = {
        question: forced_probe(tokenizer, gold, end_of_thinking=settings.end_of_thinking)
        for question, gold in golds.items()
    }
    context = model.config.get_text_config().max_position_embeddings
    rows: list[dict[str, Any]] = []
    sequences: Sequences = {}
    for row in trajectories.iter_rows(named=True):
        question, thinking, prompt = row["question_id"], tuple(row["thinking_ids"]), row["prompt_ids"]
        probe = probes[question]
        if len(prompt) + len(thinking) + len(probe.marker_ids) + len(probe.answer_ids) <= context:
            rows.append(row | {"thinking_ids": thinking})
            sequences[question, thinking] = [*prompt, *thinking]
            sequences[question, ()] = prompt
    values = _nll(model, sequences, probes, settings.token_budget, description)
    measured = [
        {
            **{name: value for name, value in row.items() if name not in ("prompt_ids", "thinking_ids", "gold")},
            "length": len(row["thinking_ids"]),
            "nll": values[row["question_id"], row["thinking_ids"]],
            "nll_without": values[row["question_id"], ()],
        }
        for row in rows
    ]
    types = column_types(OuterLoss)
    return pl.DataFrame(measured, schema={name: types[name] for name in types if name not in ("model", "seed")})


def _nll(
    model: PreTrainedModel, sequences: Sequences, probes: dict[str, Probe], token_budget: int, description: str
) -> dict[tuple[str, tuple[int, ...]], float]:
    """The answer NLL after each of `sequences`, by its key."""
    by_length = sorted(sequences, key=lambda key: len(sequences[key]))
    values: dict[tuple[str, tuple[int, ...]], float] = {}
    with progress(description, len(by_length), "trajectory") as line:
        for start in range(0, len(by_length), AT_ONCE):
            keys = by_length[start : start + AT_ONCE]
            forced = [
                ForcedAnswer(sequences[key], probes[key[0]].marker_ids, probes[key[0]].answer_ids) for key in keys
            ]
            nll = forced_answer_nll(model, forced, token_budget=token_budget)
            values.update(zip(keys, nll.tolist(), strict=True))
            line.update(len(keys))
    return values


if __name__ == "__main__":
    run(
        main,
        Job,
        inputs=["oracles", "questions"],
        many=["models", "samples"],
        many_names=["writers"],
        outputs=["out"],
    )
