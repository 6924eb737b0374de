"""Reading, overlaying, validating and hashing the configuration."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from raml.config.reading import read_yaml
from raml.config.scale import Scale
from raml.config.section import Section
from raml.errors import ConfigError

T = TypeVar("T", bound=Section)

SCALES_DIR = Path("config/scales")


def config_hash(section: Section) -> str:
    """First 12 hex digits of the SHA-256 of the section's canonical JSON."""
    return hashlib.sha256(canonical_json(section).encode()).hexdigest()[:12]


def canonical_json(section: Section) -> str:
    """The section as JSON with sorted keys: what a job receives and what is hashed."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def available_scales(folder: Path = SCALES_DIR) -> list[str]:
    """Names of the scales in `folder`."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_scale(name: str, overrides: dict[str, Any] | None = None, folder: Path = SCALES_DIR) -> Scale:
    """Read `<folder>/<name>.yaml`, lay `overrides` (nested, like the file) over it and validate.

    A file whose `extends` names another scale is laid over that one; null takes away what is not needed there.

    Raises:
        ConfigError: unknown scale, one that extends itself, unreadable YAML, unknown key or value out of range; the
            message names the key's path, the value and what is allowed. Or `hardware.launcher` names no file of
            `<folder>/../accelerate/`, or one that shards where `hardware.sharded` does not, or the other way round.
    """
    path = folder / f"{name}.yaml"
    scale = validate(Scale, merge(_read(name, folder, []), overrides or {}), str(path))
    if scale.scale != name:
        raise ConfigError(f"{path}: scale = {scale.scale!r} must be the file's own name, {name!r}")
    if scale.hardware.launcher is not None:
        _check_launcher(scale.hardware.launcher, scale.hardware.sharded, folder.parent / "accelerate", path)
    return scale


def _read(name: str, folder: Path, below: list[str]) -> dict[str, Any]:
    """The scale `name` as written, laid over the one that it extends; `below` are the scales that led here."""
    path = folder / f"{name}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or not path.is_file():
        raise ConfigError(f"unknown scale {name!r}; allowed: {', '.join(available_scales(folder)) or '(none)'}")
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping, found {type(raw).__name__}")
    extended = raw.pop("extends", None)
    if extended is None:
        return raw
    if str(extended) in [*below, name]:
        raise ConfigError(f"{path}: extends = {extended!r} leads back to itself")
    return merge(_read(str(extended), folder, [*below, name]), raw)


def _check_launcher(name: str, sharded: bool, folder: Path, where: Path) -> None:
    path = folder / f"{name}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or not path.is_file():
        allowed = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "(none)"
        raise ConfigError(f"{where}: hardware.launcher = {name!r} is no file of {folder}; allowed: {allowed}, null")
    try:
        kind = read_yaml(path)["distributed_type"]
    except (KeyError, TypeError):
        raise ConfigError(f"{path} is no configuration of accelerate: it has no distributed_type") from None
    if (kind == "FSDP") != sharded:
        raise ConfigError(
            f"{where}: hardware.sharded = {str(sharded).lower()} contradicts hardware.launcher = {name!r}, whose "
            f"distributed_type is {kind}; FSDP shards, all others do not"
        )


def merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`base` with `overrides` laid over it; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in overrides.items():
        both_mappings = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_mappings else value
    return merged


def validate(model: type[T], raw: Any, where: str) -> T:
    """`raw` as a `model`, or a `ConfigError` of one line that names every bad key in `where`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_describe(model, problem) for problem in error.errors())
        raise ConfigError(" ".join(f"{where}: {problems}".split())) from None


def _describe(model: type[Section], problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path}; allowed here: {', '.join(_allowed_keys(model, problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"missing key {path}"
    reason = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict) else f" = {value!r}"
    return f"{path}{shown}: {reason[0].lower()}{reason[1:]}"


def _allowed_keys(model: type[Section], location: tuple[Any, ...]) -> list[str]:
    """Field names of the section at `location` below `model`."""
    schema = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(schema, node)
        tagged = node.get("discriminator", {}).get("mapping", {})
        if part in tagged:
            node = {"$ref": tagged[part]}
        elif isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    return sorted(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The definition that `node` refers to; of an optional one its first alternative."""
    node = node.get("anyOf", [node])[0]
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node
