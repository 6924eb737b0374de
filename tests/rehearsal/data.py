"""Data sets with the files and columns that those of `config/scales/paper.yaml` have on the Hub."""

import base64
import json
import pickle
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from raml.storage import atomic_path, write_text
from rehearsal.texts import ANSWER, CHINESE, EASY, ENGLISH, PROGRAMMING, SCIENCE

Row = dict[str, Any]


def write_data(folder: Path) -> None:
    """Write all data sets, each into the folder below `folder` that has the name of its repository on the Hub."""
    write_text(json.dumps(open_reasoner_zero()), folder / "orz_math_57k_collection.json")
    _table(math_500(), folder / "MATH-500" / "test.jsonl")
    _table(aime(), folder / "aime_2024" / "data" / "train-00000-of-00001.parquet")
    halves = {"v202412_hard_en": ENGLISH[5:7], "v202412_hard_cn": CHINESE}
    _configs({name: ("test", f"data/{name}.jsonl") for name in halves}, folder / "LiveMathBench")
    for name, asked in halves.items():
        rows = [{"question": text, "answer": ANSWER, "question_type": "Problem-Solving"} for text in asked]
        _table(rows, folder / "LiveMathBench" / "data" / f"{name}.jsonl")
    subsets = {name: ("train", f"{name}.csv") for name in ("gpqa_main", "gpqa_diamond")}
    _configs(subsets, folder / "gpqa")
    for _, file in subsets.values():
        _table(gpqa(), folder / "gpqa" / file)
    for name, numbers in {"test4": (0, 1), "test5": (2, 3)}.items():
        _table([live_code_bench(number) for number in numbers], folder / "code_generation_lite" / f"{name}.jsonl")


def open_reasoner_zero() -> list[list[Row]]:
    """Training questions: pairs of turns. Each filter of the cleaning finds one to drop, one question is asked
    twice and one by a benchmark too."""
    good = [(f"<p>{text}</p>", ANSWER) for text in EASY[:8]] + [(text, ANSWER) for text in EASY[8:]]
    bad = [
        ("What is", "1"),
        ("What is the sum of 2 and 3?", ""),
        ("In the figure, what is $x$?", "1"),
        ("Use Theorem 4 to find $x$ now.", "1"),
        ("What is the sum of 2 and 4?", "10 { 5"),
    ]
    repeated = [(EASY[0].replace(" ", "  "), ANSWER), (ENGLISH[0], ANSWER)]
    return [
        [{"from": "human", "value": question}, {"from": "assistant", "ground_truth": {"value": answer}}]
        for question, answer in [*good, *bad, *repeated]
    ]


def math_500() -> list[Row]:
    """Problems of several levels."""
    return [
        {
            "problem": text,
            "solution": f"It is $\\boxed{{{ANSWER}}}$.",
            "answer": ANSWER,
            "subject": "Algebra",
            "level": 5 if number < 3 else number,
            "unique_id": f"test/algebra/{number}.json",
        }
        for number, text in enumerate(ENGLISH[:5])
    ]


def aime() -> list[Row]:
    """Problems with whole numbers as answers."""
    return [
        {
            "id": 60 + number,
            "problem": text,
            "solution": f"It is {ANSWER}.",
            "answer": f"{int(ANSWER):03d}",
            "url": f"https://example.org/{number}",
            "year": "2024",
        }
        for number, text in enumerate(ENGLISH[7:])
    ]


def gpqa() -> list[Row]:
    """Multiple choice."""
    return [
        {
            "Question": text,
            "Correct Answer": f"{number} charges\n",
            **{f"Incorrect Answer {k}": f"{number + k} charges" for k in (1, 2, 3)},
            "Explanation": "By counting.",
            "Subdomain": "Physics (general)",
            "High-level domain": "Physics",
            "Record ID": f"rec{number}",
        }
        for number, text in enumerate(SCIENCE, 1)
    ]


def live_code_bench(number: int) -> Row:
    """A programming question; every second one asks for a method. Private tests are text in a pickle, packed."""
    function = "double" if number % 2 else None

    def tests(numbers: Sequence[int]) -> str:
        kind = "functional" if function else "stdin"
        return json.dumps([{"input": f"{n}", "output": f"{2 * n}", "testtype": kind} for n in numbers])

    return {
        "question_title": f"double {number}",
        "question_content": PROGRAMMING[number],
        "platform": "leetcode" if function else "atcoder",
        "question_id": f"{number}",
        "contest_id": "contest",
        "contest_date": "2024-09-01T00:00:00",
        "starter_code": f"class Solution:\n    def {function}(self, n: int) -> int:\n        " if function else "",
        "difficulty": "easy",
        "public_test_cases": tests([number, 3]),
        "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(tests([5, 7]), 2))).decode(),
        "metadata": json.dumps({"func_name": function} if function else {}),
    }


def _table(rows: Sequence[Row], path: Path) -> None:
    """Write rows as the kind of file that the name says."""
    table = pl.DataFrame(rows)
    write = {".jsonl": table.write_ndjson, ".parquet": table.write_parquet, ".csv": table.write_csv}[path.suffix]
    with atomic_path(path) as temporary:
        write(temporary)


def _configs(subsets: dict[str, tuple[str, str]], folder: Path) -> None:
    """The card by which `datasets` knows the subsets of a repository: each with a split and its file."""
    entries = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: {file}\n"
        for name, (split, file) in subsets.items()
    )
    write_text(f"---\nconfigs:\n{entries}---\n", folder / "README.md")
