"""Answers after all, part, none or a summary of the thinking of sampled trajectories (Figure 11).

    python -m raml.trajectories.efficiency --scale S --config '<engine, sampling, efficiency>' --seed 0 \
        --models MODEL... --writers NAME... --samples SAMPLES... --questions Q [--summariser MODEL] \
        --work .cache/sampling/S --out results/S/evaluations/efficiency/seed0.parquet

No thinking is sampled: of each question the first `n` trajectories that a model wrote for its evaluation are taken,
right or wrong, whole or cut off.

    thinking      the trajectory with its own answer
    budget        its first B tokens, then end of thinking and answer marker are forced and the answer is decoded; a
                  trajectory that came to its answer within the budget keeps it
    no_thinking   the end of thinking is forced at once; the model writes the rest
    summary       a summary instead of the thinking, then as for a budget
    control       the trajectory's last tokens, as many as a summary has, then as for a budget

Summary and control are of the thinking without the parts in which the gold answer stands; if it occurs in them all the
same they are counted and not answered after. Answers are judged as samples are. One model at a time is in its engine,
and what it writes is kept in shards below `--work` until the table is there.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from raml.config import Efficiency, EngineSettings, Sampling, Section, Summariser
from raml.errors import ConfigError, DataError
from raml.questions.family import stable_seed
from raml.schemas import ForcedAnswer, Question, Trajectory, column_types
from raml.step import Step, check_lengths, run
from raml.storage import model_hash, read_table, write_table
from raml.trajectories.answering import Answering, Kept, Row
from raml.trajectories.budgets import ends_within, last_tokens, thinking_ids
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Request
from raml.trajectories.engines import open_engine
from raml.trajectories.gpus import take_gpus
from raml.trajectories.pretrained import load_tokenizer
from raml.trajectories.shards import ShardedEngine, Shards
from raml.trajectories.summaries import asked_to_summarise, occurs, program_summaries, without_answer

FROM_SUMMARIES: Final = ("summary", "control")


class Job(Section):
    """How models answer, and after what."""

    engine: EngineSettings
    sampling: Sampling
    efficiency: Efficiency


@dataclass(frozen=True)
class Followed:
    """A trajectory and its question, rows of their schemas; `bare` is the thinking without the gold answer."""

    trajectory: Row
    question: Row
    bare: str


@dataclass(frozen=True)
class Engines:
    """The models of a job, one after the other in their engines: hashes and shards of those so far."""

    step: Step[Job]
    hashes: list[str] = field(default_factory=list)
    shards: list[Shards] = field(default_factory=list)

    def open(
        self, folder: Path, tokenizer: PreTrainedTokenizerBase, settings: EngineSettings, sampling: Sampling
    ) -> ShardedEngine:
        """The next model; nobody may hold the one before any more."""
        torch.set_num_threads(sampling.threads)
        self.hashes.append(model_hash(folder))
        engine = open_engine(folder, tokenizer, settings, sampling)
        identity = {**self.step.provenance(model_hash=self.hashes[-1]).model_dump(), **engine.origin.columns()}
        return ShardedEngine(engine, self.step.files["work"], identity, sampling.batch_size, self.shards)


def main(step: Step[Job]) -> None:
    """Write one row for each answer, and for each summary or control that leaks.

    Raises:
        ConfigError: a summarising model is lacking, or given though a program summarises.
        DataError: a benchmark without questions, or a question with fewer than `n` trajectories.
    """
    settings, folders, writers = step.config.efficiency, step.lists["models"], step.name_lists["writers"]
    summarisers = step.lists["summariser"]
    check_lengths({"--models": folders, "--writers": writers, "--samples": step.lists["samples"]})
    summariser = settings.summariser if isinstance(settings.summariser, Summariser) else None
    wanted = 0 if summariser is None else 1
    if len(summarisers) != wanted:
        raise ConfigError(f"{len(summarisers)} models given as --summariser; efficiency.summariser asks for {wanted}")
    used = [step.config.engine, *([summariser.engine] if summariser else [])]
    take_gpus(max(engine.tensor_parallel for engine in used))
    questions = asked_questions(step.files["questions"], settings.benchmarks)
    followed = [
        without_gold(first_trajectories(path, writer, questions, settings.n), questions, load_tokenizer(folder))
        for folder, writer, path in zip(folders, writers, step.lists["samples"], strict=True)
    ]
    engines = Engines(step)
    if summariser is None:
        summaries = [written_by_program(of_model, settings.summaries, step.seed) for of_model in followed]
    else:
        summaries = written_by_model(summarisers[0], summariser, followed, engines)
    rows: list[Row] = []
    for folder, writer, of_model, texts in zip(folders, writers, followed, summaries, strict=True):
        rows += answered_by_model(folder, writer, of_model, texts, engines)
    table = pl.DataFrame(rows, schema=column_types(ForcedAnswer))
    write_table(table, ForcedAnswer, step.files["out"], step.provenance(model_hash=",".join(engines.hashes)))
    for shards in engines.shards:
        shards.delete()


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
    folder: Path, settings: Summariser, followed: Sequence[Sequence[Followed]], engines: Engines
) -> list[list[list[str]]]:
    """Summaries of each trajectory of each model, by the model in `folder`, which is asked as `settings` say."""
    step, tokenizer = engines.step, load_tokenizer(folder)
    n = step.config.efficiency.summaries
    engine = engines.open(folder, tokenizer, settings.engine, settings.sampling)
    summaries = []
    for of_model in followed:
        requests = []
        for one in of_model:
            message = asked_to_summarise(settings.prompt, one.question["prompt"], one.bare)
            prompt, first = tuple(question_ids(tokenizer, message)), one.trajectory["sample"] * n
            requests += [Request(one.question["id"], prompt, first + number) for number in range(n)]
        completions = engine.sample(requests, stable_seed(step.seed, "summaries"), "summaries")
        texts = [_text(one.token_ids, tokenizer).strip() for one in completions]
        summaries.append([texts[start : start + n] for start in range(0, len(texts), n)])
    return summaries


def answered_by_model(
    folder: Path,
    writer: str,
    followed: Sequence[Followed],
    summaries: Sequence[Sequence[str]],
    engines: Engines,
) -> list[Row]:
    """Rows of `schemas.ForcedAnswer` of the model in `folder`, after its own trajectories and their `summaries`."""
    job, tokenizer = engines.step.config, load_tokenizer(folder)
    settings = job.efficiency
    sampling = job.sampling.model_copy(update={"batch_size": settings.batch_size, "threads": settings.threads})
    engine = engines.open(folder, tokenizer, job.engine, sampling)
    rows = answers(Answering(writer, engine, tokenizer, settings, engines.step.seed), followed, summaries)
    summary, control = (sum(row["leaked"] for row in rows if row["method"] == method) for method in FROM_SUMMARIES)
    print(
        f"{writer}: {len(rows)} answers of {len(followed)} trajectories; the gold answer occurs in {summary} "
        f"summaries and {control} controls, which are not answered after"
    )
    return rows


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
        firsts = [Kept(one.trajectory, one.question, thinking_ids(one.trajectory)[:budget]) for one in cut]
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
        outputs=["work", "out"],
    )
