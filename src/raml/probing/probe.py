"""Answer-NLL curves of one model along its own sampled trajectories, correct and incorrect ones (figs 3, 16).

Thinking mode: the answer marker is forced right after the first i thinking tokens, without `</think>`,
as Algorithm 3 has it.
"""

from dataclasses import dataclass

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from raml.answers.format import MARKER
from raml.config import Probing, Section
from raml.errors import DataError, InputError
from raml.probing.curves import Curve, answer_nll_curve
from raml.progress import track
from raml.schemas import ProbeCurve, Question, Trajectory
from raml.step import Step, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.pretrained import load_pretrained

EMPTY = ProbeCurve.create_empty()


class Job(Section):
    """The sections that probing depends on."""

    probing: Probing


@dataclass(frozen=True)
class PassedOver:
    """Samples of the probed benchmarks that are never followed."""

    empty: int  # finished, without thinking
    unfinished: int  # incorrect, and not ended by themselves with an answer
    incorrect: int  # all incorrect ones, of which `unfinished` are a part


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


def main(step: Step[Job]) -> None:
    """Probe the chosen trajectories and write one row per curve point."""
    settings = step.config.probing
    torch.set_num_threads(settings.threads)
    questions = read_table(step.files["questions"], Question)
    samples = read_table(step.files["samples"], Trajectory)
    chosen, passed_over = choose_trajectories(questions, samples, settings)
    model, tokenizer = load_pretrained(step.files["model"])
    marker_ids = tokenizer.encode(MARKER, add_special_tokens=False)

    tables: list[pl.DataFrame] = [EMPTY]
    too_long = 0
    for trajectory in track(chosen, "probing", len(chosen), "trajectory"):
        answer_ids = gold_answer_ids(tokenizer, trajectory.gold)
        parts = [trajectory.prompt_ids, trajectory.thinking_ids, marker_ids, answer_ids]
        if sum(len(ids) for ids in parts) > model.config.max_position_embeddings:
            too_long += 1
            continue
        curve = answer_nll_curve(model, *parts, stride=settings.stride, token_budget=settings.token_budget)
        tables.append(curve_table(trajectory, curve, settings, step.seed))

    correct = sum(trajectory.correct for trajectory in chosen)
    print(
        f"chosen: {correct} correct and {len(chosen) - correct} incorrect trajectories; skipped: {too_long} of them "
        f"that with the gold answer exceed the model's context, {passed_over.empty} finished samples without thinking, "
        f"and {passed_over.unfinished} of all {passed_over.incorrect} incorrect samples that did not end with an answer"
    )
    provenance = step.provenance(model_hash=model_hash(step.files["model"]))
    write_table(pl.concat(tables), ProbeCurve, step.files["out"], provenance)


def choose_trajectories(
    questions: pl.DataFrame, samples: pl.DataFrame, settings: Probing
) -> tuple[list[Chosen], PassedOver]:
    """The trajectories to follow, and how many samples were passed over for what they are.

    Per question of `settings.benchmarks`, in the order of the configuration and of the table: the first
    `settings.trajectories_per_question` correct samples and as many incorrect ones, in sample order. Only
    samples that ended by themselves with an answer count, and of those of one kind with the same thinking
    only the first.

    Args:
        questions: rows of `schemas.Question`.
        samples: rows of `schemas.Trajectory`, all written by the probed model.

    Raises:
        InputError: a benchmark without questions.
        DataError: samples of another model.
    """
    if missing := [name for name in settings.benchmarks if name not in set(questions["split"])]:
        allowed = ", ".join(questions["split"].unique(maintain_order=True))
        raise InputError(f"probing.benchmarks names {missing}, but the questions table holds only {allowed}")
    if others := sorted(set(samples["writer"]) - {settings.model}):
        raise DataError(f"probing.model is {settings.model!r}, but the samples were written by {', '.join(others)}")

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
        empty=rows.select(empty.sum()).item(),
        unfinished=incorrect.filter(~pl.col("ended")).height,
        incorrect=incorrect.height,
    )
    return [Chosen(**row) for row in in_order.iter_rows(named=True)], passed_over


def gold_answer_ids(tokenizer: PreTrainedTokenizerBase, gold: str) -> list[int]:
    """Token ids of a gold answer as they stand inside `\\boxed{ }`.

    Raises:
        InputError: the tokenizer does not know part of it.
    """
    ids: list[int] = tokenizer.encode(gold, add_special_tokens=False)
    if {tokenizer.unk_token_id, tokenizer.pad_token_id} & set(ids):
        raise InputError(f"the tokenizer does not know all of the gold answer {gold!r}")
    return ids


def curve_table(trajectory: Chosen, curve: Curve, settings: Probing, seed: int) -> pl.DataFrame:
    """`curve` [positions] along `trajectory` as rows of `schemas.ProbeCurve`."""
    ids = trajectory.thinking_ids
    positions = range(0, len(ids) + 1, settings.stride)
    return pl.DataFrame(
        {
            "trajectory_id": f"{trajectory.question_id}/{settings.model}/{trajectory.sample}",
            "question_id": trajectory.question_id,
            "benchmark": trajectory.benchmark,
            "model": settings.model,
            "seed": seed,
            "mode": "thinking",
            "correct": trajectory.correct,
            "position": positions,
            "length": len(ids),
            "token_id": [ids[position - 1] if position else None for position in positions],
            "nll": curve,
        },
        schema=EMPTY.schema,
    )


if __name__ == "__main__":
    run(main, Job, inputs=["model", "samples", "questions"], outputs=["out"])
