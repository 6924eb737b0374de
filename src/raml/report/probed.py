"""Which of the probed models each curve figure follows. Light, so that the workflow can list the figures of a scale."""

from collections.abc import Mapping, Sequence
from typing import Final

from raml.errors import ConfigError

MODEL_NUMBER: Final[Mapping[str, int]] = {
    "fig3": 0,
    "fig16": 0,
    "fig5": 0,
    "fig12": 1,
    "fig13": 1,
    "fig14": 2,
    "fig15": 2,
}
"""Places in `probing.models`, from 0."""


def figures_of(models: Sequence[str]) -> list[str]:
    """The curve figures that a scale with these `probing.models` has."""
    return [figure for figure, number in MODEL_NUMBER.items() if number < len(models)]


def probed_model(figure: str, models: Sequence[str]) -> str:
    """The model that `figure` follows.

    Raises:
        ConfigError: the scale probes fewer models.
    """
    number = MODEL_NUMBER[figure]
    if number >= len(models):
        raise ConfigError(
            f"{figure} follows model {number + 1} of probing.models, which holds only {', '.join(models)}; add one "
            "or leave the figure out"
        )
    return models[number]
