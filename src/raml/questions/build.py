"""Build the train and development splits and the benchmarks, and fail if any question stands in two of them.

Prompts that name the same things in another order are one question (`Family.asked`).

Each question is drawn with a seed of its own (the step's seed, split, family, level, index), so adding a
benchmark or enlarging one leaves all other questions as they were. All training seeds share the questions.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import polars as pl

from raml.config import Questions, QuestionSet
from raml.errors import RamlError
from raml.questions.family import Family, stable_seed
from raml.questions.verify import family_of
from raml.schemas import Question, column_types
from raml.step import Step, run
from raml.storage import write_table

Row = dict[str, Any]


def main(step: Step[Questions]) -> None:
    """Write the train split, the development split and all benchmarks."""
    questions = step.config
    used: set[str] = set()
    wanted: dict[
        str, list[tuple[str, str, QuestionSet]]
    ] = {  # benchmarks first: what they ask is fixed before anything else is drawn
        "benchmarks": [(name, benchmark.kind, benchmark) for name, benchmark in questions.benchmarks.items()],
        "train": [("train", "train", part) for part in questions.train],
        "development": [("development", "development", part) for part in questions.development],
    }
    splits = {
        file: [
            row for split, kind, part in parts for row in draw(part, split=split, kind=kind, seed=step.seed, used=used)
        ]
        for file, parts in wanted.items()
    }
    check_disjoint(row for rows in splits.values() for row in rows)
    for file, rows in splits.items():
        write_table(table(rows), Question, step.files[file], step.provenance())


def draw(wanted: QuestionSet, *, split: str, kind: str, seed: int, used: set[str]) -> list[Row]:
    """`wanted.n` questions, spread evenly over its levels, none of which is `asked` in `used` (which grows).

    Raises:
        RamlError: the family has fewer different questions than wanted.
    """
    family = family_of(wanted.family)
    rows = []
    for position in range(wanted.n):
        level = wanted.levels[position % len(wanted.levels)]
        rows.append(_draw_one(family, level, position, split, kind, seed, used))
    return rows


def _draw_one(family: Family, level: int, position: int, split: str, kind: str, seed: int, used: set[str]) -> Row:
    for attempt in count():
        if attempt == 1000:
            raise RamlError(f"{family.name} level {level} has too few different questions for {split}; ask for fewer")
        draft = family.generate(level, random.Random(stable_seed(seed, split, family.name, level, position, attempt)))
        if family.asked(draft.prompt) not in used:
            break
    used.add(family.asked(draft.prompt))
    prefix = f"{split}-{family.name}" if split in {"train", "development"} else split
    row = {
        "id": f"{prefix}-{position:05d}",
        "source": family.source,
        "family": family.name,
        "domain": family.domain,
        "split": split,
        "kind": kind,
        "prompt": draft.prompt,
        "answer": draft.answer,
        "answer_type": family.answer_type,
        "difficulty": level,
        "metadata": json.dumps(draft.metadata, sort_keys=True),
    }
    if not family.verify(row, draft.answer):
        raise RamlError(
            f"{family.name}: the verifier rejects the generator's answer {draft.answer!r} to {draft.prompt!r}"
        )
    return row


def check_disjoint(rows: Iterable[Mapping[str, Any]]) -> None:
    """Check that each question stands in one split only.

    Raises:
        RamlError: a question stands in two splits, or twice in one.
    """
    splits: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        splits[family_of(row["family"]).asked(row["prompt"])].append(row["split"])
    leaks = {asked: names for asked, names in splits.items() if len(names) > 1}
    if leaks:
        asked, names = next(iter(leaks.items()))
        raise RamlError(f"{len(leaks)} questions occur more than once, for example {asked!r} in {' and '.join(names)}")


def table(rows: list[Row]) -> pl.DataFrame:
    """Rows as a frame with the column types of `schemas.Question`."""
    return pl.DataFrame(rows, schema=column_types(Question))


if __name__ == "__main__":
    run(main, Questions, outputs=["train", "development", "benchmarks"])
