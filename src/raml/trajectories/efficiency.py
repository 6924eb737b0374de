"""Answers after all, part, none or a summary of the thinking of sampled trajectories (Figure 11).

    python -m raml.trajectories.efficiency --scale S --config '<sampling, efficiency>' --seed 0 --models MODEL... \
        --writers NAME... --samples SAMPLES... --questions Q [--summariser MODEL] \
        --out results/S/evaluations/efficiency/seed0.parquet

No thinking is sampled: of each question the first `n` trajectories that a model wrote for its evaluation are taken,
right or wrong, whole or cut off.

    thinking      the trajectory with its own answer
    budget        its first B tokens, then end of thinking and answer marker are forced and the answer is decoded; a
                  trajectory that came to its answer within the budget keeps it
    no_thinking   the end of thinking is forced at once; the model writes the rest
    summary       a summary instead of the thinking, then as for a budget
    control       the trajectory's last tokens, as many as a summary has, then as for a budget

Summary and control are of the thinking without the parts in which the gold answer stands; if it occurs in them all the
same they are counted and not answered after. Answers are judged as samples are.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from raml.config import Efficiency, Sampling, Section, Summariser
from raml.errors import ConfigError, DataError
from raml.questions.family import stable_seed
from raml.schemas import ForcedAnswer, Question, Trajectory, column_types
from raml.step import Step, check_lengths, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.answering import Answering, Kept, Row, engine_of
from raml.trajectories.budgets import ends_within, first_tokens, last_tokens, thinking_ids
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Request
from raml.trajectories.pretrained import load_pretrained, load_tokenizer, on_device
from raml.trajectories.summaries import asked_to_summarise, occurs, program_summaries, without_answer

FROM_SUMMARIES: Final = ("summary", "control")


class Job(Section):
    """How models answer, and after what."""

    sampling: Sampling
    efficiency: Efficiency


@dataclass(frozen=True)
class Followed:
    """A trajectory and its question, rows of their schemas; `bare` is the thinking without the gold answer."""

    trajectory: Row
    question: Row
    bare: str


def main(step: Step[Job]) -> None:
    """Write one row for each answer, and for each summary or control that leaks.

    Raises:
        ConfigError: a summarising model is lacking, or given though a program summarises.
        DataError: a benchmark without questions, or a question with fewer than `n` trajectories.
    """
    settings, folders, writers = step.config.efficiency, step.lists["models"], step.name_lists["writers"]
    summarisers = step.lists["summariser"]
    check_lengths({"--models": folders, "--writers": writers, "--samples": step.lists["samples"]})
    wanted = 0 if settings.summariser == "program" else 1
    if len(summarisers) != wanted:
        raise ConfigError(f"{len(summarisers)} models given as --summariser; efficiency.summariser asks for {wanted}")
    torch.set_num_threads(settings.threads)
    questions = asked_questions(step.files["questions"], settings.benchmarks)
    rows: list[Row] = []
    for folder, writer, path in zip(folders, writers, step.lists["samples"], strict=True):
        trajectories = first_trajectories(path, writer, questions, settings.n)
        followed = without_gold(trajectories, questions, load_tokenizer(folder))
        if isinstance(settings.summariser, Summariser):
            summaries = written_by_model(summarisers[0], settings.summariser, followed, settings.summaries, step.seed)
        else:
            summaries = written_by_program(followed, settings.summaries, step.seed)
        model, tokenizer = load_pretrained(folder)
        answering = Answering(writer, on_device(model), tokenizer, step.config.sampling, settings, step.seed)
        found = answers(answering, followed, summaries)
        rows += found
        summary, control = (sum(row["leaked"] for row in found if row["method"] == method) for method in FROM_SUMMARIES)
        print(
            f"{writer}: {len(found)} answers of {len(trajectories)} trajectories; the gold answer occurs in {summary} "
            f"summaries and {control} controls, which are not answered after"
        )
    hashes = ",".join(model_hash(folder) for folder in [*folders, *summarisers])
    table = pl.DataFrame(rows, schema=column_types(ForcedAnswer))
    write_table(table, ForcedAnswer, step.files["out"], step.provenance(model_hash=hashes))


def asked_questions(path: Path, benchmarks: Sequence[str]) -> dict[str, Row]:
    """Rows of `schemas.Question` of `benchmarks` by id.

    Raises:
        DataError: a benchmark without questions.
    """
    table = read_table(path, Question).filter(pl.col("split").is_in(benchmarks))
    if missing := [name for name in benchmarks if name not in set(table["split"])]:
        raise DataError(f"{path} holds no question of {', '.join(missing)}, which efficiency.benchmarks names")
    return {row["id"]: row for row in table.iter_rows(named=True)}


def first_trajectories(path: Path, writer: str, questions: Mapping[str, Row], n: int) -> list[Row]:
    """The first `n` trajectories by `writer` of each question, by question and sample.

    Raises:
        DataError: a question has fewer.
    """
    table = read_table(path, Trajectory).filter(pl.col("writer") == writer, pl.col("question_id").is_in(questions))
    of_questions = table.sort("sample").partition_by("question_id", as_dict=True)
    rows: list[Row] = []
    for question in questions:
        first = of_questions.get((question,), table.clear()).head(n)
        if first.height < n:
            raise DataError(
                f"{path} holds {first.height} trajectories of {question} by {writer!r}; efficiency.n asks for {n}"
            )
        rows += first.rows(named=True)
    return rows


def without_gold(
    trajectories: Sequence[Row], questions: Mapping[str, Row], tokenizer: PreTrainedTokenizerBase
) -> list[Followed]:
    """Each trajectory with its question and the text of its thinking without the gold answer."""
    found = []
    for row in trajectories:
        question = questions[row["question_id"]]
        found.append(Followed(row, question, without_answer(_text(thinking_ids(row), tokenizer), question["answer"])))
    return found


def written_by_program(followed: Sequence[Followed], n: int, seed: int) -> list[list[str]]:
    """`n` summaries of each trajectory by the program.

    Raises:
        InputError: it does not know a question's family.
    """
    found = []
    for one in followed:
        rng = random.Random(stable_seed(seed, "summaries", one.question["id"], one.trajectory["sample"]))
        found.append(program_summaries(one.question["family"], one.bare, n, rng))
    return found


def written_by_model(
    folder: Path, settings: Summariser, followed: Sequence[Followed], n: int, seed: int
) -> list[list[str]]:
    """`n` summaries of each trajectory by the model in `folder`, which is asked as `settings` say."""
    model, tokenizer = load_pretrained(folder)
    requests = []
    for one in followed:
        message = asked_to_summarise(settings.prompt, one.question["prompt"], one.bare)
        prompt, first = tuple(question_ids(tokenizer, message)), one.trajectory["sample"] * n
        requests += [Request(one.question["id"], prompt, first + number) for number in range(n)]
    engine = engine_of(on_device(model), tokenizer, settings.sampling)
    completions = engine.sample(requests, stable_seed(seed, "summaries"))
    texts = [_text(one.token_ids, tokenizer).strip() for one in completions]
    return [texts[start : start + n] for start in range(0, len(texts), n)]


def answers(answering: Answering, followed: Sequence[Followed], summaries: Sequence[Sequence[str]]) -> list[Row]:
    """Rows of `schemas.ForcedAnswer` by all methods.

    Args:
        answering: the model that wrote the trajectories.
        followed: the trajectories.
        summaries: of each trajectory, as many as the settings say.
    """
    tokenizer, settings = answering.tokenizer, answering.settings
    rows = [answering.own(one.trajectory, one.question, "thinking") for one in followed]
    for budget in settings.budgets:
        kept = [one for one in followed if ends_within(one.trajectory, budget)]
        rows += [answering.own(one.trajectory, one.question, "budget", budget) for one in kept]
        cut = [one for one in followed if not ends_within(one.trajectory, budget)]
        firsts = [Kept(one.trajectory, one.question, first_tokens(thinking_ids(one.trajectory), budget)) for one in cut]
        rows += answering.forced(firsts, "budget", budget)
    rows += answering.forced([Kept(one.trajectory, one.question, []) for one in followed], "no_thinking")
    bare = [_bare_ids(one, tokenizer) for one in followed]
    for number in range(settings.summaries):
        summarised, lasts = [], []
        for one, ids, texts in zip(followed, bare, summaries, strict=True):
            gold, summary = one.question["answer"], list(tokenizer.encode(texts[number], add_special_tokens=False))
            last = last_tokens(ids, len(summary))
            summarised.append(Kept(one.trajectory, one.question, summary, leaked=occurs(gold, texts[number])))
            lasts.append(Kept(one.trajectory, one.question, last, leaked=occurs(gold, _text(last, tokenizer))))
        rows += answering.forced(summarised, "summary", number)
        rows += answering.forced(lasts, "control", number)
    return rows


def _bare_ids(one: Followed, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of the thinking without the gold answer, the model's own where nothing was left out."""
    ids = thinking_ids(one.trajectory)
    return ids if _text(ids, tokenizer) == one.bare else list(tokenizer.encode(one.bare, add_special_tokens=False))


def _text(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


if __name__ == "__main__":
    run(
        main,
        Job,
        inputs=["questions"],
        many=["models", "samples"],
        many_or_none=["summariser"],
        many_names=["writers"],
        outputs=["out"],
    )
