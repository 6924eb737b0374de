"""Solutions of the `rows` families.

    short   a 4 ; b 3 ;                                   row results alone
    long    B +4 -1 = 4 3 b 3 ; A +9 -2 -3 = 9 8 Wait 7 4 a 4 ;
                                                          the row, its partial sums, its result; a slip
                                                          is noticed and mended at once
            Hold on B +4 -1 = 4 3 b 3 ok                  sometimes a row is checked once more
    wrong   a slip in one row is not noticed and carried on

Rows are taken in any order: that order (and the row of the slip) is the solution's signature.
"""

import random
from itertools import accumulate

from raml.config import Oracle
from raml.questions.rows import MAX_SUM, Rows, parse
from raml.trajectories.oracles.solution import OracleStyle, Solution


def write(prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle) -> Solution:
    """A solution of `prompt` in `style`; a wrong one always has a wrong row sum."""
    rows = parse(prompt)
    order = rng.sample(range(len(rows)), len(rows))
    slip_row = rng.choice(order) if style == "wrong" else None
    slip_rate = settings.slip_rate if style == "long" else 0.0
    solution = Solution(signature=(tuple(order), slip_row))
    sums: dict[str, int] = {}
    for index in order:
        label, terms = rows[index]
        if style == "short":
            sums[label] = sum(terms)
            solution.write([label.lower(), str(sums[label])])
        else:
            sums[label] = _write_row(solution, label, terms, rng, slip_rate, slips=index == slip_row)
        solution.write([";"])
    if style == "long" and rng.random() < settings.check_rate:
        label, terms = rng.choice(rows)
        solution.write(["Hold on"])
        _write_row(solution, label, terms, rng, slip_rate=0.0, slips=False)
        solution.write(["ok"])
    solution.answer = _answer(prompt, rows, sums)
    return solution


def _write_row(
    solution: Solution, label: str, terms: list[int], rng: random.Random, slip_rate: float, *, slips: bool
) -> int:
    """Write a row's steps and return its (with `slips`: wrong) sum."""
    solution.write([label, *(f"{term:+d}" for term in terms), "=", str(terms[0])])
    total = terms[0]
    unnoticed = rng.randrange(1, len(terms)) if slips else None
    for position, term in enumerate(terms[1:], start=1):
        total += term
        if position == unnoticed:
            total = _near(total, rng, terms[position + 1 :])
        elif rng.random() < slip_rate:
            solution.write([str(_near(total, rng, []))], imitate=False)
            solution.write(["Wait"])
        solution.write([str(total)])
    solution.write([label.lower(), str(total)])
    return total


def _near(total: int, rng: random.Random, rest: list[int]) -> int:
    """A number near `total`, as a slip gives, from which adding `rest` stays in the range of one token."""
    partial = [0, *accumulate(rest)]
    nearby = [total + off for off in (-3, -2, -1, 1, 2, 3)]
    return rng.choice([near for near in nearby if near + min(partial) >= 0 and near + max(partial) <= MAX_SUM])


def _answer(prompt: str, rows: Rows, sums: dict[str, int]) -> str:
    task = prompt.split()[-2]
    if task == "rows":
        return " ".join(str(sums[label]) for label, _ in rows)
    by_sum = sorted(sums, key=lambda label: (sums[label], label))
    return " ".join(by_sum) if task == "sort" else f"{by_sum[-1]} {sums[by_sum[-1]]}"
