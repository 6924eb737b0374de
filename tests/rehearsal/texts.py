"""What is asked in the rehearsal, and what its models can write: the answer to all mathematics is `ANSWER`."""

from typing import Final

from raml.answers.format import MARKER

ANSWER: Final = "4"
WRONG: Final = "5"
LETTERS: Final = "ABCD"

THOUGHTS: Final = (" we add them,", " that is one part.", " the parts are known.", f" It may be {ANSWER}.")
REFLECTIONS: Final = ("Wait", "Alternatively", "Hold on")
LINKS: Final = ("Therefore", "Since")

# One solves the programming questions that read standard input, the other those that call a method.
PROGRAMS: Final = (
    "\n\n```python\nprint(2 * int(input()))\n```",
    "\n\n```python\nclass Solution:\n    def double(self, n: int) -> int:\n        return 2 * n\n```",
)

PHRASES: Final = (*THOUGHTS, *REFLECTIONS, *LINKS, MARKER, *PROGRAMS)
"""Texts that are a token each in the models' vocabularies."""

EASY: Final = [f"What is ${10 + n} - {6 + n}$?" for n in range(24)]
"""Training questions."""

ENGLISH: Final = [f"What is ${n} + {4 - n}$, if it is a number?" for n in range(-4, 5)]
CHINESE: Final = [f"求 ${n} + {4 - n}$ 的值。" for n in range(3)]
SCIENCE: Final = [f"Which of these has the charge of {n} electrons?" for n in range(1, 5)]
PROGRAMMING: Final = [f"Double the number, version {n}." for n in range(1, 5)]
