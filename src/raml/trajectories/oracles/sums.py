"""Solutions of the English sums (`raml.questions.sums`), in sentences.

    short   3 * 5 = 15. 12 + 15 = 27. 27 - 7 = 20.              each step's result
    long    Take 12 + 3 * 5 - 7. 3 * 5 = 15. 12 + 15: 12 + 10 = 22, 22 + 5 = 28. Wait, 22 + 5 = 27. 12 + 15 = 27. 27 ...
                                                                what is to be done, with numbers of two digits taken
                                                                apart; a slip is noticed and mended at once
            Hold on, 20 + 7 = 27, ok.                           sometimes the last step is checked by its inverse
    wrong   a slip in one step of the long style is not noticed and carried on

Terms are added in any order that starts with a positive one: that order (and the step of the slip) is the solution's
signature.
"""

import random
from dataclasses import dataclass, field

from raml.config import Oracle
from raml.questions.sums import Term, parse
from raml.trajectories.oracles.solution import OracleStyle, Solution

Equation = tuple[int, str, int, int]  # a, operation, b, result


@dataclass
class Work:
    """A solution being written; `steps` counts the operations so far, of which number `slip` comes out wrong."""

    style: OracleStyle
    rng: random.Random
    slip_rate: float
    slip: int | None
    solution: Solution = field(default_factory=Solution)
    steps: int = 0

    def step(self, one: int, operation: str, other: int) -> int:
        """Write `one operation other` and return its result, a wrong one where the slip is."""
        result = _result(one, operation, other)
        if self.steps == self.slip:
            result += self.rng.choice([-2, -1, 1, 2])
        self.steps += 1
        parts = [] if self.style == "short" else _apart(one, operation, other)
        if parts:
            parts[-1] = (*parts[-1][:3], result)
            self.solution.write([f"{one} {operation} {other}:"])
            for part in parts[:-1]:
                self._write(part, ",")
            self._write(parts[-1], ".")
            self.solution.write([f"{one} {operation} {other} = {result}."])
        else:
            self._write((one, operation, other, result), ".")
        return result

    def _write(self, equation: Equation, end: str) -> None:
        one, operation, other, result = equation
        if self.rng.random() < self.slip_rate:
            near = result + self.rng.choice([-2, -1, 1, 2])
            self.solution.write([f"{one} {operation} {other} = {near}."], imitate=False)
            self.solution.write(["Wait,"])
        self.solution.write([f"{one} {operation} {other} = {result}{end}"])


def write(prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle) -> Solution:
    """A solution of `prompt` in `style`; a wrong one always has a wrong step."""
    order = _order(parse(prompt), rng)
    operations = sum(len(term.factors) - 1 for term in order) + len(order) - 1
    slip = rng.randrange(operations) if style == "wrong" else None
    work = Work(style, rng, settings.slip_rate if style == "long" else 0.0, slip)
    if style != "short":
        work.solution.write([f"Take {_expression(order)}."])
    total = 0
    last: tuple[int, str, int] | None = None
    for index, term in enumerate(order):
        if term.said is not None:
            work.solution.write([term.said])
        value = term.factors[0] if len(term.factors) == 1 else work.step(term.factors[0], "*", term.factors[1])
        if index == 0:
            total = value
        else:
            operation = "+" if term.sign > 0 else "-"
            last = (total, "-" if term.sign > 0 else "+", value)
            total = work.step(total, operation, value)
    if style == "long" and last is not None and rng.random() < settings.check_rate:
        work.solution.write([f"Hold on, {total} {last[1]} {last[2]} = {last[0]}, ok."])
    work.solution.answer = str(total)
    work.solution.signature = (tuple(order), slip)
    return work.solution


def _order(terms: list[Term], rng: random.Random) -> list[Term]:
    """The terms shuffled, a positive one first: every question has one."""
    order = rng.sample(terms, len(terms))
    first = next(index for index, term in enumerate(order) if term.sign > 0)
    return [order[first], *order[:first], *order[first + 1 :]]


def _expression(terms: list[Term]) -> str:
    signed = [f"{'+' if term.sign > 0 else '-'} {' * '.join(map(str, term.factors))}" for term in terms]
    return " ".join(signed).removeprefix("+ ")


def _result(one: int, operation: str, other: int) -> int:
    return {"+": one + other, "-": one - other, "*": one * other}[operation]


def _apart(one: int, operation: str, other: int) -> list[Equation]:
    """The steps to `one operation other` by tens and ones; none where there are no two digits to take apart."""
    if operation == "*":
        tens, ones = one // 10 * 10, one % 10
        if not tens or not ones:
            return []
        return [
            (tens, "*", other, tens * other),
            (ones, "*", other, ones * other),
            (tens * other, "+", ones * other, one * other),
        ]
    tens, ones = other // 10 * 10, other % 10
    if not tens or not ones:
        return []
    between = _result(one, operation, tens)
    return [(one, operation, tens, between), (between, operation, ones, _result(between, operation, ones))]
