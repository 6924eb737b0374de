"""Trajectories of the training questions that others have published, in the tokens of the model to be trained.

    python -m raml.trajectories.published_rollouts --scale S --config '<rollouts, n, template, cleaning>' \
        --writer long --questions Q --tokenizer results/S/models/seed0/base \
        --out results/S/trajectories/long.parquet --agreement results/S/tables/rollouts_long.md

A row of the data set is a question with several texts and, of each text, a label that says whether it is right. A row
belongs to the training question that is asked in the same words, blanks apart. Texts are judged as all trajectories
are; the labels are compared with what comes out and decide nothing. Whether a text had ended is not published: it
counts as ended if an answer follows its thinking.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import polars as pl
from pydantic import Field
from transformers import PreTrainedTokenizerBase

from raml.answers import THINK_END, THINK_START, Judgement, extract_loose, judge
from raml.config import Rollouts, Section
from raml.errors import DataError
from raml.progress import track
from raml.questions.hub import cell, name_of, part, read
from raml.questions.published import DEFAULT_TEMPLATE, asked, filled
from raml.questions.stripping import strip
from raml.questions.verify import verify
from raml.schemas import Question, Trajectory, column_types
from raml.step import Step, run
from raml.storage import read_table, write_table, write_text
from raml.trajectories.chat import question_ids
from raml.trajectories.engine import Origin
from raml.trajectories.pretrained import load_tokenizer
from raml.trajectories.retokenise import retokenised

FLAGS: Final[Mapping[str, bool]] = {"true": True, "false": False, "1": True, "0": False}

Row = dict[str, Any]
Labelled = tuple[str, bool]
Agreement = Counter[tuple[bool, bool]]


class Job(Section):
    """Which data set, and what has become of its questions."""

    rollouts: Rollouts
    n: int = Field(gt=0, description="trajectories of a question, the first ones")
    template: str | None = Field(description="as that of the training questions")
    cleaning: bool = Field(description="whether the training questions were stripped")


def main(step: Step[Job]) -> None:
    """Write the table, and how often our verdict and the label agree.

    Raises:
        DataError: the data set cannot be read, lacks a column or has something else in one, a row has not as many
            labels as texts, or no row asks a training question.
    """
    job, files = step.config, step.files
    questions = read_table(files["questions"], Question)
    version, found = published_texts(job, questions)
    tokenizer = load_tokenizer(files["tokenizer"])
    origin, agreement = Origin("published", version, "unknown"), Agreement()
    tables = []
    for question in track(questions.iter_rows(named=True), "judging", len(questions), "question"):
        texts = found.get(question["id"], [])[: job.n]
        rows = trajectory_rows(question, step.names["writer"], texts, tokenizer, origin, agreement)
        tables.append(pl.DataFrame(list(rows), schema=column_types(Trajectory)))
    trajectories = pl.concat(tables)
    judged = agreement.total()
    name = name_of(job.rollouts)
    if trajectories.is_empty():
        raise DataError(f"{name}: no row that asks a training question has a text")
    print(
        f"{len(trajectories)} trajectories of {trajectories['question_id'].n_unique()} of {len(questions)} questions; "
        f"left out: {judged - len(trajectories)} without text"
    )
    print(f"our verdict and the label differ on {agreement[True, False] + agreement[False, True]} of {judged}")
    write_table(trajectories, Trajectory, files["out"], step.provenance())
    write_text(markdown(agreement, f"{name}, {version}"), files["agreement"])


def published_texts(job: Job, questions: pl.DataFrame) -> tuple[str, dict[str, list[Labelled]]]:
    """The data set's commit, and by the ids of `questions` (rows of `schemas.Question`) texts with labels.

    Raises:
        DataError: as `main`.
    """
    source = job.rollouts
    version, rows = read(source, [source.prompt, source.completions, source.labels])
    ids = {asked(prompt): name for name, prompt in questions.select("id", "prompt").iter_rows()}
    found: dict[str, list[Labelled]] = {}
    for number, row in enumerate(rows):
        problem = cell(row, source.prompt, source)
        prompt = filled(job.template or DEFAULT_TEMPLATE, {"question": strip(problem) if job.cleaning else problem})
        if (name := ids.get(asked(prompt))) is not None:
            found.setdefault(name, []).extend(_labelled(row, number, source))
    print(f"{len(found)} of {len(questions)} training questions are among the {len(rows)} rows of {name_of(source)}")
    if not found:
        raise DataError(
            f"{name_of(source)}: none of its {len(rows)} rows asks one of the {len(questions)} training questions; "
            f"take them from the same data set (published.train), or leave published_rollouts out"
        )
    return version, found


def trajectory_rows(
    question: Row,
    writer: str,
    texts: Sequence[Labelled],
    tokenizer: PreTrainedTokenizerBase,
    origin: Origin,
    agreement: Agreement,
) -> Iterator[Row]:
    """Rows of `schemas.Trajectory` of those `texts` that are not empty, in order.

    Args:
        question: a row of `schemas.Question`.
        writer: who is said to have written them.
        texts: with their labels.
        tokenizer: of the model to be trained.
        origin: where they are from.
        agreement: counts (our verdict, label), and grows by these.
    """
    prompt = question_ids(tokenizer, question["prompt"])
    judgements: dict[str, Judgement] = {}
    for sample, (text, label) in enumerate(texts):
        if text not in judgements:
            judgements[text] = judge(
                text, question["answer"], answer_type=question["answer_type"], verify=partial(verify, question)
            )
        judgement = judgements[text]
        agreement[judgement.correct, label] += 1
        row = {
            "question_id": question["id"],
            "writer": writer,
            "sample": sample,
            "seed": 0,
            **origin.columns(),
            "text": text,
            "finished": has_ended(text),
            "correct": judgement.correct,
            "formatted": judgement.formatted,
            "reward": judgement.reward,
        }
        if text and (rewritten := retokenised(row, prompt, tokenizer)) is not None:
            yield rewritten


def has_ended(text: str) -> bool:
    """Whether an answer follows the thinking of a published text, or stands in one that marks no thinking."""
    _, end, after = text.rpartition(THINK_END)
    return (bool(end) or THINK_START not in text) and extract_loose(after) is not None


def markdown(agreement: Agreement, name: str) -> str:
    """How often our verdict and the label agree, as a page of Markdown."""
    words = {True: "right", False: "wrong"}
    lines = [
        f"# Trajectories of {name}",
        "",
        f"{agreement.total():,} were judged; labels are the data set's and decide nothing.",
        "",
        "| our verdict | label: right | label: wrong |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {words[ours]} | {agreement[ours, True]:,} | {agreement[ours, False]:,} |" for ours in (True, False)]
    return "\n".join(lines) + "\n"


def _labelled(row: Row, number: int, source: Rollouts) -> list[Labelled]:
    """The texts of a row with their labels."""
    texts, labels = (_items(row, number, column, source) for column in (source.completions, source.labels))
    where = f"{name_of(source)}: row {number}"
    if len(texts) != len(labels):
        raise DataError(
            f"{where} has {len(texts)} {source.completions} and {len(labels)} {source.labels}; there must be one a text"
        )
    if other := [text for text in texts if not isinstance(text, str)]:
        raise DataError(f"{where}: {source.completions!r} holds a {type(other[0]).__name__}, not texts alone")
    found = []
    for text, label in zip(texts, labels, strict=True):
        flag = FLAGS.get(str(label).lower().removesuffix(".0"))
        if flag is None:
            raise DataError(f"{where}: {source.labels!r} holds {label!r:.60}; allowed: true and false, or 1 and 0")
        found.append((text, flag))
    return found


def _items(row: Row, number: int, column: str, source: Rollouts) -> list[Any]:
    """A list, which may be there as JSON; none for nothing."""
    value = part(row, column, source)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise DataError(f"{name_of(source)}: row {number}: {column!r} holds text that is no JSON list") from None
    if value is not None and not isinstance(value, list):
        raise DataError(f"{name_of(source)}: row {number}: {column!r} holds a {type(value).__name__}, not a list")
    return value or []


if __name__ == "__main__":
    run(main, Job, inputs=["questions", "tokenizer"], names=["writer"], outputs=["out", "agreement"])
