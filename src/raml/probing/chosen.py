"""Which of a model's samples are followed, and how many are passed over; reads tables only, no torch."""

from dataclasses import dataclass

import polars as pl

from raml.config import Probing
from raml.errors import DataError, InputError


@dataclass(frozen=True)
class PassedOver:
    """Samples of the probed benchmarks that are never followed, and of how many."""

    ended: int  # by themselves, with an answer
    empty: int  # of those `ended`, without thinking
    empty_correct: int  # of those `empty`
    incorrect: int  # ended or not
    unfinished: int  # of those `incorrect`, not ended by themselves with an answer


@dataclass(frozen=True)
class Chosen:
    """A sampled trajectory to follow, and the gold answer to force along it."""

    question_id: str
    benchmark: str
    gold: str
    sample: int
    correct: bool
    prompt_ids: list[int]
    thinking_ids: list[int]


def trajectory_id(chosen: Chosen, model: str) -> str:
    """What `schemas.ProbeCurve` calls a trajectory that `model` sampled."""
    return f"{chosen.question_id}/{model}/{chosen.sample}"


def choose_trajectories(
    questions: pl.DataFrame, samples: pl.DataFrame, settings: Probing, model: str
) -> tuple[list[Chosen], PassedOver]:
    """The trajectories to follow, and how many samples were passed over for what they are.

    Per question of `settings.benchmarks`, in the order of the configuration and of the table: the first
    `settings.trajectories_per_question` correct samples and as many incorrect ones, in sample order. Only
    samples that ended by themselves with an answer and have any thinking count, and of those of one kind with
    the same thinking only the first.

    Args:
        questions: rows of `schemas.Question`.
        samples: rows of `schemas.Trajectory`, all written by the probed model.
        settings: which benchmarks, and how many trajectories.
        model: the probed model's name.

    Raises:
        InputError: a benchmark without questions.
        DataError: samples of another model.
    """
    if missing := [name for name in settings.benchmarks if name not in set(questions["split"])]:
        allowed = ", ".join(questions["split"].unique(maintain_order=True))
        raise InputError(f"probing.benchmarks names {missing}, but the questions table holds only {allowed}")
    if others := sorted(set(samples["writer"]) - {model}):
        raise DataError(f"the probed model is {model!r}, but the samples were written by {', '.join(others)}")

    asked = pl.concat([questions.filter(pl.col("split") == name) for name in settings.benchmarks])
    thinking = pl.col("token_ids").list.slice(
        pl.col("thinking_start"), pl.col("thinking_end") - pl.col("thinking_start")
    )
    sampled = samples.sort("sample").select(
        "question_id",
        "sample",
        "correct",
        "prompt_ids",
        thinking.alias("thinking_ids"),
        (pl.col("finished") & pl.col("answer_start").is_not_null()).alias("ended"),
    )
    asked_samples = asked.select(question_id="id", benchmark="split", gold="answer").join(
        sampled, on="question_id", maintain_order="left_right"
    )
    rows = asked_samples.filter("ended").drop("ended")
    incorrect = asked_samples.filter(~pl.col("correct"))
    empty = pl.col("thinking_ids").list.len() == 0
    first = (
        rows.filter(~empty)
        .unique(["question_id", "correct", "thinking_ids"], keep="first", maintain_order=True)
        .group_by("question_id", "correct", maintain_order=True)
        .head(settings.trajectories_per_question)
    )
    in_order = rows.select("question_id", "sample").join(first, on=["question_id", "sample"], maintain_order="left")
    passed_over = PassedOver(
        ended=rows.height,
        empty=rows.filter(empty).height,
        empty_correct=rows.filter(empty & pl.col("correct")).height,
        incorrect=incorrect.height,
        unfinished=incorrect.filter(~pl.col("ended")).height,
    )
    return [Chosen(**row) for row in in_order.iter_rows(named=True)], passed_over
