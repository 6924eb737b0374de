"""Published questions: the training questions and the benchmarks, read from the Hugging Face Hub or from files.

    python -m raml.questions.published --scale S --config '<published>' --train T --benchmarks B

What a model is asked is the question and, after an empty line, the instruction to think and to end with the answer
marker; answers are compared by math-verify. A question's id is its split and its row in the data set (`train-00042`,
`AIME24-00007`). Training questions are the first `n` of an order that the seed draws, so that a larger `n` adds
questions and changes none.

Left out are rows without question or answer, those whose answer math-verify cannot read, since nothing could be judged
by it, and training questions that are repeated or that a benchmark asks; the log counts them. Nothing else is cleaned.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import datasets
import polars as pl
from huggingface_hub import HfApi

from raml.answers.compare import same_answer
from raml.answers.format import INSTRUCTION
from raml.config import Dataset, Published
from raml.errors import DataError, InputError, RamlError
from raml.progress import track
from raml.questions.family import stable_seed
from raml.schemas import Question, column_types
from raml.step import Step, run
from raml.storage import write_table

Row = dict[str, Any]

HUB_TIMEOUT: Final = 10  # seconds until the Hub counts as out of reach
FAMILY: Final = "published"  # none that has a verifier of its own
READERS: Final[Mapping[str, str]] = {".jsonl": "json", ".parquet": "parquet"}


def main(step: Step[Published]) -> None:
    """Write the training questions and all benchmarks."""
    published = step.config
    benchmarks = []
    for name, benchmark in published.benchmarks.items():
        rows = question_rows(benchmark, split=name, kind=benchmark.kind)
        if len(rows) != benchmark.n:
            print(f"{name}: the configuration expects n = {benchmark.n}, by which alone `raml plan` reckons")
        benchmarks += rows
    train = training_questions(published, {asked(row) for row in benchmarks}, step.seed)
    for name, rows in {"train": train, "benchmarks": benchmarks}.items():
        write_table(pl.DataFrame(rows, schema=column_types(Question)), Question, step.files[name], step.provenance())


def training_questions(published: Published, held_out: set[str], seed: int) -> list[Row]:
    """The first `published.n` training questions in the order of `seed`, none of them `held_out` or asked twice.

    Raises:
        DataError: there are fewer; or as in `question_rows`.
    """
    rows = question_rows(published.train, split="train", kind="train")
    rows.sort(key=lambda row: stable_seed(seed, "published", row["id"]))
    seen: set[str] = set()
    kept, leaked = [], 0
    for row in rows:
        if asked(row) in held_out:
            leaked += 1
        elif asked(row) not in seen:
            seen.add(asked(row))
            kept.append(row)
    print(
        f"train: left out {leaked} questions that a benchmark asks too and {len(rows) - len(kept) - leaked} repeats; "
        f"{min(published.n, len(kept))} of the other {len(kept)} are taken"
    )
    if len(kept) < published.n:
        raise DataError(
            f"{published.train.dataset} has {len(kept)} different training questions that no benchmark asks, fewer "
            f"than published.n = {published.n}; lower it"
        )
    return kept[: published.n]


def question_rows(source: Dataset, *, split: str, kind: str) -> list[Row]:
    """The questions of a data set as rows of `schemas.Question`, in its order.

    Args:
        source: which data set, and which of its columns.
        split: `train` or the benchmark's name.
        kind: as in the schema.

    Raises:
        DataError: the data set cannot be read, lacks a column, holds something else than text or numbers in one, or
            no row is left.
    """
    version, found = read(source)
    rows = [(number, row) for number, row in enumerate(found) if _is_wanted(row, source.only)]
    if not rows:
        wanted = " and ".join(f"{column} = {value!r}" for column, value in source.only.items())
        values = {column: sorted({repr(row[column]) for row in found})[:10] for column in source.only}
        listed = "; ".join(f"{column} is one of {', '.join(some)}" for column, some in values.items())
        raise DataError(f"{_name(source)} has no row" + (f" with {wanted}; its {listed}" if found and wanted else ""))
    complete = [
        (number, question, answer)
        for number, row in rows
        if (question := _text(row, source.prompt, source)) and (answer := _text(row, source.answer, source))
    ]
    judged = track(complete, f"reading the answers of {split}", len(complete), "question")
    questions = [
        {
            "id": f"{split}-{number:05d}",
            "source": f"{source.dataset}@{version}",
            "family": FAMILY,
            "domain": source.domain,
            "split": split,
            "kind": kind,
            "prompt": f"{question}\n\n{INSTRUCTION}",
            "answer": answer,
            "answer_type": "math",
            "difficulty": 0,
            "metadata": "{}",
        }
        for number, question, answer in judged
        if can_be_compared(answer)
    ]
    print(
        f"{split}: {len(questions)} of {len(rows)} questions of {_name(source)}; left out: {len(rows) - len(complete)} "
        f"without question or answer, {len(complete) - len(questions)} with an answer that math-verify cannot read"
    )
    if not questions:
        raise DataError(
            f"{_name(source)}: no row has a {source.prompt!r} and an {source.answer!r} that can be compared"
        )
    return questions


def can_be_compared(answer: str) -> bool:
    """Whether answers can be compared with `answer` as the gold one."""
    try:
        same_answer(f"{answer} ?", answer)
    except InputError:
        return False
    return True


def read(source: Dataset) -> tuple[str, list[Row]]:
    """The commit of a data set (`local` of a folder or file) and its rows, the columns that `source` names.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    datasets.disable_progress_bars()
    path = Path(source.dataset)
    # Small, read once and recorded in a table: nothing that a later run should take from a cache.
    with TemporaryDirectory() as cache:
        options = {"split": source.split, "cache_dir": cache}
        try:
            version = "local"
            if path.is_dir():
                table = datasets.load_dataset(str(path), **options)
            elif path.is_file():
                table = _read_file(path, options)
            else:
                version = _commit(source)
                table = datasets.load_dataset(source.dataset, source.subset, revision=version, **options)
        except RamlError:
            raise
        except Exception as error:  # the Hub, its client, pyarrow and fsspec raise nearly anything
            raise DataError(f"{_name(source)} cannot be read ({_short(error)})") from None
        columns = [source.prompt, source.answer, *source.only]
        if missing := [column for column in columns if column not in table.column_names]:
            raise DataError(f"{_name(source)} has no column {missing[0]!r}; it has {', '.join(table.column_names)}")
        return version, table.select_columns(list(dict.fromkeys(columns))).to_list()


def asked(row: Mapping[str, Any]) -> str:
    """What two rows have in common that ask the same: blanks do not count."""
    return " ".join(row["prompt"].split())


def _read_file(path: Path, options: Mapping[str, Any]) -> datasets.Dataset:
    if path.suffix not in READERS:
        raise DataError(f"{path} is not a file of questions; allowed: {', '.join(READERS)}, or a folder of them")
    return datasets.load_dataset(READERS[path.suffix], data_files={options["split"]: str(path)}, **options)


def _commit(source: Dataset) -> str:
    """The commit that the revision stands for; asked first, since loading retries a dead connection for a minute."""
    try:
        return str(HfApi().dataset_info(source.dataset, revision=source.revision, timeout=HUB_TIMEOUT).sha)
    except Exception as error:
        raise DataError(
            f"{_name(source)}: there is no such folder or file, and the Hugging Face Hub does not give it "
            f"({_short(error)})"
        ) from None


def _is_wanted(row: Row, only: Mapping[str, str | int]) -> bool:
    return all(row[column] == value for column, value in only.items())


def _text(row: Row, column: str, source: Dataset) -> str:
    """A cell as text; empty if there is nothing in it."""
    value = row[column]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and not isinstance(value, str | int | float):
        raise DataError(f"{_name(source)}: column {column!r} holds a {type(value).__name__}, not text or a number")
    return "" if value is None else str(value).strip()


def _name(source: Dataset) -> str:
    return " ".join(part for part in (source.dataset, source.subset, source.split) if part)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


if __name__ == "__main__":
    run(main, Published, outputs=["train", "benchmarks"])
