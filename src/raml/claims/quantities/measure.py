"""All quantities of a scale, from its measurement tables.

    python -m raml.claims.quantities.measure --scale S --config '<evaluation, series, answers, sft>' --questions Q \
        --evaluations E --curves C .. --roles R .. --landscape L .. --updates U .. --blocks B .. --outer O .. \
        --answers A .. --train results/S/questions/train.parquet --styles short long --trajectories T .. \
        [--community C] --out results/S/tables/quantities.parquet
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import dataframely as dy
import polars as pl
from pydantic import Field

from raml.claims.quantities.curves import curve_quantities
from raml.claims.quantities.landscape import landscape_quantities
from raml.claims.quantities.outer import outer_quantities
from raml.claims.quantities.roles import role_quantities
from raml.claims.quantities.scores import answer_quantities, score_quantities, trend_quantities
from raml.claims.quantities.solutions import solution_quantities
from raml.claims.quantities.table import QuantityTable, complete, empty
from raml.claims.quantities.updates import block_quantities, update_quantities
from raml.config import SFT, Section
from raml.config import Evaluation as Settings
from raml.errors import ConfigError, DataError
from raml.runs import Series
from raml.schemas import (
    BlockResidual,
    Evaluation,
    ForcedAnswer,
    LandscapePoint,
    OuterLoss,
    ProbeCurve,
    Question,
    TokenChange,
    Trajectory,
    WeightUpdate,
    column_types,
)
from raml.step import Step, check_lengths, run
from raml.storage import read_provenance, read_table, write_table

TABLES: Final[dict[str, type[dy.Schema]]] = {
    "evaluations": Evaluation,
    "curves": ProbeCurve,
    "roles": TokenChange,
    "landscape": LandscapePoint,
    "updates": WeightUpdate,
    "blocks": BlockResidual,
    "outer": OuterLoss,
    "answers": ForcedAnswer,
    "community": Evaluation,
}
MAY_LACK: Final = ["community"]


class Job(Section):
    """What quantities depend on."""

    evaluation: Settings
    series: dict[str, Series] = Field(description="models of the sweeps by the value that they vary")
    sft: dict[str, SFT] = Field(description="by style of the trajectories")
    answers: int = Field(gt=0, description="answers to a question in fig11: the k of its Avg@k and Pass@k")


def main(step: Step[Job]) -> None:
    """Write the table of all quantities.

    Raises:
        ConfigError: there are not as many styles as tables of trajectories, or one is unknown.
        DataError: an input cannot be read, or is of another scale.
    """
    styles, paths = step.name_lists["styles"], step.lists["trajectories"]
    check_lengths({"styles": styles, "trajectories": paths})
    if unknown := sorted(set(styles) - set(step.config.sft)):
        raise ConfigError(f"--styles has {unknown[0]!r}; allowed are the styles of sft: {', '.join(step.config.sft)}")
    check_scales([*(path for name in TABLES for path in step.lists[name]), *paths], step.scale)
    tables = {name: _read(step.lists[name], schema) for name, schema in TABLES.items()}
    written = {style: read_table(path, Trajectory) for style, path in zip(styles, paths, strict=True)}
    train = read_table(step.files["train"], Question)
    quantities = measure(tables, read_table(step.files["questions"], Question), step.config, written, train)
    write_table(quantities, QuantityTable, step.files["out"], step.provenance())


def measure(
    tables: dict[str, pl.DataFrame],
    questions: pl.DataFrame,
    job: Job,
    written: Mapping[str, pl.DataFrame],
    train: pl.DataFrame,
) -> pl.DataFrame:
    """Rows of `QuantityTable`.

    Args:
        tables: rows of each of `TABLES`.
        questions: rows of `schemas.Question` of the benchmarks.
        job: the configuration.
        written: rows of `schemas.Trajectory` of the training questions by style.
        train: rows of `schemas.Question` of the training questions.
    """
    benchmarks = questions.select(question_id="id", benchmark="split")
    evaluations, settings = tables["evaluations"], job.evaluation
    rows = [
        score_quantities(evaluations, settings.k, settings.n),
        score_quantities(tables["community"], settings.n, settings.n),
        trend_quantities(evaluations, job.series, settings.k),
        answer_quantities(tables["answers"], job.answers),
        curve_quantities(tables["curves"]),
        role_quantities(tables["roles"]),
        landscape_quantities(tables["curves"], tables["landscape"]),
        update_quantities(tables["updates"]),
        block_quantities(tables["blocks"], benchmarks),
        outer_quantities(tables["outer"]),
    ]
    domains = questions.select("split", pl.col("kind").cast(pl.String)).unique()
    solutions = [
        solution_quantities(style, table, train, job.sft[style], job.series[f"fig8_{style}"].doses)
        for style, table in written.items()
    ]
    of_training = complete(pl.concat([empty(), *solutions]), {})  # a family has no domain, though it may share its name
    return pl.concat([complete(pl.concat(rows), dict(domains.iter_rows())), of_training])


def check_scales(paths: Sequence[Path], scale: str) -> None:
    """Refuse tables of another scale than the one whose claims are decided.

    Raises:
        DataError: there is one; the message names it, both scales and the command that makes the right one.
    """
    for path in paths:
        if path.is_file() and (other := read_provenance(path).scale) != scale:
            raise DataError(
                f"{path} is of scale {other!r}, and what is decided are the claims of {scale!r}; scales are not mixed: "
                f"make the table anew with `snakemake --cores 2 {path} --config scale={scale}`"
            )


def _read(paths: Sequence[Path], schema: type[dy.Schema]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=column_types(schema)), *(read_table(path, schema) for path in paths)])


if __name__ == "__main__":
    run(
        main,
        Job,
        inputs=["questions", "train"],
        many=[*(name for name in TABLES if name not in MAY_LACK), "trajectories"],
        many_or_none=MAY_LACK,
        many_names=["styles"],
        outputs=["out"],
    )
