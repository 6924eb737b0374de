"""Solutions of `number_sorting`.

short   4 7 12                          the sorted list
long    4 : 12 7 ; 7 : 12 ; 12 : ;      selection: the next number, then what is left
wrong   the long style with two neighbours of the result exchanged
"""

import random

from raml.config import Oracle
from raml.trajectories.oracles.solution import OracleStyle, Solution


def write(prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle) -> Solution:
    """A solution of `prompt` in `style`."""
    direction, *numbers, _ = prompt.split()
    ordered = sorted(numbers, key=int, reverse=direction == "down")
    exchanged = rng.randrange(len(ordered) - 1) if style == "wrong" else None
    if exchanged is not None:
        ordered[exchanged : exchanged + 2] = reversed(ordered[exchanged : exchanged + 2])
    solution = Solution(answer=" ".join(ordered), signature=exchanged)
    if style == "short":
        solution.write(ordered)
        return solution
    left = list(numbers)
    for number in ordered:
        left.remove(number)
        solution.write([number, ":", *left, ";"])
    return solution
