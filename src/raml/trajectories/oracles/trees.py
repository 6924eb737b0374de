"""Solutions of the `path` families.

    short   D b B h ok                                  the way alone
    long    D f F i Wait D b B h ok                     depth-first search, from the root again after each dead end
            Hold on D b B h ok                          sometimes the way is checked once more
    wrong   D f F i Wait D f F j ok                     a dead end is taken for the goal

Branches are tried in any order: the leaves visited, in order, are the solution's signature. Dead ends
are search, not slips, so nothing is masked.
"""

import random

from raml.config import Oracle
from raml.questions.trees import Tree, parse
from raml.trajectories.oracles.solution import OracleStyle, Solution


def write(prompt: str, style: OracleStyle, rng: random.Random, settings: Oracle) -> Solution:
    """A solution of `prompt` in `style`."""
    tree, root, goal = parse(prompt)
    ways = _ways(tree, root, rng)
    reached = next(index for index, way in enumerate(ways) if way[-1] == goal)
    if style == "wrong":
        tried = ways[: rng.randint(1, reached)] if reached else [rng.choice(ways[1:])]
    else:
        tried = ways[: reached + 1] if style == "long" else [ways[reached]]
    solution = Solution(signature=tuple(way[-1] for way in tried))
    for way in tried:
        if solution.thinking:
            solution.write(["Wait"])
        solution.write(_steps(root, way))
    solution.write(["ok"])
    if style == "long" and rng.random() < settings.check_rate:
        solution.write(["Hold on", *_steps(root, tried[-1]), "ok"])
    answer = tried[-1] if prompt.split()[-4] == "path" else tried[-1][::-1]
    solution.answer = " ".join(answer)
    return solution


def _ways(tree: Tree, node: str, rng: random.Random) -> list[list[str]]:
    """Ways from `node` down to each leaf, in the order of a depth-first search with shuffled branches."""
    ways = []
    for child in rng.sample(tree[node], len(tree[node])):
        below = _ways(tree, child, rng) if child in tree else [[]]
        ways += [[child, *way] for way in below]
    return ways


def _steps(root: str, way: list[str]) -> list[str]:
    """The way as edges: each parent in upper case, then its child."""
    return [token for parent, child in zip([root, *way], way, strict=False) for token in (parent.upper(), child)]
