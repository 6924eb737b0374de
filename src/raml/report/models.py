"""Facts about a model's weights that the report states, read from the safetensors header alone."""

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from raml.errors import DataError
from raml.storage import file_hash

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class ModelCard:
    """One trained model, its size and the hash of its weights."""

    name: str
    seed: str
    parameters: int
    sha256: str


def parameter_count(folder: Path) -> int:
    """Number of weights of the model in `folder`; tied ones count once.

    Raises:
        DataError: no weights there, or not a safetensors file.
    """
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="numpy") as weights:
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is missing or not safetensors ({' '.join(str(error).split())})") from None


def model_card(folder: Path) -> ModelCard:
    """The card of the model in `folder`; name and training seed come from its place, `models/seed0/base`.

    Raises:
        DataError: no weights there, or not a safetensors file.
    """
    parameters = parameter_count(folder)
    return ModelCard(folder.name, folder.parent.name.removeprefix("seed"), parameters, file_hash(folder / WEIGHTS)[:12])
