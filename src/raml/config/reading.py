"""Reading YAML that anybody may have written: plain values, of a size that can be looked at."""

from pathlib import Path
from typing import Any, Final

import yaml

from raml.errors import ConfigError

LARGEST: Final = 100_000
"""Values that a file may hold, each counted as often as aliases repeat it; our own hold some thousands."""


def read_yaml(path: Path) -> Any:
    """What the file `path` holds; no tag makes anything but plain values.

    Raises:
        ConfigError: it cannot be read, is not UTF-8 or no YAML, nests too deeply, or aliases lead back to themselves or
            repeat its values more than `LARGEST` times.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text; `where` begins the message of an error.

    Raises:
        ConfigError: as `read_yaml`.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > LARGEST:
            raise ConfigError(f"{where} holds more than {LARGEST:,} values (aliases repeat them)")
        return loader.construct_document(node)
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{where} nests too deeply, or an alias leads back to itself") from None
    except Exception as error:  # of a date such as 2020-13-45 or `!!int x` yaml's own readers raise nearly anything
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(f"{where} is not valid YAML: {reason or type(error).__name__}") from None


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values `node` stands for; each node is looked at once, however many aliases name it."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = LARGEST  # of one that is met again on the way through itself
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(part,) for part in node.value]
        known[id(node)] = 1 + sum(_size(part, known) for pair in pairs for part in pair)
    return known[id(node)]
