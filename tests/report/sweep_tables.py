"""Tables of sweeps with a known answer: evaluations whose skill follows the dose, and questions with few solutions."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl

from raml.report.exhibit import Cell, Table
from raml.runs import Series
from raml.schemas import Evaluation, Question, Trajectory, column_types
from raml.storage import write_table
from raml.trajectories.engine import PROGRAM
from report_results import provenance

KINDS = {"rows": "in_domain", "path": "in_domain", "rows_hard": "in_domain_hard", "sort": "within_domain"}
TRAINED_ON = ["in_domain", "in_domain_hard"]
DOSES = (1.0, 2.0, 4.0, 8.0)


def series(prefix: str, doses: Sequence[float] = DOSES, last: str = "") -> Series:
    """Models `<prefix>1`, `<prefix>2`, ..., the one of the largest dose named `last` if that is given."""
    names = [f"{prefix}{dose:g}" for dose in doses]
    return Series(doses=list(doses), models=[*names[:-1], last or names[-1]])


def rising(*sweeps: Series, start: float = 0.2, step: float = 0.1) -> dict[str, float]:
    """The chance of success of each model, `step` more with each doubling of the dose."""
    return {
        model: start + step * float(np.log2(dose))
        for one in sweeps
        for model, dose in zip(one.models, one.doses, strict=True)
    }


def write_evaluations(
    path: Path,
    skills: dict[str, float],
    *,
    questions: int = 6,
    seeds: int = 2,
    n: int = 4,
    kinds: dict[str, str] = KINDS,
    spread: float = 0.03,
) -> Path:
    """Each model's evaluations; seed s adds `s * spread` to its skill, hard questions take half of it away."""
    rng = np.random.default_rng(0)
    rows = []
    for model, skill in skills.items():
        for seed in range(seeds):
            for benchmark, kind in kinds.items():
                chance = (skill + seed * spread) * (0.5 if "hard" in kind else 1)
                for number in range(questions):
                    rows.append(
                        {
                            "model": model,
                            "seed": seed,
                            "benchmark": benchmark,
                            "kind": kind,
                            "question_id": f"{benchmark}-{number:03}",
                            "n": n,
                            "c": int(rng.binomial(n, min(max(chance + rng.normal(0, 0.1), 0), 1))),
                            "formatted": n,
                            "finished": n,
                            "tokens": 10 * n,
                        }
                    )
    table = Evaluation.cast(pl.DataFrame(rows, schema=column_types(Evaluation)))
    write_table(table, Evaluation, path, provenance())
    return path


def write_questions(path: Path, families: dict[str, str], questions: int, split: str = "train") -> Path:
    """`questions` of each of `families` (name of the id: family)."""
    rows = [
        {
            "id": f"{name}-{number:03}",
            "source": "raml",
            "family": family,
            "domain": "arithmetic",
            "split": split,
            "kind": "train" if split == "train" else KINDS[name],
            "prompt": f"{name} {number} {split} ?",
            "answer": "1",
            "answer_type": "integer",
            "difficulty": 1,
            "metadata": "{}",
        }
        for name, family in families.items()
        for number in range(questions)
    ]
    write_table(Question.cast(pl.DataFrame(rows, schema=column_types(Question))), Question, path, provenance())
    return path


def write_trajectories(path: Path, solutions: dict[str, int], writer: str) -> Path:
    """By question id the number of different correct trajectories; each is there twice, and a wrong one besides."""
    rows = []
    for question, count in solutions.items():
        contents = [[sample] for sample in range(count) for _ in range(2)] + [[99]]
        for sample, ids in enumerate(contents):
            rows.append(
                {
                    "question_id": question,
                    "writer": writer,
                    "sample": sample,
                    "seed": 0,
                    **PROGRAM.columns(),
                    "prompt_ids": [1],
                    "token_ids": ids,
                    "loss_mask": [True],
                    "text": "",
                    "thinking_start": 0,
                    "thinking_end": 1,
                    "answer_start": None,
                    "answer_end": None,
                    "finished": True,
                    "correct": ids != [99],
                    "formatted": True,
                    "reward": 1.0,
                    "n_tokens": 1,
                }
            )
    write_table(Trajectory.cast(pl.DataFrame(rows, schema=column_types(Trajectory))), Trajectory, path, provenance())
    return path


def parse(figure: Path) -> tuple[list[str], list[str]]:
    """Ids and texts of an SVG."""
    root = ElementTree.fromstring(figure.read_bytes())
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    return ids, [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def cells(table: Table) -> dict[tuple[str, str], list[Cell]]:
    """A table's cells by group and heading of their row."""
    return {(row.group, row.heading): row.cells for row in table.rows}
