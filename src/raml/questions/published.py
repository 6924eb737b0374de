"""Published questions: the training questions and the benchmarks, read from the Hugging Face Hub or from files.

    python -m raml.questions.published --scale S --config '<published>' --train T --benchmarks B --tests Z \
        --cleaning C --cleaning-text M

What a model is asked is the question in the data set's `template`, by default with the instruction to think and to end
with the answer marker below it. Answers are compared by math-verify, multiple choices by their letter, and programs are
run on their tests. A question's id is its split and its row in the data set (`train-00042`, `AIME24-00007`). Training
questions are the first `n` of an order that the seed draws, so that a larger `n` adds questions and changes none.

Training questions are cleaned as `raml.questions.cleaning` says if the configuration asks for it. Otherwise, and of
benchmarks, only those are left out that have no question or no answer, or one that math-verify cannot parse. Left out
too are training questions that are repeated or that a benchmark asks; log and tables count all of them.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import polars as pl

from raml.answers.code import published_tests
from raml.answers.format import with_instruction
from raml.answers.parsable import parsable
from raml.answers.sandbox import Cases
from raml.config import Dataset, Published
from raml.errors import DataError, InputError
from raml.questions.cleaning import ANSWER_FILTERS, FILTERS, Cleaned, Raw, clean, counts
from raml.questions.cleaning_table import markdown
from raml.questions.family import stable_seed
from raml.questions.hub import cell, name_of, part, read
from raml.questions.program_tests import digest, write_archive
from raml.questions.stripping import strip
from raml.schemas import CleaningCount, Question, column_types
from raml.step import Step, run
from raml.storage import write_table, write_text

Row = dict[str, Any]

FAMILY: Final = "published"  # none that has a verifier of its own
DEFAULT_TEMPLATE: Final = with_instruction("{question}")
LETTERS: Final = "ABCDEFGHIJ"


def main(step: Step[Published]) -> None:
    """Write the training questions, all benchmarks, the tests of programs and the tables of what was left out."""
    published, files = step.config, step.files
    benchmarks: list[Row] = []
    tests: dict[str, Cases] = {}
    held_out: set[str] = set()
    for name, benchmark in published.benchmarks.items():
        rows, raw = question_rows(benchmark, split=name, kind=benchmark.kind, seed=step.seed)
        if len(rows) != benchmark.n:
            print(f"{name}: the configuration expects n = {benchmark.n}, by which alone `raml plan` reckons")
        for row, one in zip(rows, raw, strict=True):
            if isinstance(found := row.pop("tests", None), Cases):
                tests[row["id"]] = found
                row["metadata"] = json.dumps({"tests": str(files["tests"])})
            held_out.add(asked(one.question))
        benchmarks += rows
    train, cleaned = training_questions(published, held_out, step.seed)
    write_archive(tests, files["tests"])
    for name, rows in {"train": train, "benchmarks": benchmarks}.items():
        write_table(pl.DataFrame(rows, schema=column_types(Question)), Question, files[name], step.provenance())
    table = counts(cleaned, lambda raw: stable_seed(step.seed, "example", raw.number))
    write_table(
        pl.DataFrame(table, schema=column_types(CleaningCount)), CleaningCount, files["cleaning"], step.provenance()
    )
    write_text(markdown(table, name_of(published.train)), files["cleaning_text"])


def training_questions(published: Published, held_out: set[str], seed: int) -> tuple[list[Row], Cleaned]:
    """The first `published.n` training questions in the order of `seed`, none of them `held_out` or asked twice.

    Raises:
        DataError: there are fewer; or as in `question_rows`.
    """
    source = published.train
    version, found = _wanted(source)
    cleaned = _cleaned(source, found, "train", FILTERS if source.cleaning else ANSWER_FILTERS)
    numbers = [raw.number for raw in cleaned.kept]
    rows = dict(zip(numbers, _rows(source, version, cleaned.kept, found, "train", "train", seed), strict=True))
    order = sorted(cleaned.kept, key=lambda raw: stable_seed(seed, "published", rows[raw.number]["id"]))
    seen: set[str] = set()
    kept, leaked = [], 0
    for raw in order:
        text = asked(raw.question)
        if text in held_out:
            leaked += 1
        elif text not in seen:
            seen.add(text)
            kept.append(rows[raw.number])
    print(
        f"train: left out {leaked} questions that a benchmark asks too and {len(rows) - len(kept) - leaked} repeats; "
        f"{min(published.n, len(kept))} of the other {len(kept)} are taken"
    )
    if len(kept) < published.n:
        raise DataError(
            f"{source.dataset} has {len(kept)} different training questions that no benchmark asks, fewer "
            f"than published.n = {published.n}; lower it"
        )
    return kept[: published.n], cleaned


def question_rows(source: Dataset, *, split: str, kind: str, seed: int = 0) -> tuple[list[Row], list[Raw]]:
    """The questions of a data set as rows of `schemas.Question`, in its order, and what was asked without a template.

    Rows of programming questions have their tests too, under `tests`.

    Args:
        source: which data set, and which of its columns.
        split: `train` or the benchmark's name.
        kind: as in the schema.
        seed: shuffles the answers of multiple choices, each question's by itself.

    Raises:
        DataError: the data set cannot be read, lacks a column, holds something else than text or numbers in one, or
            no row is left.
    """
    version, found = _wanted(source)
    kept = _cleaned(source, found, split, ANSWER_FILTERS).kept
    return _rows(source, version, kept, found, split, kind, seed), kept


def asked(question: str) -> str:
    """What two questions have in common that ask the same: blanks do not count."""
    return " ".join(question.split())


def _wanted(source: Dataset) -> tuple[str, dict[int, Row]]:
    """The commit and the rows that `source.only` leaves, by their number."""
    code = [source.code.public, source.code.starter, source.code.function] if source.code else []
    version, found = read(source, [source.prompt, source.answer, *source.incorrect, *source.only, *code])
    wanted = {
        number: row
        for number, row in enumerate(found)
        if all(part(row, way, source) == value for way, value in source.only.items())
    }
    if not wanted:
        only = " and ".join(f"{column} = {value!r}" for column, value in source.only.items())
        values = {way: sorted({repr(part(row, way, source)) for row in found})[:10] for way in source.only}
        listed = "; ".join(f"{column} is one of {', '.join(some)}" for column, some in values.items())
        raise DataError(f"{name_of(source)} has no row" + (f" with {only}; its {listed}" if found and only else ""))
    return version, wanted


def _cleaned(source: Dataset, found: Mapping[int, Row], split: str, filters: Sequence[Any]) -> Cleaned:
    """What `filters` and, of mathematical answers, math-verify leave; cleaned by all filters it is stripped too."""
    raw = [
        Raw(number, cell(row, source.prompt, source), cell(row, source.answer, source)) for number, row in found.items()
    ]
    check = partial(parsable, about=f"reading the answers of {split}") if source.answer_type == "math" else None
    cleaned = clean(raw, filters, check)
    if filters is FILTERS:
        kept = [Raw(one.number, strip(one.question), one.answer) for one in cleaned.kept]
        cleaned = Cleaned(kept, cleaned.dropped, cleaned.descriptions)
    left_out = ", ".join(f"{len(dropped)} {name}" for name, dropped in cleaned.dropped.items())
    print(f"{split}: {len(cleaned.kept)} of {len(raw)} questions of {name_of(source)}; left out: {left_out}")
    if not cleaned.kept:
        raise DataError(
            f"{name_of(source)}: no row has a {source.prompt!r} and an {source.answer!r} that can be compared"
        )
    return cleaned


def _rows(
    source: Dataset, version: str, kept: Sequence[Raw], found: Mapping[int, Row], split: str, kind: str, seed: int
) -> list[Row]:
    rows = []
    for raw in kept:
        template, places, answer = source.template or DEFAULT_TEMPLATE, {"question": raw.question}, raw.answer
        name, tests = f"{split}-{raw.number:05d}", {}
        if source.incorrect:
            wrong = [cell(found[raw.number], column, source) for column in source.incorrect]
            places["choices"], answer = shuffled_choices(answer, wrong, stable_seed(seed, "choices", name))
        if source.code:
            starter = cell(found[raw.number], source.code.starter, source)
            template, places["starter"] = (source.code.starter_template if starter else template), starter
            tests = {"tests": _tests(source, found[raw.number], name)}
            answer = digest(tests["tests"])
        row = {
            "id": name,
            "source": f"{source.dataset}@{version}",
            "family": FAMILY,
            "domain": source.domain,
            "split": split,
            "kind": kind,
            "prompt": filled(template, places),
            "answer": answer,
            "answer_type": source.answer_type,
            "difficulty": 0,
            "metadata": "{}",
        }
        rows.append(row | tests)
    return rows


def shuffled_choices(right: str, wrong: Sequence[str], seed: int) -> tuple[str, str]:
    """Lines of lettered answers in an order that `seed` draws, and the letter of the right one."""
    order = list(range(1 + len(wrong)))
    random.Random(seed).shuffle(order)
    lines = [f"{letter}) {[right, *wrong][index]}" for letter, index in zip(LETTERS, order, strict=False)]
    return "\n".join(lines), LETTERS[order.index(0)]


def filled(template: str, places: Mapping[str, str]) -> str:
    """`template` with each `{name}` of `places` replaced; other braces, of LaTeX say, stay."""
    return re.sub(r"\{(\w+)\}", lambda match: places.get(match[1], match[0]), template)


def _tests(source: Dataset, row: Row, name: str) -> Cases:
    assert source.code is not None
    columns = (source.code.public, source.answer, source.code.function)
    try:
        return published_tests(*(cell(row, column, source) for column in columns))
    except InputError as error:
        raise DataError(f"{name_of(source)}: the tests of {name} cannot be read: {error}") from None


if __name__ == "__main__":
    run(main, Published, outputs=["train", "benchmarks", "tests", "cleaning", "cleaning_text"])
