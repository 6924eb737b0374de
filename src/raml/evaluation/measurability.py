"""How measurable the families are: each model's accuracy on the development questions, level by level.

Families and sizes are chosen by this table (docs/decisions.md), never by a claim's outcome. The last rows
are of models whose thinking was left empty.
"""

import polars as pl

from raml.config import Section
from raml.schemas import Question, Trajectory
from raml.step import Step, run
from raml.storage import read_table, write_text


class Job(Section):
    """Counting needs no settings."""


def main(step: Step[Job]) -> None:
    """Write the table as Markdown."""
    questions = read_table(step.files["questions"], Question)
    tables = [read_table(path, Trajectory) for path in step.lists["samples"]]
    names = [table["writer"][0] for table in tables]
    accuracy = pl.concat(level_accuracy(table, questions, name) for name, table in zip(names, tables, strict=True))
    write_text(markdown(accuracy, names), step.files["out"])


def level_accuracy(samples: pl.DataFrame, questions: pl.DataFrame, name: str) -> pl.DataFrame:
    """Share of correct samples: columns `name`, `family`, `difficulty`, `accuracy`, `questions`."""
    judged = samples.join(questions, left_on="question_id", right_on="id")
    return (
        judged.group_by("family", "difficulty")
        .agg(pl.col("correct").mean().alias("accuracy"), pl.col("question_id").n_unique().alias("questions"))
        .with_columns(pl.lit(name).alias("name"))
        .sort("family", "difficulty")
    )


def markdown(accuracy: pl.DataFrame, names: list[str]) -> str:
    """One line a family and level, one column a table of samples; accuracy as a share of 1."""
    cells = {(row["family"], row["difficulty"], row["name"]): row for row in accuracy.iter_rows(named=True)}
    lines = [["family", "level", "questions", *names], ["---", *["---:"] * (2 + len(names))]]
    for family, level in sorted({key[:2] for key in cells}):
        row = [cells[family, level, name] for name in names]
        lines.append([family, str(level), str(row[0]["questions"]), *(f"{cell['accuracy']:.2f}" for cell in row)])
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"# Accuracy on the development questions\n\n{body}\n"


if __name__ == "__main__":
    run(main, Job, inputs=["questions"], many=["samples"], outputs=["out"])
