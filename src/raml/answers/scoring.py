"""The reward of a completion (Eq. 21) and the judgement that it rests on."""

from collections.abc import Callable
from dataclasses import dataclass

from raml.answers.code import extract_code, is_formatted_code
from raml.answers.compare import same_answer
from raml.answers.extract import extract_answer, extract_loose
from raml.answers.format import is_formatted

CORRECT_FORMATTED = 1.0
WRONG_FORMATTED = 0.0
CORRECT_UNFORMATTED = -0.5
WRONG_UNFORMATTED = -1.0


@dataclass(frozen=True)
class Judgement:
    """What there is to say of one completion; `answer` is None where none was found."""

    answer: str | None
    correct: bool
    formatted: bool
    reward: float


def judge(
    completion: str, gold: str, *, answer_type: str = "math", verify: Callable[[str], bool] | None = None
) -> Judgement:
    """Extract the answer of `completion`, compare it with `gold` and reward it (Eq. 21).

    A formatted completion answers in its box; from an unformatted one `extract_loose` takes the best
    guess. A program (`code`) is the last fenced block, and formatted if nothing follows it. A completion
    without an answer is wrong. No text of a completion raises.

    Args:
        completion: decoded text, with or without think tags and end-of-text tokens.
        gold: the right answer; unused when `verify` is given.
        answer_type: `integer`, `integers`, `labels`, `choice`, `code` or `math` (see `same_answer`).
        verify: a question family's own verifier of an extracted answer, in place of `same_answer`;
            what it raises passes through.

    Raises:
        InputError: unknown `answer_type`, or `gold` is not of it.
    """
    if answer_type == "code":
        formatted, answer = is_formatted_code(completion), extract_code(completion)
    else:
        formatted = is_formatted(completion)
        answer = extract_answer(completion) if formatted else extract_loose(completion)
    if answer is None:
        correct = False
    elif verify is not None:
        correct = verify(answer)
    else:
        correct = same_answer(answer, gold, answer_type)
    return Judgement(answer, correct, formatted, _value(correct, formatted))


def reward(
    completion: str, gold: str, *, answer_type: str = "math", verify: Callable[[str], bool] | None = None
) -> float:
    """Eq. 21: 1 correct and formatted, 0 wrong but formatted, -0.5 correct but unformatted, -1 neither.

    Arguments and errors are those of `judge`.
    """
    return judge(completion, gold, answer_type=answer_type, verify=verify).reward


def _value(correct: bool, formatted: bool) -> float:
    if formatted:
        return CORRECT_FORMATTED if correct else WRONG_FORMATTED
    return CORRECT_UNFORMATTED if correct else WRONG_UNFORMATTED
