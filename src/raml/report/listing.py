"""Which exhibits a scale has, by what the first line of an entry says that it needs: `# needs: raw, probed 1`.

`raw` stands for the tables of single trajectories and landscapes (`raml.report.draw_raw` draws it), `probed N` for a
model at place N of `probing.models` (from 0), whose trajectories it follows, `community` for community models, and
`times` for `times.json`, which `raml times --save` writes. Light, so that the workflow can ask.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from raml.config import Scale
from raml.errors import ConfigError
from raml.report.entry import EXHIBITS, exhibit_ids


def exhibits_of(scale: Scale, folder: Path = EXHIBITS) -> list[str]:
    """The exhibits of a scale, in the page's order.

    Raises:
        ConfigError: an entry needs what nobody knows.
    """
    return [name for name in exhibit_ids(folder) if _has(scale, needs(name, folder), followed_place(name, folder))]


def raw_exhibits(scale: Scale, folder: Path = EXHIBITS) -> list[str]:
    """Those of them that `raml.report.draw_raw` draws."""
    return [name for name in exhibits_of(scale, folder) if "raw" in needs(name, folder)]


def followed_model(exhibit: str, models: Sequence[str], folder: Path = EXHIBITS) -> str | None:
    """The one of `probing.models` whose trajectories an exhibit follows; None if it follows none.

    Raises:
        ConfigError: there are fewer models.
    """
    place = followed_place(exhibit, folder)
    if place is not None and place >= len(models):
        raise ConfigError(
            f"{exhibit} follows model {place + 1} of probing.models, which holds only {', '.join(models)}; add one "
            "or leave the exhibit out"
        )
    return None if place is None else models[place]


def followed_place(exhibit: str, folder: Path = EXHIBITS) -> int | None:
    """The place of that model, from 0."""
    places = [int(one.removeprefix("probed ")) for one in needs(exhibit, folder) if one.startswith("probed ")]
    return max(places, default=None)


def needs(exhibit: str, folder: Path = EXHIBITS) -> list[str]:
    """What an entry's first line says.

    Raises:
        ConfigError: the entry is missing, or needs what nobody knows.
    """
    path = folder / f"{exhibit}.yaml.j2"
    if not path.is_file():
        raise ConfigError(f"there is no exhibit {exhibit!r}; allowed are {', '.join(exhibit_ids(folder))}")
    with path.open(encoding="utf-8") as lines:
        found = re.fullmatch(r"# needs: (.+)\n", lines.readline())
    named = [one.strip() for one in found[1].split(",")] if found else []
    for one in named:
        if not re.fullmatch(r"raw|community|times|probed \d+", one):
            raise ConfigError(f"{path} needs {one!r}; allowed are raw, community, times and probed N")
    return named


def _has(scale: Scale, needed: Sequence[str], place: int | None) -> bool:
    there = {"community": bool(scale.community), "times": Path("results", scale.scale, "times.json").is_file()}
    return all(there.get(name, True) for name in needed) and (place or 0) < len(scale.probing.models)
