"""Solutions of `spell_backward`.

short   n i a r t                                          the letters from the end
long    t r a i n. From the end: n, ni, nia, niar, niart.  the letters in order, then the answer as it grows
wrong   the long style with two neighbouring letters of the result exchanged
"""

import random

from raml.config import Oracle
from raml.questions.spelling import word_of
from raml.trajectories.oracles.solution import OracleStyle, Solution


def write(prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle) -> Solution:
    """A solution of `prompt` in `style`; a wrong one may be right, where the exchanged letters are the same."""
    word = word_of(prompt)
    backward = list(word[::-1])
    exchanged = rng.randrange(len(word) - 1) if style == "wrong" else None
    if exchanged is not None:
        backward[exchanged : exchanged + 2] = reversed(backward[exchanged : exchanged + 2])
    solution = Solution(answer="".join(backward), signature=exchanged)
    if style == "short":
        solution.write([" ".join(backward)])
        return solution
    grown = ", ".join("".join(backward[:length]) for length in range(1, len(word) + 1))
    solution.write([f"{' '.join(word)}.", f"From the end: {grown}."])
    return solution
