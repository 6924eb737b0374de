"""The typed configuration of a scale: what is run, never where it runs.

`config/scales/<scale>.yaml` is read by `load_scale` into a `Scale`; each job receives only its own
section as JSON, so that a changed value reruns exactly the jobs that depend on it.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from raml.errors import ConfigError

T = TypeVar("T", bound="Section")

SCALES_DIR = Path("config/scales")

Style = Literal["short", "long"]
FamilyName = Literal["rows", "rows_top", "rows_sort", "path", "path_back", "number_sorting"]
Level = Annotated[int, Field(ge=1, le=3)]
Normalisation = Literal["filter", "tensor"]
BenchmarkKind = Literal["in_domain", "in_domain_hard", "within_domain", "other_domain"]


class Section(BaseModel):
    """A part of the configuration: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class QuestionSet(Section):
    """`n` questions of one family, spread evenly over its difficulty `levels`."""

    family: FamilyName
    levels: list[Level] = Field(min_length=1)
    n: int = Field(gt=0)


class Benchmark(QuestionSet):
    """A held-out question set and how far it lies from the training questions."""

    kind: BenchmarkKind


class Questions(Section):
    """Train split, development split (for choosing tasks) and benchmarks; all disjoint."""

    train: list[QuestionSet] = Field(min_length=1)
    development: list[QuestionSet] = Field(min_length=1)
    benchmarks: dict[str, Benchmark] = Field(min_length=1)


class Oracle(Section):
    """Programs that write correct and deliberately wrong trajectories (short and long style)."""

    variants_per_question: int = Field(gt=0, description="distinct solutions kept per question")
    slip_rate: float = Field(ge=0, le=1, description="share of steps that first go wrong, then `Wait`")
    check_rate: float = Field(ge=0, le=1, description="share of long trajectories that end in a self-check")


class Architecture(Section):
    """A Llama-style decoder with attention biases; heads of 32 so that vLLM can serve it."""

    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=1)
    heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    context: int = Field(gt=0, description="longest sequence, in tokens")

    @model_validator(mode="after")
    def _head_dim_is_32(self) -> Self:
        if self.hidden_size != 32 * self.heads:
            raise ValueError(f"hidden_size must be 32 x heads = {32 * self.heads} (vLLM serves heads of 32)")
        return self


class Pretraining(Section):
    """Mixture and optimiser of the base model's pretraining.

    `families` are document weights; `long_share` and `short_share` split each family's documents
    into styles, the rest has no thinking at all.
    """

    families: dict[FamilyName, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    long_share: float = Field(ge=0, le=1)
    short_share: float = Field(ge=0, le=1)
    drill_steps: int = Field(
        ge=0, description="first stage: questions that ask for their steps, answered in the long style"
    )
    drill_share: float = Field(ge=0, le=1, description="share of drills kept in the second stage")
    steps: int = Field(gt=0, description="second stage: whole documents")
    batch_tokens: int = Field(gt=0)
    muon_learning_rate: float = Field(gt=0)
    adamw_learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    threads: int = Field(gt=0, description="torch threads; part of the result's bytes")

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if self.long_share + self.short_share > 1:
            raise ValueError("long_share + short_share must be at most 1")
        return self


class SFT(Section):
    """Supervised fine-tuning on oracle trajectories, through TRL."""

    trajectories_per_question: int = Field(gt=0)
    exposures_per_question: int = Field(gt=0, description="times each question is trained on, repeats included")
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    warmup_ratio: float = Field(ge=0, lt=1)
    mask_wrong_attempts: bool = Field(description="no loss on deliberately wrong tokens")
    threads: int = Field(gt=0)


class Sampling(Section):
    """How a model writes trajectories."""

    temperature: float = Field(ge=0, description="0 is greedy")
    top_p: float = Field(gt=0, le=1)
    top_k: int = Field(ge=0, description="0 keeps all tokens")
    max_tokens: int = Field(gt=0)
    batch_size: int = Field(gt=0, description="rows decoded at once")
    threads: int = Field(gt=0)


class Evaluation(Section):
    """Samples per question and the k of Pass@k and mG-Pass@k."""

    n: int = Field(gt=0)
    k: int = Field(gt=0)
    bootstrap_resamples: int = Field(gt=0)
    confidence: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _k_at_most_n(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k = {self.k} must be at most n = {self.n}")
        return self


class Probing(Section):
    """Which trajectories the answer-NLL curves follow (Algorithm 3), and in which modes."""

    models: list[str] = Field(min_length=1, description="probed along their own samples; the first is the main one")
    benchmarks: list[str] = Field(min_length=1)
    trajectories_per_question: int = Field(gt=0, description="at most, of each kind (correct, incorrect)")
    stride: int = Field(gt=0)
    token_budget: int = Field(gt=0, description="probe tokens packed into one forward")
    end_of_thinking: str = Field(min_length=1, description="closes the thinking in no-thinking mode (figs 5, 13, 15)")
    threads: int = Field(gt=0)


class Landscape(Section):
    """The answer NLL over two random directions in weight space (Algorithm 4, fig 2), of the main probed model."""

    questions: int = Field(gt=0, description="of the probed benchmarks in turn, those with a correct trajectory")
    size: int = Field(ge=3, description="grid points along each direction; odd, so that the weights themselves are one")
    radius: float = Field(gt=0, description="the grid covers [-radius, radius] in both directions")
    normalisation: Normalisation
    token_budget: int = Field(gt=0, description="tokens in one forward pass")
    threads: int = Field(gt=0)

    @model_validator(mode="after")
    def _size_is_odd(self) -> Self:
        if self.size % 2 == 0:
            raise ValueError("size must be odd, so that the grid holds its centre")
        return self


class Updates(Section):
    """Trajectories as weight updates (Proposition 2.1), of the main probed model."""

    questions: int = Field(gt=0, description="of the probed benchmarks in turn, those with a correct trajectory")
    positions: int = Field(gt=0, description="prefixes of each trajectory, evenly spread, the whole one included")
    draws: int = Field(gt=0, description="shuffled and random trajectories a real one is compared with")
    dimensions: list[Annotated[int, Field(ge=8)]] = Field(min_length=1, description="widths of random blocks")
    prompt_lengths: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="random blocks' prompts, tokens"
    )
    threads: int = Field(gt=0)


class Scale(Section):
    """Everything that defines a run."""

    scale: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    questions: Questions
    oracle: Oracle
    architecture: Architecture
    pretraining: Pretraining
    sft: dict[Style, SFT] = Field(min_length=1)
    sampling: Sampling
    evaluation: Evaluation
    probing: Probing
    landscape: Landscape
    updates: Updates
    token_roles: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
        min_length=1, description="groups of trajectory tokens by regular expressions that match their whole text"
    )

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds = {self.seeds} names a seed twice")
        if self.sampling.max_tokens >= self.architecture.context:
            raise ValueError(
                f"sampling.max_tokens = {self.sampling.max_tokens} leaves no room for a prompt "
                f"in architecture.context = {self.architecture.context}"
            )
        known = set(self.questions.benchmarks)
        if missing := sorted(set(self.probing.benchmarks) - known):
            raise ValueError(f"probing.benchmarks names {missing}, but questions.benchmarks has {sorted(known)}")
        if unknown := [name for name in self.probing.models if name not in self.models]:
            raise ValueError(f"probing.models names {unknown}; allowed: {self.models}")
        return self

    @property
    def models(self) -> list[str]:
        """Names of the models that this scale trains, base first."""
        return ["base", *(f"sft_{style}" for style in self.sft)]


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

    Raises:
        ConfigError: unknown scale, unreadable YAML, unknown key or value out of range; the message
            names the key's path, the value and what is allowed.
    """
    path = folder / f"{name}.yaml"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or not path.is_file():
        raise ConfigError(f"unknown scale {name!r}; allowed: {', '.join(available_scales(folder)) or '(none)'}")
    try:
        raw = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping, found {type(raw).__name__}")
    scale = validate(Scale, merge(raw, overrides or {}), str(path))
    if scale.scale != name:
        raise ConfigError(f"{path}: scale = {scale.scale!r} must be the file's own name, {name!r}")
    return scale


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
        raise ConfigError(f"{where}: {problems}") from None


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
