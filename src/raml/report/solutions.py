"""How many different solutions the training questions have: what a dose of trajectories can consist of."""

from collections.abc import Mapping, Sequence

import polars as pl

from raml.config import SFT
from raml.report.exhibit import NONE, Cell, Column, Row, Table
from raml.report.numbers import number

Solutions = pl.DataFrame
"""A row a question: its `family` and how many `different` trajectories it has."""


def different_solutions(trajectories: pl.DataFrame, questions: pl.DataFrame, settings: SFT) -> Solutions:
    """How many different trajectories SFT can take of each question.

    Args:
        trajectories: rows of `schemas.Trajectory`.
        questions: rows of `schemas.Question`; a question that is not among them is of the family `unknown`.
        settings: with the longest prompt and completion.
    """
    families = questions.select("id", "family").unique("id")
    return (
        trajectories.filter(
            pl.col("correct"),
            pl.col("finished"),
            pl.col("prompt_ids").list.len() <= settings.max_prompt_tokens,
            pl.col("n_tokens") <= settings.max_tokens,
        )
        .group_by("question_id")
        .agg(pl.col("token_ids").n_unique().alias("different"))
        .sort("question_id")
        .join(families, left_on="question_id", right_on="id", how="left", maintain_order="left")
        .select("question_id", pl.col("family").fill_null("unknown"), "different")
    )


def seen(solutions: Solutions, dose: float) -> pl.Series:
    """How many different ones each question is trained on, of `dose` at most."""
    return solutions["different"].clip(upper_bound=int(dose))


def share_with(solutions: Solutions, dose: float) -> float:
    """Share of the questions that are trained on as many as `dose` different ones; 0 of none."""
    return float((seen(solutions, dose) >= dose).sum()) / max(solutions.height, 1)


def solutions_table(solutions: Mapping[str, Solutions], doses: Mapping[str, Sequence[float]]) -> Table:
    """By style and family, how many questions have as many different trajectories as each dose asks for.

    Args:
        solutions: by style.
        doses: by style.
    """
    columns = sorted({dose for style in doses.values() for dose in style})
    rows = []
    for style, of_style in solutions.items():
        for family in sorted(of_style["family"].unique()):
            found = of_style.filter(family=family)
            cells = [_cell(found, dose) if dose in doses[style] else NONE for dose in columns]
            rows.append(Row(heading=str(family), cells=cells, group=f"{style} trajectories"))
    return Table(
        caption="Training questions that have as many different correct trajectories, by family",
        corner="source, family",
        columns=[Column(heading=f"{dose:g}", group="different trajectories asked for") for dose in columns],
        rows=rows,
        note="In small print how many different ones a question is trained on, at the mean. Others are repeats.",
    )


def _cell(solutions: Solutions, dose: float) -> Cell:
    numbers = seen(solutions, dose).to_numpy()
    enough, mean = int((numbers >= dose).sum()), float(numbers.mean())
    return Cell(text=f"{enough:,} of {solutions.height:,}", small=f"{number(mean, 2)} seen")
