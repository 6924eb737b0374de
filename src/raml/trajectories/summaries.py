"""Summaries of sampled trajectories: a program's, for generated questions, or a model's.

Both read the thinking without the parts in which the gold answer stands, and what they write is checked for it once
more: a summary in which the answer occurs is counted, but not answered after. The check compares words and numbers,
not values: `1/2` in a summary is no occurrence of `\\frac{1}{2}`.

The program reads what a model wrote, right or wrong, and knows no answer. It drops the search (re-checks, wrong
attempts, dead ends) and keeps what came out of it:

    rows       B +4 -1 = 4 5 Wait 3 b 3 ; A +9 -2 = 9 7 a 7 ; Hold on B .. ok    ->  b 3 ; a 7 ;
    path       D f F i Wait D b B h ok                                           ->  D b B h ok
    sorting    4 : 12 7 ; 7 : 12 ; 12 : ;                                        ->  4 7 12
               the numbers picked, which are the answer, so that all right ones leak
    sums       12 + 15: 12 + 10 = 22, 22 + 5 = 28. Wait, 22 + 5 = 27. 12 + 15 = 27. Hold on, 27 - 15 = 12, ok.
                                                                                 ->  12 + 15 = 27.

Results of rows and sums can stand in any order, and each further summary of a trajectory draws another one; a path has
one order only, so that its further summaries are the same.
"""

import random
import re
from collections.abc import Callable, Mapping
from typing import Final

from raml.errors import InputError

Parts = list[str]

_RECHECK = re.compile(r"(?<!\S)Hold on\b.*?(?:(?<!\S)ok\b|$)", re.DOTALL)
_RESULT = re.compile(r"(?<!\S)([a-z]) (\d+)(?!\S)")
_WAIT = re.compile(r"(?<!\S)Wait(?!\S)")
_NUMBER = r"(?:-|(?<!\d))\d+"  # not from amid its digits, of which a model may write thousands
_TAKEN_APART = re.compile(rf"{_NUMBER} [-+*] -?\d+:[^.]*\.(?: Wait,[^.]*\.)*")
_EQUATION = re.compile(rf"{_NUMBER} [-+*] -?\d+ = -?\d+\.(?! Wait)")
_BOUNDARY = re.compile(r"(?<=[.!?;])(?=\s)|(?<=\n)")


def occurs(answer: str, text: str) -> bool:
    """Whether `answer` stands in `text` as words of its own, whatever blanks are between them; case matters."""
    words = answer.split()
    if not words:
        return False
    pattern = r"\s+".join(map(re.escape, words))
    return re.search(rf"(?<![\w.]){pattern}(?!\w|\.\d)", text) is not None


def without_answer(thinking: str, answer: str) -> str:
    """`thinking` without the sentences, steps (up to `;`) and lines in which `answer` occurs."""
    if not occurs(answer, thinking):
        return thinking
    return "".join(part for part in _BOUNDARY.split(thinking) if not occurs(answer, part))


def program_summaries(family: str, thinking: str, n: int, rng: random.Random) -> list[str]:
    """`n` summaries of `thinking` by the program; the first keeps the trajectory's own order.

    Args:
        family: of the question.
        thinking: as the model wrote it, tokens separated by blanks.
        n: how many.
        rng: draws the orders of further ones.

    Raises:
        InputError: the program does not know the family.
    """
    if family not in _PROGRAMS:
        raise InputError(
            f"the program summarises {', '.join(_PROGRAMS)}, but not {family!r}; name a model as efficiency.summariser"
        )
    parts = _PROGRAMS[family](_RECHECK.sub(" ", thinking))
    return [" ".join(parts), *(" ".join(rng.sample(parts, len(parts))) for _ in range(n - 1))]


def asked_to_summarise(prompt: str, question: str, thinking: str) -> str:
    """The message to a summarising model: `prompt` with its placeholders filled."""
    before, after = prompt.split("{thinking}", 1)
    return before.replace("{question}", question) + thinking + after.replace("{question}", question)


def _rows(text: str) -> Parts:
    """The result of each row that has one; of a row that was worked out twice the later."""
    results: dict[str, str] = {}
    for part in text.split(";"):
        if found := _RESULT.findall(part):
            label, value = found[-1]
            results.pop(label, None)
            results[label] = value
    return [f"{label} {value} ;" for label, value in results.items()]


def _path(text: str) -> Parts:
    """The last attempt, as one part."""
    attempts = [" ".join(attempt.split()) for attempt in _WAIT.split(text)]
    return [attempt for attempt in attempts if attempt][-1:]


def _sorting(text: str) -> Parts:
    """The numbers picked, as one part."""
    picked = [number for part in text.split(";") for number in part.partition(":")[0].split()]
    return [" ".join(picked)] if picked else []


def _sums(text: str) -> Parts:
    """Each step with its result, without the smaller steps that it was taken apart into."""
    return [str(equation) for equation in _EQUATION.findall(_TAKEN_APART.sub("", text))]


_PROGRAMS: Final[Mapping[str, Callable[[str], Parts]]] = {
    "rows": _rows,
    "rows_top": _rows,
    "rows_sort": _rows,
    "path": _path,
    "path_back": _path,
    "number_sorting": _sorting,
    "chain_sum": _sums,
    "leg_counting": _sums,
    "word_problem": _sums,
}
