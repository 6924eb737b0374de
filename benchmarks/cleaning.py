"""What cleaning as many questions as Open Reasoner Zero has takes.

The questions are made up, in the schema in which that data set is published. Half of the answers are plain numbers,
the others formulas of eleven kinds that hardly repeat, so that math-verify has to be asked of each.
"""

import json
import os
import random
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from raml.config import Published
from raml.questions.published import main
from raml.step import Step

SIZE = 57_000
OUTPUTS = {"train": "train.parquet", "benchmarks": "benchmarks.parquet", "tests": "tests.zip"}
TABLES = {"cleaning": "cleaning.parquet", "cleaning_text": "cleaning.md"}


def cleaning_benchmark(size: int = SIZE) -> dict[str, Any]:
    """Seconds by the clock and of CPU, worker processes included, from the published file to the written tables."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "raw.json", size)
        write_rows(folder / "held_out.json", 10, seed=1)
        columns = {"revision": "main", "prompt": "0.value", "answer": "1.ground_truth.value", "domain": "mathematics"}
        train = {"dataset": str(folder / "raw.json"), "split": "train", "cleaning": True, **columns}
        held_out = {"dataset": str(folder / "held_out.json"), "split": "test", "kind": "in_domain", "n": 10, **columns}
        config = Published.model_validate({"train": train, "n": size // 4, "benchmarks": {"held_out": held_out}})
        files = {option: folder / file for option, file in {**OUTPUTS, **TABLES}.items()}
        step = Step(module=main.__module__, scale="bench", config=config, seed=0, files=files, names={})
        began, used = time.perf_counter(), _cpu_seconds()
        main(step)
        wall, cpu = time.perf_counter() - began, _cpu_seconds() - used
    return {"questions": size, "seconds": wall, "cpu_seconds": cpu, "cores": len(os.sched_getaffinity(0))}


def write_rows(path: Path, size: int, seed: int = 0) -> None:
    """`size` different questions as the hub has them: pairs of turns, of which one in four is one to be dropped."""
    rng = random.Random(seed)
    rows = []
    for number in range(size):
        question, answer = _question(rng, seed, number)
        turns = [{"from": "human", "value": question}, {"from": "assistant", "ground_truth": {"value": answer}}]
        rows.append(turns)
    path.write_text(json.dumps(rows))


def _question(rng: random.Random, seed: int, number: int) -> tuple[str, str]:
    a, b, c = (rng.randint(2, 9999) for _ in range(3))
    text = rf"Problem {seed}-{number}. Let $x$ satisfy ${a}x^2 - {b}x = {c}$. Find the value of $\frac{{x}}{{{a}}}$."
    text += " Give all steps of your work and explain each of them." * rng.randint(0, 6)
    answer = str(a) if rng.random() < 0.5 else rng.choice(
        [
            rf"\frac{{{a}}}{{{b}}}", rf"{a}\sqrt{{{b}}}", f"({a}, {b})", f"x = {a}", rf"{a}\pi + {b}",
            rf"\left[{a}, {a + b}\right)", rf"\{{{a}, {b}, {c}\}}", f"{a}x^2 + {b}x - {c}", rf"{a}^{{\circ}}",
            rf"\log_{{{a}}} {b}", rf"{a / 8} \text{{ cm}}^2",
        ]
    )  # fmt: skip
    spoilt = [
        (text[: len(text) // 3] + " and", answer), (text, ""), (f"{text} See the figure below.", answer),
        (f"Use the result of Problem {a % 50} of the textbook. {text}", answer), (text, f"{a} {{ {b}"),
    ]  # fmt: skip
    if rng.random() < 0.25:
        return rng.choice(spoilt)
    if rng.random() < 0.1:
        return f'<p>{text} <a href="https://example.org/{number}">source</a></p>', answer
    return text, answer


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
