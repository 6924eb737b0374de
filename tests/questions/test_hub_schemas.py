"""Data sets in the schemas in which the Hub has them: fixtures written by us, in files and on a hub of this machine."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from local_hub import COMMIT, error_line, run_step, serving
from raml.answers.code import read_tests
from raml.answers.format import INSTRUCTION
from raml.answers.sandbox import Cases
from raml.config import Dataset, Published, canonical_json, validate
from raml.errors import ConfigError, DataError
from raml.questions.program_tests import tests_of as stored_tests
from raml.questions.published import main, question_rows, shuffled_choices
from raml.questions.verify import verify
from raml.schemas import CleaningCount, Question
from raml.step import run
from raml.storage import read_table
from rehearsal.data import live_code_bench

OUTPUTS = {
    **{"train": "train.parquet", "benchmarks": "benchmarks.parquet", "tests": "tests.zip"},
    **{"cleaning": "cleaning.parquet", "cleaning_text": "cleaning.md"},
}
RAW = {"prompt": "0.value", "answer": "1.ground_truth.value", "domain": "mathematics", "revision": "main"}
GPQA = {
    **{"prompt": "Question", "answer": "Correct Answer", "answer_type": "choice", "domain": "science"},
    "incorrect": [f"Incorrect Answer {number}" for number in (1, 2, 3)],
    **{"template": "{question}\n\n{choices}\n\nWhich one?", "revision": "main"},
}
CODE = {
    **{"prompt": "question_content", "answer": "private_test_cases", "answer_type": "code", "domain": "programming"},
    **{"template": "{question}\n\nWrite a program.", "revision": "main"},
    "code": {
        **{"public": "public_test_cases", "starter": "starter_code", "function": "metadata.func_name"},
        "starter_template": "{question}\n\nComplete this:\n{starter}",
    },
}


def turns(question: str, answer: str) -> list[dict[str, Any]]:
    """A row of Open Reasoner Zero."""
    return [{"from": "human", "value": question}, {"from": "assistant", "ground_truth": {"value": answer}}]


def gpqa_row(number: int) -> dict[str, Any]:
    wrong = {f"Incorrect Answer {k}": f"{number + k} joules " for k in (1, 2, 3)}
    return {
        "Question": f"What energy has photon {number}, where \\frac{{1}}{{2}} and {{choices}} stay?",
        "Correct Answer": f"{number} joules",
        **wrong,
        "Subdomain": "Physics",
    }


def lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the working one, with data sets of all kinds."""
    monkeypatch.chdir(tmp_path)
    good = [turns(f"<p>What is ${n} + {n}$?</p>", str(2 * n)) for n in range(8)]
    bad = [
        *(turns("What is", "1"), turns("What is the sum of 2 and 3?", ""), turns("In the figure, what is $x$?", "1")),
        *(turns("Use Theorem 4 to find $x$ now.", "1"), turns("What is the sum of 2 and 4?", "10 { 5")),
    ]
    Path("raw.json").write_text(json.dumps([*good, *bad, turns("What is  $3 + 3$?", "6")]))
    pl.DataFrame([gpqa_row(number) for number in range(12)]).write_csv("gpqa.csv")
    lines(Path("code/test4.jsonl"), [live_code_bench(0), live_code_bench(1)])
    lines(Path("code/test5.jsonl"), [live_code_bench(2)])
    lines(Path("plus/test.jsonl"), [{"problem": "What is $4 + 4$?", "answer": 8}])
    return tmp_path


def section(**more: Any) -> dict[str, Any]:
    plus = {"prompt": "problem", "answer": "answer", "domain": "mathematics", "revision": "main"}
    return {
        "train": {"dataset": "raw.json", "split": "train", "cleaning": True, **RAW},
        "n": 7,
        "benchmarks": {
            "plus": {"dataset": "plus", "split": "test", "kind": "in_domain", "n": 1, **plus},
            "gpqa": {"dataset": "gpqa.csv", "split": "train", "kind": "other_domain", "n": 12, **GPQA},
            "code": {"dataset": "code", "files": ["test4.jsonl", "test5.jsonl"], "split": "test", "n": 3, **CODE}
            | {"kind": "other_domain"},
        },
        **more,
    }


def build(seed: int = 0, **more: Any) -> dict[str, pl.DataFrame]:
    config = Published.model_validate(section(**more))
    words = [word for name, file in OUTPUTS.items() for word in (f"--{name.replace('_', '-')}", file)]
    arguments = ["--scale", "tiny", "--config", canonical_json(config), "--seed", str(seed), *words]
    run(main, Published, outputs=list(OUTPUTS), arguments=arguments)
    schemas = {"train": Question, "benchmarks": Question, "cleaning": CleaningCount}
    return {name: read_table(Path(OUTPUTS[name]), schema) for name, schema in schemas.items()}


def test_open_reasoner_zero_is_cleaned(world: Path) -> None:
    tables = build()
    train = tables["train"]
    assert sorted(map(int, train["answer"])) == [0, 2, 4, 6, 10, 12, 14]  # 8 is asked by a benchmark, 6 twice
    assert set(train["prompt"]) == {f"What is ${n} + {n}$?\n\n{INSTRUCTION}" for n in (0, 1, 2, 3, 5, 6, 7)} or (
        "What is $3 + 3$?" in "".join(train["prompt"])
    )
    dropped = dict(tables["cleaning"].select("filter", "dropped").iter_rows())
    assert dropped == {
        **{"incomplete": 1, "no answer": 1, "needs a picture": 1, "needs outside information": 1, "not verifiable": 1}
    }
    assert tables["cleaning"]["left"].to_list()[-1] == 9
    example = tables["cleaning"].row(by_predicate=pl.col("filter") == "needs a picture", named=True)["examples"]
    assert example == [{"row": 10, "question": "In the figure, what is $x$?", "answer": "1"}]
    assert "`In the figure, what is $x$?`" in Path("cleaning.md").read_text()


def test_choices_are_shuffled_and_letters_compared(world: Path) -> None:
    rows = [row for row in build()["benchmarks"].to_dicts() if row["split"] == "gpqa"]
    assert {row["answer_type"] for row in rows} == {"choice"} and len({row["answer"] for row in rows}) > 2
    for number, row in enumerate(rows):
        assert row["prompt"].startswith(
            f"What energy has photon {number}, where \\frac{{1}}{{2}} and {{choices}} stay?"
        )
        assert row["prompt"].endswith("\n\nWhich one?")
        assert re.search(rf"^{row['answer']}\) {number} joules$", row["prompt"], re.MULTILINE)
        assert sorted(re.findall(r"^([A-D])\) \d+ joules$", row["prompt"], re.MULTILINE)) == list("ABCD")
        assert verify(row, f"({row['answer'].lower()})") and not verify(row, "E")
    other = [row["answer"] for row in build(seed=1)["benchmarks"].to_dicts() if row["split"] == "gpqa"]
    assert other != [row["answer"] for row in rows]


def test_every_place_of_the_right_choice_is_as_likely() -> None:
    letters = Counter(shuffled_choices("right", ["a", "b", "c"], seed)[1] for seed in range(4000))
    assert set(letters) == set("ABCD") and all(850 < count < 1150 for count in letters.values())


def test_programs_are_run_on_their_tests(world: Path) -> None:
    plain, method, _ = (row for row in build()["benchmarks"].to_dicts() if row["split"] == "code")
    assert plain["prompt"] == "Double the number, version 1.\n\nWrite a program."
    assert method["prompt"].startswith(
        "Double the number, version 2.\n\nComplete this:\nclass Solution:\n    def double(self, n"
    )
    assert read_tests(stored_tests(plain)) == Cases(None, ("0", "3", "5", "7"), ("0", "6", "10", "14"))
    assert verify(plain, "print(2 * int(input()))") and not verify(plain, "print(2)")
    solution = "class Solution:\n    def double(self, n: int) -> int:\n        return {} * n\n"
    assert verify(method, solution.format(2)) and not verify(method, solution.format(3))


def test_tests_that_are_gone_or_others_are_one_line(world: Path) -> None:
    row = next(row for row in build()["benchmarks"].to_dicts() if row["split"] == "code")
    with pytest.raises(DataError, match="holds other tests of code-00000"):
        stored_tests(row | {"answer": "sha256:0"})
    with pytest.raises(DataError, match=r"the tests of code-00000 are not in gone\.zip"):
        stored_tests(row | {"metadata": '{"tests": "gone.zip"}'})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "2.value"}, "raw.json train has no column '2'; it has 0, 1"),
        ({"answer": "0.from.text"}, "the way '0.from.text' leads nowhere, there is no 'text' in 'human'"),
        ({"answer": "1.ground_truth"}, "column '1.ground_truth' holds a dict, not text or a number"),
    ],
)
def test_renamed_columns_are_one_line(world: Path, changes: dict[str, Any], message: str) -> None:
    source = Dataset.model_validate({"dataset": "raw.json", "split": "train", **RAW, **changes})
    with pytest.raises(DataError, match=message):
        question_rows(source, split="train", kind="train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "Solve it."}, r"template.* it must hold \{question\}"),
        ({"incorrect": ["a"]}, "incorrect answers belong to answer_type: choice, not to 'math'"),
        ({"answer_type": "code"}, "answer_type: code and the columns of `code` go together"),
    ],
)
def test_configurations_that_contradict_themselves_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(Dataset, {"dataset": "a", "split": "train", **RAW, **changes}, "paper.yaml")


def test_the_hub_gives_files_by_name_and_says_what_is_gated(world: Path) -> None:
    (world / "gated").mkdir()
    (world / "gpqa.csv").rename(world / "gated" / "gpqa.csv")
    (world / "code" / "code_generation_lite.py").write_text("raise SystemExit('must not be run')\n")
    data = {"own/code": world / "code", "own/gated": world / "gated"}
    with serving(world / "home", data=data, gated=frozenset({"own/gated"})) as hub:

        def fetched(benchmark: dict[str, Any], **more: str) -> subprocess.CompletedProcess[str]:
            config = canonical_json(Published.model_validate(section(benchmarks={"one": benchmark})))
            files = [f"--{name.replace('_', '-')}={file}" for name, file in OUTPUTS.items()]
            return run_step(hub, "raml.questions.published", ["--scale", "tiny", "--config", config, *files], **more)

        code = section()["benchmarks"]["code"] | {"dataset": "own/code"}
        ran = fetched(code)
        assert ran.returncode == 0, ran.stderr
        benchmarks = read_table(Path("benchmarks.parquet"), Question)
        assert set(benchmarks["source"]) == {f"own/code@{COMMIT}"} and benchmarks.height == 3
        gone = fetched(code | {"files": ["test9.jsonl"]})
        gated = fetched(section()["benchmarks"]["gpqa"] | {"dataset": "own/gated"})
        unasked = fetched(code, HF_HUB_OFFLINE="1")
    for refused, message in (
        (gone, r"own/code test cannot be read \(.*test9\.jsonl"),
        (
            gated,
            r"own/gated train is gated: accept its conditions at https://huggingface\.co/datasets/own/gated and log in",
        ),
        (unasked, "own/code test: .* the Hugging Face Hub does not give it: HF_HUB_OFFLINE=1 forbids to ask; unset it"),
    ):
        assert re.search(message, error_line(refused))
