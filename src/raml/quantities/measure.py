"""All quantities of a scale, from its measurement tables.

    python -m raml.quantities.measure --scale S --config '<the job>' --questions Q \
        --evaluations E --curves C .. --roles R .. --landscape L .. --updates U .. --blocks B .. --outer O .. \
        --answers A .. --train results/S/questions/train.parquet --styles short long --trajectories T .. \
        [--community C] --out results/S/tables/quantities.parquet
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import dataframely as dy
import polars as pl

from raml.config import Scale
from raml.errors import ConfigError, DataError
from raml.quantities.curves import curve_quantities
from raml.quantities.job import Job
from raml.quantities.landscape import landscape_quantities
from raml.quantities.outer import outer_quantities
from raml.quantities.roles import role_quantities
from raml.quantities.scores import answer_quantities, score_quantities, trend_quantities
from raml.quantities.solutions import solution_quantities
from raml.quantities.table import QuantityTable, complete, empty
from raml.quantities.updates import block_quantities, update_quantities
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
}

PATHS: Final = {
    "evaluations": "evaluations/evaluations.parquet",
    "curves": "probes/seed{seed}/{model}/curves.parquet",
    "roles": "probes/seed{seed}/roles.parquet",
    "landscape": "probes/seed{seed}/landscape.parquet",
    "updates": "probes/seed{seed}/updates.parquet",
    "blocks": "probes/seed{seed}/blocks.parquet",
    "outer": "probes/seed{seed}/outer.parquet",
    "answers": "evaluations/efficiency/seed{seed}.parquet",
}
"""Where the workflow writes each, below results/<scale>/."""


def main(step: Step[Job]) -> None:
    """Write the table of all quantities.

    Raises:
        ConfigError: there are not as many styles as tables of trajectories, or one is unknown.
        DataError: an input cannot be read, or is of another scale.
    """
    job, styles, lists = step.config, step.name_lists["styles"], step.lists
    check_lengths({"styles": styles, "trajectories": lists["trajectories"]})
    if unknown := sorted(set(styles) - set(job.sft)):
        raise ConfigError(f"--styles has {unknown[0]!r}; allowed are the styles of sft: {', '.join(job.sft)}")
    schemas = TABLES | ({"community": Evaluation} if lists["community"] else {})
    tables = {name: pl.concat(read_table(path, schema) for path in lists[name]) for name, schema in schemas.items()}
    written = {style: read_table(path, Trajectory) for style, path in zip(styles, lists["trajectories"], strict=True)}
    questions, train = (read_table(step.files[name], Question) for name in ("questions", "train"))
    check_scales([path for paths in lists.values() for path in paths], step.scale)
    quantities = pl.concat([measure(tables, questions, job), of_training(written, train, job)])
    write_table(quantities, QuantityTable, step.files["out"], step.provenance())


def measure(tables: Mapping[str, pl.DataFrame], questions: pl.DataFrame, job: Job) -> pl.DataFrame:
    """Rows of `QuantityTable`.

    Args:
        tables: rows of each of `TABLES`, or of some of them: then quantities that need another one are left out; and
            of `schemas.Evaluation` of `community` models.
        questions: rows of `schemas.Question` of the benchmarks.
        job: the configuration.
    """
    benchmarks = questions.select(question_id="id", benchmark="split")
    makers: list[tuple[tuple[str, ...], Callable[..., pl.DataFrame]]] = [
        (("evaluations",), lambda table: score_quantities(table, job.evaluation.k, job.evaluation.n)),
        (("evaluations",), lambda table: trend_quantities(table, job.series, job.evaluation.k)),
        (("community",), lambda table: score_quantities(table, job.evaluation.n, job.evaluation.n)),
        (("answers",), lambda table: answer_quantities(table, job.answers)),
        (("curves",), curve_quantities),
        (("roles",), role_quantities),
        (("curves", "landscape"), landscape_quantities),
        (("updates",), update_quantities),
        (("blocks",), lambda table: block_quantities(table, benchmarks)),
        (("outer",), outer_quantities),
    ]
    rows = [make(*(tables[name] for name in names)) for names, make in makers if set(names) <= tables.keys()]
    domains = questions.select("split", pl.col("kind").cast(pl.String)).unique()
    return complete(pl.concat(rows), dict(domains.iter_rows()))


def of_training(written: Mapping[str, pl.DataFrame], questions: pl.DataFrame, job: Job) -> pl.DataFrame:
    """Rows of `QuantityTable` about the training questions, which are of no benchmark's domain.

    Args:
        written: rows of `schemas.Trajectory` by style.
        questions: rows of `schemas.Question` of the training questions.
        job: the configuration.
    """
    rows = [
        solution_quantities(style, table, questions, job.sft[style], job.series[f"fig8_{style}"].doses)
        for style, table in written.items()
    ]
    return complete(pl.concat([empty(), *rows]), {})


def paths_of(table: str, scale: Scale) -> list[Path]:
    """Where a scale's measurements of one of `TABLES` lie."""
    path = f"results/{scale.scale}/{PATHS[table]}"
    models = scale.probing.models if "{model}" in path else [""]
    seeds = scale.seeds if "{seed}" in path else [0]
    return [Path(path.format(seed=seed, model=model)) for seed in seeds for model in models]


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


if __name__ == "__main__":
    run(
        main,
        Job,
        inputs=["questions", "train"],
        many=[*TABLES, "trajectories"],
        many_or_none=["community"],
        many_names=["styles"],
        outputs=["out"],
    )
