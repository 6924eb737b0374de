"""Rows of signed one-digit terms: an answer of several parts, found one after another.

    A +9 -2 -3 ; B +4 -1 ; C +7 +8 ; rows ?     ->  4 3 15        (every row's sum, in label order)
    ... ; top ?                                 ->  C 15          (the largest row and its sum)
    ... ; sort ?                                ->  B A C         (labels by rising sum)

Rows can be computed in any order, so a question of r rows has r! different solutions. Terms do not
repeat within a question and partial sums stay in 0..MAX_SUM, so that every number is one token.
"""

import random
import re
from collections.abc import Mapping
from typing import Any

from raml.questions.family import Draft, Family

LABELS = "ABCDE"
MAX_SUM = 30
TERMS = [*range(1, 10), *range(-9, 0)]

# level -> (rows, terms a row)
SHAPES = {0: ((1, 2), (1, 3), (2, 3)), 1: ((3, 3),), 2: ((4, 3),), 3: ((5, 3),)}

Rows = list[tuple[str, list[int]]]


def parse(prompt: str) -> Rows:
    """The labelled rows of a prompt."""
    cells = [cell.split() for cell in prompt.split(";")[:-1]]
    return [(cell[0], [int(term) for term in cell[1:]]) for cell in cells]


def generate(task: str, level: int, rng: random.Random) -> Draft:
    """Draw rows until the task's answer is unique (no ties for `top` and `sort`)."""
    count, length = rng.choice(SHAPES[level])
    while True:
        rows = _draw_rows(count, length, rng)
        sums = [sum(terms) for _, terms in rows]
        if task == "rows" or len(set(sums)) == count:
            break
    order = sorted(range(count), key=lambda row: sums[row])
    answers = {
        "rows": " ".join(str(value) for value in sums),
        "top": f"{LABELS[order[-1]]} {sums[order[-1]]}",
        "sort": " ".join(LABELS[row] for row in order),
    }
    cells = [f"{label} {' '.join(f'{term:+d}' for term in terms)}" for label, terms in rows]
    return Draft(f"{' ; '.join(cells)} ; {task} ?", answers[task])


def _draw_rows(count: int, length: int, rng: random.Random) -> Rows:
    """Rows from a shrinking pool of terms; starts again when what is left cannot make a row."""
    while True:
        pool, rows = list(TERMS), []
        for label in LABELS[:count]:
            terms = next((drawn for _ in range(20) if (drawn := _draw_terms(pool, length, rng))), None)
            if terms is None:
                break
            rows.append((label, terms))
            pool = [term for term in pool if term not in terms]
        if len(rows) == count:
            return rows


def _draw_terms(pool: list[int], length: int, rng: random.Random) -> list[int] | None:
    """Different terms of `pool`, or None as soon as a partial sum is out of range; most of pretraining's draws."""
    left, total, terms = pool.copy(), 0, []
    for _ in range(length):
        terms.append(left.pop(int(rng.random() * len(left))))
        total += terms[-1]
        if not 0 <= total <= MAX_SUM:
            return None
    return terms


def verify_rows(question: Mapping[str, Any], answer: str) -> bool:
    """Every sum, in label order."""
    return _integers(answer) == [sum(terms) for _, terms in parse(question["prompt"])]


def verify_top(question: Mapping[str, Any], answer: str) -> bool:
    """A label and a sum that no row exceeds."""
    match = re.fullmatch(r"([A-E])\s+(\d{1,3})", answer.strip())
    sums = {label: sum(terms) for label, terms in parse(question["prompt"])}
    return bool(match) and sums.get(match[1]) == int(match[2]) == max(sums.values())  # type: ignore[index]


def verify_sort(question: Mapping[str, Any], answer: str) -> bool:
    """Each label once, sums rising."""
    sums = {label: sum(terms) for label, terms in parse(question["prompt"])}
    labels = answer.split()
    if sorted(labels) != sorted(sums):
        return False
    values = [sums[label] for label in labels]
    return values == sorted(values)


def asked(prompt: str) -> str:
    """The prompt with the terms of each row sorted; the rows' own order is part of the question."""
    *cells, question = prompt.split(";")
    rows = [" ".join([label, *sorted(terms)]) for label, *terms in map(str.split, cells)]
    return ";".join([*rows, question])


def _integers(text: str) -> list[int] | None:
    return [int(part) for part in text.split()] if re.fullmatch(r"\s*\d{1,3}(\s+\d{1,3})*\s*", text) else None


def _family(name: str, task: str, answer_type: str, verify: Any) -> Family:
    return Family(
        name=name,
        domain="arithmetic",
        source="raml",
        answer_type=answer_type,
        levels=tuple(SHAPES),
        generate=lambda level, rng: generate(task, level, rng),
        verify=verify,
        asked=asked,
    )


ROWS = _family("rows", "rows", "integers", verify_rows)
ROWS_TOP = _family("rows_top", "top", "labels", verify_top)
ROWS_SORT = _family("rows_sort", "sort", "labels", verify_sort)
