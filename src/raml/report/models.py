"""Facts of the weights behind a report, in a small file that git keeps, so that a clone can show them.

    python -m raml.report.models --scale S --config {} --models results/S/models/seed0/base .. \
        --out results/S/tables/models.json
"""

import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from raml.config import Section
from raml.errors import DataError
from raml.step import Step, run
from raml.storage import file_hash, read_json, write_json

WEIGHTS = "model.safetensors"


class Job(Section):
    """What the facts depend on besides the weights: nothing."""


class Model(BaseModel):
    """One trained model, its size and the hash of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    seed: int
    parameters: int
    sha256: str


MODELS = TypeAdapter(Annotated[list[Model], Field(min_length=1)])


def main(step: Step[Job]) -> None:
    """Write the facts of all models.

    Raises:
        DataError: a folder has no weights, or is not that of a model and a seed.
    """
    write_json([facts(folder).model_dump() for folder in step.lists["models"]], step.files["out"])


def facts(folder: Path) -> Model:
    """The facts of the model in `folder`; its name and seed come from its place, `models/seed0/base`.

    Raises:
        DataError: as `main`.
    """
    path, seed = folder / WEIGHTS, folder.parent.name.removeprefix("seed")
    if not seed.isdigit():
        raise DataError(f"{folder} is not the folder of a model; give folders such as models/seed0/base")
    try:
        with safe_open(path, framework="numpy") as weights:  # tied weights count once
            parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is missing or not safetensors ({' '.join(str(error).split())})") from None
    return Model(model=folder.name, seed=int(seed), parameters=parameters, sha256=file_hash(path))


def read_models(path: Path) -> list[Model]:
    """The facts that `main` wrote.

    Raises:
        DataError: the file is missing or malformed.
    """
    try:
        return MODELS.validate_python(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "(top level)"
        raise DataError(f"{path} holds no facts of models: {where}: {problem['msg']}; make it again") from None


if __name__ == "__main__":
    run(main, Job, many=["models"], outputs=["out"])
