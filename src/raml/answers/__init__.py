r"""From a completion to its reward: format check, extraction, comparison, Eq. 21.

    >>> from raml.answers import reward
    >>> reward("</think>\n\n**Final Answer**\n\\boxed{0.5}", gold=r"\frac{1}{2}")
    1.0

math-verify runs in a worker process; importing this package imports neither it nor sympy. No module
here may be called `reward`: `raml.answers.reward` is the function.
"""

from raml.answers.compare import same_answer
from raml.answers.extract import extract_answer, extract_loose
from raml.answers.format import MARKER, THINK_END, THINK_START, is_formatted
from raml.answers.scoring import Judgement, judge, reward

__all__ = [
    "MARKER",
    "THINK_END",
    "THINK_START",
    "Judgement",
    "extract_answer",
    "extract_loose",
    "is_formatted",
    "judge",
    "reward",
    "same_answer",
]
