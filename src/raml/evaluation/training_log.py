"""What the trainers logged at every step: one table of all models and seeds, and a CSV for each model.

    python -m raml.evaluation.training_log --scale S --config '{}' \
        --logs models/seed0/sft_long/training.jsonl ... --csvs tables/training/sft_long.csv ... \
        --table tables/training.parquet

A log's model and training seed are those of its place, `models/seed<s>/<model>/training.jsonl`, a CSV's model is
its name. The CSVs hold means over the seeds, a column a quantity, for `dvc plots`.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from raml.config import Section
from raml.errors import ConfigError, DataError
from raml.schemas import TrainingRecord, column_types
from raml.step import Step, run
from raml.storage import write_table, write_text

FILES: Final[Mapping[str, list[str]]] = {"many": ["logs"], "many_outputs": ["csvs"], "outputs": ["table"]}
STEP: Final = "step"


class Job(Section):
    """Gathering needs no settings."""


def main(step: Step[Job]) -> None:
    """Write the table and the CSVs.

    Raises:
        ConfigError: a CSV is named after a model without logs.
        DataError: as in `gather`.
    """
    table = gather(step.lists["logs"])
    logged = list(dict.fromkeys(table["model"]))
    for path in step.lists["csvs"]:
        if path.stem not in logged:
            raise ConfigError(f"--csvs {path}: no log of {path.stem!r} was given; allowed: {', '.join(logged)}")
    for path in step.lists["csvs"]:
        write_text(mean_csv(table.filter(model=path.stem)), path)
    write_table(table, TrainingRecord, step.files["table"], step.provenance())


def gather(logs: Sequence[Path]) -> pl.DataFrame:
    """Rows of `TrainingRecord`, in the order of the logs, their lines and the quantities in them.

    Raises:
        DataError: a log lies in no folder of a model and seed, or in one that another lies in, cannot be read, is
            empty, or holds a line that is no record of finite numbers (null: it was not finite, and is left out)
            whose step is past the line's before.
    """
    rows: list[dict[str, Any]] = []
    found: dict[tuple[str, int], Path] = {}
    for path in logs:
        model, seed = origin(path)
        if (model, seed) in found:
            raise DataError(f"{path} and {found[model, seed]} are both of {model}, seed {seed}; give one log of each")
        found[model, seed] = path
        for record in read_log(path):
            at = {"model": model, "seed": seed, "step": int(record[STEP])}
            rows += [at | {"quantity": name, "value": value} for name, value in record.items() if name != STEP]
    return pl.DataFrame(rows, schema=column_types(TrainingRecord))


def origin(path: Path) -> tuple[str, int]:
    """The model and the training seed of the log at `models/seed<s>/<model>/training.jsonl`.

    Raises:
        DataError: it lies elsewhere.
    """
    seed = re.fullmatch(r"seed(\d+)", path.parent.parent.name)
    if seed is None:
        raise DataError(f"{path} does not say its model and seed; a log lies at models/seed<s>/<model>/{path.name}")
    return path.parent.name, int(seed[1])


def read_log(path: Path) -> list[dict[str, float]]:
    """The records of a log, one a line, by the names of their quantities; `step` is among them and rises.

    Raises:
        DataError: the file cannot be read or is empty, or a line is no such record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete the model's folder and train again") from None
    records: list[dict[str, float]] = []
    for number, line in enumerate(lines, 1):
        record = _record(line, f"{path}, line {number}")
        if records and record[STEP] <= records[-1][STEP]:
            raise DataError(
                f"{path}, line {number}: step {record[STEP]:g} follows step {records[-1][STEP]:g}; steps must rise"
            )
        records.append(record)
    if not records:
        raise DataError(f"{path} holds no step; delete the model's folder and train again")
    return records


def mean_csv(table: pl.DataFrame) -> str:
    """A line a step and a column a quantity, with six digits; blank where nothing was logged.

    Args:
        table: rows of `TrainingRecord` of one model.
    """
    quantities = list(dict.fromkeys(table["quantity"]))
    means = table.group_by(STEP, "quantity").agg(pl.col("value").mean()).sort(STEP)
    values = {(step, quantity): value for step, quantity, value in means.iter_rows()}
    lines = [[STEP, *quantities]]
    for step in dict.fromkeys(means[STEP]):
        found = (values.get((step, quantity)) for quantity in quantities)
        lines.append([str(step), *("" if value is None else f"{value:.6g}" for value in found)])
    return "".join(f"{','.join(line)}\n" for line in lines)


def _record(line: str, where: str) -> dict[str, float]:
    try:
        record = json.loads(line)
    except ValueError:
        raise DataError(f"{where} is not JSON: {line[:60]!r}") from None
    if not isinstance(record, dict) or not isinstance(record.get(STEP), int) or isinstance(record[STEP], bool):
        raise DataError(f"{where} must be an object with a whole number {STEP!r}, found {line[:60]!r}")
    for name, value in record.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise DataError(f"{where}: a quantity is named in lower case letters, digits and _, found {name[:60]!r}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and abs(value) <= sys.float_info.max):
            raise DataError(f"{where}: {name} = {value!r} must be a finite number, or null")
    if not 0 <= record[STEP] < 2**31:
        raise DataError(f"{where}: {STEP} = {record[STEP]} must lie in 0 to 2^31 - 1")
    return {name: value for name, value in record.items() if value is not None}


if __name__ == "__main__":
    run(main, Job, **FILES)
