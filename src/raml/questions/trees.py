"""Path finding in a small tree: real search, with dead ends.

    D f F i D b B h F j ; path D h ?    ->  b h       (the nodes on the way from the root D to the leaf h)
    ... ; back D h ?                    ->  h b       (the same nodes, from the leaf up)

An edge is a parent in upper case and its child in lower case; edges stand in random order. The tree
can be searched depth first in many orders, each a different solution.
"""

import random
from collections.abc import Mapping
from typing import Any

from raml.questions.family import Draft, Family

NODES = "abcdefghijklmnop"

# level -> (nodes besides the root, depth of the goal, most children of a node)
SHAPES = {0: ((4, 2, 3), (7, 3, 3)), 1: ((11, 3, 3),), 2: ((13, 3, 3),), 3: ((15, 4, 3),)}

Tree = dict[str, list[str]]


def parse(prompt: str) -> tuple[Tree, str, str]:
    """Children of each inner node (in prompt order, lower case), the root and the goal."""
    edges, question = prompt.split(";")
    tokens = edges.split()
    tree: Tree = {}
    for parent, child in zip(tokens[::2], tokens[1::2], strict=True):
        tree.setdefault(parent.lower(), []).append(child)
    _, root, goal, _ = question.split()
    return tree, root.lower(), goal


def generate(task: str, level: int, rng: random.Random) -> Draft:
    """Grow random trees until one has a leaf at the level's depth."""
    count, depth, most = rng.choice(SHAPES[level])
    while True:
        nodes = rng.sample(NODES, count + 1)
        way: dict[str, list[str]] = {nodes[0]: []}
        children: Tree = {node: [] for node in nodes}
        for node in nodes[1:]:
            open_nodes = [known for known in way if len(children[known]) < most and len(way[known]) < depth]
            if not open_nodes:
                break
            parent = rng.choice(open_nodes)
            children[parent].append(node)
            way[node] = [*way[parent], node]
        goals = [node for node, path in way.items() if len(path) == depth and not children[node]]
        if len(way) == count + 1 and len(goals) > 1:
            break
    goal = rng.choice(goals)
    edges = [f"{parent.upper()} {child}" for parent, below in children.items() for child in below]
    rng.shuffle(edges)
    answer = way[goal] if task == "path" else way[goal][::-1]
    return Draft(f"{' '.join(edges)} ; {task} {nodes[0].upper()} {goal} ?", " ".join(answer))


def verify_path(question: Mapping[str, Any], answer: str) -> bool:
    """Each node a child of the one before, from the root to the goal."""
    return _leads_to_goal(question["prompt"], answer.split())


def verify_back(question: Mapping[str, Any], answer: str) -> bool:
    """Each node the parent of the one before, from the goal to a child of the root."""
    return _leads_to_goal(question["prompt"], answer.split()[::-1])


def asked(prompt: str) -> str:
    """The prompt with its edges sorted."""
    edges, question = prompt.split(";")
    tokens = edges.split()
    return ";".join([" ".join(sorted(map("".join, zip(tokens[::2], tokens[1::2], strict=True)))), question])


def _leads_to_goal(prompt: str, steps: list[str]) -> bool:
    tree, node, goal = parse(prompt)
    for step in steps:
        if step not in tree.get(node, []):
            return False
        node = step
    return node == goal


def _family(name: str, task: str, verify: Any) -> Family:
    return Family(
        name=name,
        domain="search",
        source="raml",
        answer_type="labels",
        levels=tuple(SHAPES),
        generate=lambda level, rng: generate(task, level, rng),
        verify=verify,
        asked=asked,
    )


PATH = _family("path", "path", verify_path)
PATH_BACK = _family("path_back", "back", verify_back)
